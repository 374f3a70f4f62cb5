package identity

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh/knownhosts"
)

// defaultPort is the port that rpiped listens on, and that users leave out.
const defaultPort = "7747"

// entryName returns the form in which HOST:PORT stands in known_hosts: "[host]:port", and only for port 22 "host"
// (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). The port of rpiped is not that of SSH, so it is written out. Names are
// in lower case, as OpenSSH looks them up, and IP addresses in their usual form (RFC 5952).
func entryName(hostport string) (string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", fmt.Errorf("%q is not HOST:PORT", hostport)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", fmt.Errorf("%q is not HOST:PORT: the port must be from 1 to 65535", hostport)
	}
	if address, err := netip.ParseAddr(host); err == nil {
		host = address.String()
	} else if strings.Contains(host, ":") {
		return "", fmt.Errorf("%q is not HOST:PORT: %q is no IPv6 address", hostport, host)
	}
	if host == "" {
		return "", fmt.Errorf("%q is not HOST:PORT: no host", hostport)
	}
	for i := range len(host) {
		// What would not be read back as part of one plain name. Names may hold bytes over 0x7f.
		if c := host[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`*?!,|#@[]"`, c) >= 0 {
			return "", fmt.Errorf("%q is not HOST:PORT: character %q in the host", hostport, c)
		}
	}
	return knownhosts.Normalize(net.JoinHostPort(lower(host), strconv.FormatUint(number, 10))), nil
}

// lower maps ASCII letters only: that is what OpenSSH does to a name before it compares or hashes it.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// hostMatcher is the host field of a line.
type hostMatcher interface {
	match(name string) bool // name comes from entryName
}

// parseHosts takes the parts of a host field that commas separate.
func parseHosts(hosts []string) (hostMatcher, error) {
	if len(hosts) == 1 && strings.HasPrefix(hosts[0], "|") {
		return parseHashedHost(hosts[0])
	}
	patterns := make(hostPatterns, 0, len(hosts))
	for _, host := range hosts {
		text, negated := strings.CutPrefix(lower(host), "!")
		if text == "" {
			return nil, errors.New("empty host pattern")
		}
		if strings.IndexByte("|!@", text[0]) >= 0 {
			return nil, fmt.Errorf("host pattern %.40q: unexpected %q", host, text[0])
		}
		patterns = append(patterns, hostPattern{text: text, negated: negated})
	}
	return patterns, nil
}

// hashedHost is a name that can only be recognised.
type hashedHost struct{ salt, sum []byte }

// parseHashedHost reads "|1|" and the base64 of salt and sum, separated by "|": the form that ssh-keygen -H writes.
func parseHashedHost(field string) (*hashedHost, error) {
	parts := strings.Split(field, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, fmt.Errorf("hashed host %.40q: not of the form |1|SALT|SUM", field)
	}
	var h hashedHost
	for i, part := range []*[]byte{&h.salt, &h.sum} {
		decoded, err := base64.StdEncoding.DecodeString(parts[2+i])
		if err != nil {
			return nil, fmt.Errorf("hashed host %.40q: %w", field, err)
		}
		if len(decoded) != sha1.Size {
			return nil, fmt.Errorf("hashed host %.40q: %d bytes, not %d", field, len(decoded), sha1.Size)
		}
		*part = decoded
	}
	return &h, nil
}

func (h *hashedHost) match(name string) bool {
	sum := hmac.New(sha1.New, h.salt)
	sum.Write([]byte(name))
	return hmac.Equal(sum.Sum(nil), h.sum)
}

// hostPatterns matches a name that one of the patterns matches, unless a negated one matches it too. As in OpenSSH, a
// pattern applies to the whole name with its brackets and port: "*" matches every host on every port,
// "[*.example.org]:7747" those of a domain, and "host" only port 22.
type hostPatterns []hostPattern

type hostPattern struct {
	text    string // in lower case, not empty
	negated bool
}

func (p hostPatterns) match(name string) bool {
	found := false
	for _, pattern := range p {
		if matchWildcards(pattern.text, name) {
			if pattern.negated {
				return false
			}
			found = true
		}
	}
	return found
}

// matchWildcards reports whether pattern matches all of s: "*" any bytes, "?" one byte, everything else itself. It
// takes time in proportion to the product of the lengths.
func matchWildcards(pattern, s string) bool {
	p, i := 0, 0
	star, resume := -1, 0 // the last star, and where its match may grow from
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
