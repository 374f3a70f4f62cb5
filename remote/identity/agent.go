package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentPatience bounds a signature when the handshake's context does not: long enough for a user who is asked
// to confirm it (ssh-add -c).
const agentPatience = time.Minute

// AgentKey returns a key whose private half stays in the ssh-agent that listens on the Unix socket at path
// socket, which is the value of SSH_AUTH_SOCK as a rule. The selector says which: a fingerprint ("SHA256:...") as
// ssh-add -l prints it; the path of a public key file, ending in ".pub"; or the key's whole comment, if only
// one usable key has it. ctx bounds the whole call, and no signature is made.
//
// Each signature opens a connection of its own to the agent, so the agent may be restarted meanwhile, and nothing is
// kept open between. It is bounded by the context of the handshake, and by a minute in any case. What an agent
// refuses to sign shows only then: whether it binds a key to destinations (ssh-add -h), for one, cannot be asked.
//
// Errors are *AgentError and *UnusableKeyError. OpenSSH's agent for Windows, which listens on a named pipe,
// cannot be reached.
func AgentKey(ctx context.Context, socket, selector string) (*Key, error) {
	if socket == "" {
		return nil, &AgentError{Err: errors.New("no agent is known"), Advice: "start one with: eval $(ssh-agent), or name a key file"}
	}
	if selector == "" {
		return nil, &AgentError{Socket: socket, Err: errors.New("no key was named"), Advice: "name the fingerprint of one that ssh-add -l prints"}
	}
	matches, err := newSelector(selector)
	if err != nil {
		return nil, &AgentError{Socket: socket, Err: err, Advice: "name the fingerprint of a key that ssh-add -l prints"}
	}
	s := newAgentSigner(socket)
	listed, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	var usable, unusable []ssh.PublicKey
	for _, entry := range listed {
		key, err := ssh.ParsePublicKey(entry.Blob)
		switch {
		case err != nil:
			// A type that x/crypto does not know. It has a fingerprint all the same.
			if matches(entry, entry.Comment) {
				unusable = append(unusable, entry)
			}
		case matches(key, entry.Comment) && usableType(key.Type()):
			usable = append(usable, key)
		case matches(key, entry.Comment):
			unusable = append(unusable, key)
		}
	}
	switch {
	case len(usable) == 1:
		s.public = usable[0]
		return &Key{public: usable[0], signer: s}, nil
	case len(usable) > 1:
		words := make([]string, len(usable))
		for i, key := range usable {
			words[i] = Fingerprint(key)
		}
		return nil, &AgentError{
			Socket: socket,
			Err:    fmt.Errorf("%q names %d keys: %s", selector, len(usable), strings.Join(words, ", ")),
			Advice: "name one of them by its fingerprint",
		}
	case len(unusable) > 0:
		return nil, checkUsable(agentSource(unusable[0]), unusable[0])
	}
	return nil, &AgentError{
		Socket: socket,
		Err:    fmt.Errorf("it holds %d keys, but not %q", len(listed), selector),
		Advice: "see what it holds with: ssh-add -l; add a key with: ssh-add FILE",
	}
}

func agentSource(key ssh.PublicKey) string { return "ssh-agent " + Fingerprint(key) }

// newSelector returns the test that a selector stands for.
func newSelector(selector string) (func(key ssh.PublicKey, comment string) bool, error) {
	switch {
	case strings.HasPrefix(selector, "SHA256:"):
		return func(key ssh.PublicKey, _ string) bool { return Fingerprint(key) == selector }, nil
	case strings.HasSuffix(selector, ".pub"):
		// This file only selects: the agent decides what it signs with, so its permissions do not matter.
		info, err := os.Stat(selector)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() { // a FIFO would keep us waiting
			return nil, fmt.Errorf("%q is not a regular file", selector)
		}
		file, err := os.Open(selector)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		data, err := io.ReadAll(io.LimitReader(file, maxKeyFile))
		if err != nil {
			return nil, err
		}
		want, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			return nil, fmt.Errorf("%q holds no public key: %w", selector, err)
		}
		fingerprint := Fingerprint(want)
		return func(key ssh.PublicKey, _ string) bool { return Fingerprint(key) == fingerprint }, nil
	}
	return func(_ ssh.PublicKey, comment string) bool { return comment == selector }, nil
}

// agentSigner signs with a key in an ssh-agent.
type agentSigner struct {
	socket  string
	public  ssh.PublicKey
	closing context.Context // ends with the key
	end     context.CancelFunc
}

func newAgentSigner(socket string) *agentSigner {
	s := &agentSigner{socket: socket}
	s.closing, s.end = context.WithCancel(context.Background())
	return s
}

func (s *agentSigner) close() error {
	s.end()
	return nil
}

func (s *agentSigner) list(ctx context.Context) (keys []*agent.Key, err error) {
	_, err = s.ask(ctx, func(client agent.Agent) (err error) {
		keys, err = client.List()
		return err
	})
	return keys, err
}

func (s *agentSigner) sign(ctx context.Context, message []byte) ([]byte, error) {
	var answer *ssh.Signature
	refused, err := s.ask(ctx, func(client agent.Agent) (err error) {
		answer, err = client.Sign(s.public, message)
		return err
	})
	if refused {
		return nil, s.whyRefused(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	return tlsSignature(s.public, answer)
}

// whyRefused finds words for a refusal to sign, for which the protocol has none.
func (s *agentSigner) whyRefused(ctx context.Context, refusal error) error {
	listed, err := s.list(ctx)
	if err != nil {
		return refusal
	}
	for _, entry := range listed {
		if bytes.Equal(entry.Blob, s.public.Marshal()) {
			return &UnusableKeyError{
				Source: agentSource(s.public),
				Type:   s.public.Type(),
				Reason: "the agent refused to sign: the key is bound to destinations (ssh-add -h), or its use was not confirmed (ssh-add -c)",
			}
		}
	}
	return &AgentError{
		Socket: s.socket,
		Err:    fmt.Errorf("it no longer offers %s", Fingerprint(s.public)),
		Advice: "add the key again with ssh-add FILE, or unlock the agent with ssh-add -X",
	}
}

// ask opens a connection to the agent for one question, and closes it. An error for which refused is true is the
// agent's answer; others mean that there was none.
func (s *agentSigner) ask(ctx context.Context, question func(agent.Agent) error) (refused bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()

	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.socket)
	if err != nil {
		return false, s.noAnswer(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()

	line := &agentLine{conn: conn}
	err = question(agent.NewClient(line))
	switch {
	case err == nil:
		return false, nil
	case line.err != nil:
		return false, s.noAnswer(ctx, line.err)
	}
	return true, &AgentError{Socket: s.socket, Err: err, Advice: agentAdvice}
}

const agentAdvice = "see whether it answers with: ssh-add -l; or name a key file"

func (s *agentSigner) noAnswer(ctx context.Context, err error) error {
	switch {
	case s.closing.Err() != nil:
		return ErrKeyClosed
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer: %w", context.Cause(ctx))
	}
	return &AgentError{Socket: s.socket, Err: err, Advice: agentAdvice}
}

// agentLine is a connection to an agent that remembers its first failure, because agent.Client returns only its
// text. It has no Close, so that agent.NewClient starts no goroutine.
type agentLine struct {
	conn net.Conn
	err  error
}

func (l *agentLine) Read(p []byte) (int, error) {
	n, err := l.conn.Read(p)
	return n, l.note(err)
}

func (l *agentLine) Write(p []byte) (int, error) {
	n, err := l.conn.Write(p)
	return n, l.note(err)
}

func (l *agentLine) note(err error) error {
	if l.err == nil {
		l.err = err
	}
	return err
}

// tlsSignature turns a signature in the form of SSH into that of TLS 1.3.
func tlsSignature(key ssh.PublicKey, signature *ssh.Signature) ([]byte, error) {
	if signature.Format != key.Type() {
		return nil, fmt.Errorf("asked for a signature of type %s, got %q", key.Type(), signature.Format)
	}
	if key.Type() == ssh.KeyAlgoED25519 {
		return signature.Blob, nil
	}
	var pair struct{ R, S *big.Int } // RFC 5656, section 3.1.2
	if err := ssh.Unmarshal(signature.Blob, &pair); err != nil {
		return nil, fmt.Errorf("signature of type %s: %w", key.Type(), err)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { // ECDSA-Sig-Value of RFC 3279, section 2.2.3
		b.AddASN1BigInt(pair.R)
		b.AddASN1BigInt(pair.S)
	})
	return b.Bytes()
}
