package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

// Limits of messages.
const (
	// MaxMessage is the longest OPEN or PROGRAMS, over all its frames, in bytes.
	MaxMessage = 4 << 20
	// MaxPrograms is how many programs one OPEN may name.
	MaxPrograms = 64
	// MaxArgs is how many arguments and variables one OPEN may hold, over all
	// its programs. It bounds what empty ones take in memory; Linux with its
	// usual 8 MiB of stack starts no program with more (execve(2)).
	MaxArgs = 1 << 18
	// MaxListings is how many programs one PROGRAMS may hold.
	MaxListings = 1 << 16
	// MaxText is the longest text of a REFUSE, a HOPPED or a LOST, in bytes.
	MaxText = 4096
	// MaxPeerName is the longest name of a peer in a HOP, in bytes.
	MaxPeerName = 255
	// MaxPeerKey is the longest host key in an OPEN or a HOP, in bytes.
	MaxPeerKey = 8192
	// SecretLen is the length of a ticket's secret, in bytes.
	SecretLen = 32
	// DigestLen is the length of an OPEN's digest, in bytes: that of SHA-256.
	DigestLen = 32

	minHop    = 1 + 1 + 2 + 1 + SecretLen + DigestLen
	maxSignal = 16
	maxTime   = 1 << 50 // microseconds: 35 years, within a time.Duration
)

// split spreads a message over frames: the first byte of each payload is 1
// where another frame of the message follows, else 0.
func split(t Type, body []byte) ([]Frame, error) {
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("%v of %d bytes is longer than %d", t, len(body), MaxMessage)
	}
	var frames []Frame
	for more := true; more; {
		n := min(len(body), MaxPayload-1)
		more = n < len(body)
		payload := append(make([]byte, 0, 1+n), bit(more))
		frames = append(frames, Frame{Type: t, Payload: append(payload, body[:n]...)})
		body = body[n:]
	}
	return frames, nil
}

// Message collects the frames of one OPEN or PROGRAMS. The zero Message is
// ready; it is for one goroutine.
type Message struct {
	body []byte
	typ  Type // 0 between two messages
}

// Add takes the next frame. It returns the whole body, and true, with the last
// one; a Message may then be used again. Its error is a *ProtocolError.
func (m *Message) Add(f Frame) ([]byte, bool, error) {
	if m.typ != 0 && m.typ != f.Type {
		return nil, false, violation("%v inside %v", f.Type, m.typ)
	}
	m.typ = f.Type
	s := cryptobyte.String(f.Payload)
	var more bool
	if !readFlag(&s, &more) {
		return nil, false, violation("malformed %v", f.Type)
	}
	if len(m.body)+len(s) > MaxMessage {
		return nil, false, violation("%v longer than %d bytes", f.Type, MaxMessage)
	}
	if more && len(s) != MaxPayload-1 || !more && s.Empty() && len(m.body) > 0 {
		return nil, false, violation("%v in needless pieces", f.Type)
	}
	m.body = append(m.body, s...)
	if more {
		return nil, false, nil
	}
	body := m.body
	*m = Message{}
	return body, true, nil
}

// Partial reports whether a message has begun and not ended.
func (m *Message) Partial() bool { return m.typ != 0 }

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

func readFlag(s *cryptobyte.String, out *bool) bool {
	var v uint8
	if !s.ReadUint8(&v) || v > 1 {
		return false
	}
	*out = v == 1
	return true
}

func addString8(b *cryptobyte.Builder, v string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
}

func addString24(b *cryptobyte.Builder, v string) {
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(v)) })
}

// addText adds a text for people, cut to MaxText, between two characters where it
// is UTF-8.
func addText(b *cryptobyte.Builder, text string) {
	if n := MaxText; len(text) > n {
		for n > MaxText-utf8.UTFMax && !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
}

func readText(s *cryptobyte.String, out *string) bool {
	var v cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&v) || len(v) > MaxText {
		return false
	}
	*out = string(v)
	return true
}

func addPeerKey(b *cryptobyte.Builder, key []byte) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(key) })
}

func readPeerKey(s *cryptobyte.String, out *[]byte) bool {
	var v cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&v) || !validPeerKey(v) {
		return false
	}
	*out = bytes.Clone(v)
	return true
}

func validPeerKey(key []byte) bool { return len(key) > 0 && len(key) <= MaxPeerKey }

func readString8(s *cryptobyte.String, out *string) bool {
	var v cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&v) {
		return false
	}
	*out = string(v)
	return true
}

func readString24(s *cryptobyte.String, out *string) bool {
	var v cryptobyte.String
	if !s.ReadUint24LengthPrefixed(&v) {
		return false
	}
	*out = string(v)
	return true
}
