package serve

import (
	"bytes"
	"errors"
)

// maxLook is how much of a connection's first bytes is looked at. A request line
// that is longer has told itself by then.
const maxLook = 4096

// errBrowser refuses a connection.
var errBrowser = errors.New("the first bytes look like HTTP or TLS: a browser, not a client of this service (browsers = true, or --browsers, lets it in)")

// A look is what the first bytes of a connection tell.
type look int

const (
	lookMore    look = iota // they are too few to tell
	lookPlain               // not those of a browser
	lookBrowser             // the request line of HTTP/1.0 or later, or the hello of TLS
)

// lookAt tells what the first bytes of a connection are. Of maxLook bytes it is never
// lookMore.
//
// A request line is METHOD SP target SP HTTP/ (RFC 9112, section 3), with a method in capital
// letters and hyphens, as all that a browser sends without asking before. A hello is a
// handshake record that begins with a ClientHello (RFC 8446, sections 5.1 and 4).
func lookAt(b []byte) look {
	b = b[:min(len(b), maxLook)]
	if l := lookForHello(b); l != lookPlain {
		return l
	}
	end := bytes.IndexByte(b, '\n')
	line := b
	if end >= 0 {
		line = b[:end]
	}
	complete := end >= 0
	method, rest, found := bytes.Cut(line, []byte(" "))
	switch {
	case bytes.ContainsFunc(method, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' }), len(method) > 32:
		return lookPlain
	case !found && complete, found && len(method) == 0:
		return lookPlain
	case !found:
		return lookMore
	}
	target, version, found := bytes.Cut(rest, []byte(" "))
	switch {
	case !found && complete:
		return lookPlain
	case !found && len(b) == maxLook && len(target) > 0:
		return lookBrowser
	case !found:
		return lookMore
	}
	const http = "HTTP/"
	switch {
	case bytes.HasPrefix(version, []byte(http)):
		return lookBrowser
	case !complete && len(b) < maxLook && bytes.HasPrefix([]byte(http), version):
		return lookMore
	}
	return lookPlain
}

// lookForHello tells whether the first bytes are those of TLS: type handshake, a version
// 3.x, two bytes of length, message ClientHello.
func lookForHello(b []byte) look {
	for i, c := range b[:min(len(b), 6)] {
		switch {
		case i == 0 && c != 0x16, i == 1 && c != 3, i == 2 && c > 4, i == 5 && c != 1:
			return lookPlain
		}
	}
	switch {
	case len(b) >= 6:
		return lookBrowser
	case len(b) == 0 || b[0] == 0x16:
		return lookMore
	}
	return lookPlain
}
