package serve

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

// peerName is the form of a peer's name: it stands in logs.
var peerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// A HopTarget is another daemon that sessions here may send their output to.
type HopTarget struct {
	HopPeer

	// Key is the daemon's host key: by it callers choose a target, and nobody
	// else is spoken to at its address.
	Key ssh.PublicKey

	// Allow holds the names of the callers who may send output there, without
	// groups. Nil lets every authorised caller.
	Allow []string
}

// fixedHops are targets that do not change, by host key.
type fixedHops map[string]*HopTarget

// NewHops returns a Hops of targets, of which no two have the same key. It keeps no
// reference to the map.
func NewHops(targets map[string]*HopTarget) Hops {
	hops := make(fixedHops, len(targets))
	for _, t := range targets {
		hops[string(t.Key.Marshal())] = t
	}
	return hops
}

func (h fixedHops) Peer(caller string, key ssh.PublicKey) (HopPeer, error) {
	t, ok := h[string(key.Marshal())]
	switch {
	case !ok:
		return HopPeer{}, notListed(key)
	case t.Allow != nil && !slices.Contains(t.Allow, caller):
		return HopPeer{}, refuse(StatusDenied, "%s is not for %s (its administrator would add that name to allow)", quoted(t.Name), quoted(caller))
	}
	return t.HopPeer, nil
}

func (d *configDecoder) hopTo(n *tomlNode) {
	if n == nil {
		return
	}
	const example = "[hop_to.NAME] with its keys below"
	if !d.is(n, unstable.Table, "hop_to", example) {
		return
	}
	byKey := map[string]string{}
	for _, f := range n.fields {
		if len(f.name) > maxName || !peerName.MatchString(f.name) {
			d.errorAt(f.offset, "peer name %q: write at most %d letters, digits and . _ + -, a letter or digit first", f.name, maxName)
		}
		if d.is(f.value, unstable.Table, fmt.Sprintf("peer %q", f.name), example) {
			d.peer(f, byKey)
		}
	}
}

// peer reads one target. byKey has the names of those that were read, by host key.
func (d *configDecoder) peer(f *tomlField, byKey map[string]string) {
	t := &HopTarget{HopPeer: HopPeer{Name: f.name}}
	var address, key *tomlNode
	d.table(f.value, fmt.Sprintf("peer %q", f.name), keys{
		"address": func(n *tomlNode) { address = n },
		"key":     func(n *tomlNode) { key = n },
		"allow":   func(n *tomlNode) { d.allow(n, &t.Allow) },
	})
	d.c.HopTo[f.name] = t
	switch {
	case address == nil:
		d.errorAt(f.offset, `peer %q has no address: say where it listens, as in address = "host:7747"`, f.name)
	case d.is(address, unstable.String, "address", `address = "host:7747"`):
		if problem := targetProblem(address.text); problem != "" {
			d.errorAt(address.offset, `address %q: %s: write address = "host:7747"`, address.text, problem)
		}
		t.Address = address.text
	}
	const example = `key = "ssh-ed25519 AAAA...", the line of that daemon's host_key.pub`
	switch {
	case key == nil:
		d.errorAt(f.offset, "peer %q has no key: write %s", f.name, example)
	case d.is(key, unstable.String, "key", example):
		var err error
		if t.Key, err = parseHostKey(key.text); err != nil {
			d.errorAt(key.offset, "key: %s: write %s", err, example)
			return
		}
		blob := string(t.Key.Marshal())
		if other, ok := byKey[blob]; ok {
			d.errorAt(key.offset, "peers %q and %q have the same key: one daemon has one address", other, f.name)
		}
		byKey[blob] = f.name
	}
}

// targetProblem says what keeps s from being a TCP address to connect to, or "".
func targetProblem(s string) string {
	if problem := addressProblem(s); problem != "" {
		return problem
	}
	host, port, _ := net.SplitHostPort(s)
	switch {
	case host == "":
		return "there is no host in it"
	case strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "the host has a blank or a control character"
	}
	if n, _ := strconv.Atoi(port); n == 0 {
		return "nobody listens on port 0"
	}
	return ""
}

// parseHostKey reads a public key in the form of OpenSSH's .pub files, TYPE BASE64
// and a comment that does not matter.
func parseHostKey(text string) (ssh.PublicKey, error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return nil, errors.New("it is no public key")
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(words[1])
	if err != nil {
		return nil, errors.New("it is damaged")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != words[0] || string(key.Marshal()) != string(blob) {
		return nil, errors.New("it is damaged")
	}
	// The rules for keys are those of authorized_keys.
	var unusable *identity.UnusableKeyError
	if _, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"peer": key}); errors.As(err, &unusable) {
		return nil, errors.New(unusable.Reason)
	} else if err != nil {
		return nil, err
	}
	return key, nil
}
