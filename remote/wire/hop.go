package wire

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Secret is the secret of a ticket: whoever knows it and has the right host key may
// take the hop. It is never printed.
type Secret [SecretLen]byte

// NewSecret returns 256 random bits.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:]) // it never fails (crypto/rand)
	return s
}

// Format implements fmt.Formatter. It writes the same for every secret.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "secret") }

// Digest names what runs in a session: see [Open.Digest].
type Digest [DigestLen]byte

// Hop asks a daemon to connect the output of its session to the input of another
// daemon's.
type Hop struct {
	// Name is the peer as the user wrote it, 1 to MaxPeerName bytes: for logs and
	// texts. Nothing is ever connected to because of it.
	Name string
	// Peer is the peer's host key in SSH's wire format, 1 to MaxPeerKey bytes. The
	// daemon looks up by it whether, and where, it may connect.
	Peer []byte
	// Secret and Digest are of the other session.
	Secret Secret
	Digest Digest
}

// Frame encodes h. It returns an error where a limit is passed.
func (h Hop) Frame() (Frame, error) {
	if !validPeerName(h.Name) || !validPeerKey(h.Peer) {
		return Frame{}, fmt.Errorf("a peer has a name of 1 to %d bytes, none of them NUL, and a key of 1 to %d: %.64q with %d has not",
			MaxPeerName, MaxPeerKey, h.Name, len(h.Peer))
	}
	var b cryptobyte.Builder
	addString8(&b, h.Name)
	addPeerKey(&b, h.Peer)
	b.AddBytes(h.Secret[:])
	b.AddBytes(h.Digest[:])
	return Frame{Type: TypeHop, Payload: b.BytesOrPanic()}, nil
}

// DecodeHop decodes the payload of a HOP. Its error is a *ProtocolError.
func DecodeHop(payload []byte) (Hop, error) {
	s := cryptobyte.String(payload)
	var h Hop
	if !readString8(&s, &h.Name) || !validPeerName(h.Name) || !readPeerKey(&s, &h.Peer) ||
		!s.CopyBytes(h.Secret[:]) || !s.CopyBytes(h.Digest[:]) || !s.Empty() {
		return Hop{}, violation("malformed HOP")
	}
	return h, nil
}

func validPeerName(name string) bool {
	return name != "" && len(name) <= MaxPeerName && strings.IndexByte(name, 0) < 0
}

// Hopped answers a Hop.
type Hopped struct {
	Made bool   // otherwise the output goes to the client
	Text string // why not, for people; "" where it was made
}

// Frame encodes h. Text is cut to MaxText, between two characters where it is
// UTF-8; it is left out where the hop was made.
func (h Hopped) Frame() Frame {
	if h.Made {
		h.Text = ""
	}
	var b cryptobyte.Builder
	b.AddUint8(bit(h.Made))
	addText(&b, h.Text)
	return Frame{Type: TypeHopped, Payload: b.BytesOrPanic()}
}

// DecodeHopped decodes the payload of a HOPPED. Its error is a *ProtocolError.
func DecodeHopped(payload []byte) (Hopped, error) {
	s := cryptobyte.String(payload)
	var h Hopped
	if !readFlag(&s, &h.Made) || !readText(&s, &h.Text) || !s.Empty() || h.Made && h.Text != "" {
		return Hopped{}, violation("malformed HOPPED")
	}
	return h, nil
}

// Direction is what a hop carries.
type Direction uint8

// ToStdin is the only direction that has a meaning: the taker sends the session's
// stdin. A server refuses others.
const ToStdin Direction = 1

// Take asks for the hop that a ticket stands for.
type Take struct {
	Direction Direction
	Secret    Secret
	Digest    Digest
}

// Frame encodes t.
func (t Take) Frame() Frame {
	var b cryptobyte.Builder
	b.AddUint8(uint8(t.Direction))
	b.AddBytes(t.Secret[:])
	b.AddBytes(t.Digest[:])
	return Frame{Type: TypeTake, Payload: b.BytesOrPanic()}
}

// DecodeTake decodes the payload of a TAKE. Its error is a *ProtocolError.
func DecodeTake(payload []byte) (Take, error) {
	s := cryptobyte.String(payload)
	var t Take
	var direction uint8
	if !s.ReadUint8(&direction) || !s.CopyBytes(t.Secret[:]) || !s.CopyBytes(t.Digest[:]) || !s.Empty() {
		return Take{}, violation("malformed TAKE")
	}
	t.Direction = Direction(direction)
	return t, nil
}

// Lost tells a client that the hop into its session was cut.
type Lost struct {
	In   uint64 // bytes of stdin that had arrived
	Text string // for people
}

// Frame encodes l. Text is cut to MaxText, between two characters where it is
// UTF-8.
func (l Lost) Frame() Frame {
	var b cryptobyte.Builder
	b.AddUint64(l.In)
	addText(&b, l.Text)
	return Frame{Type: TypeLost, Payload: b.BytesOrPanic()}
}

// DecodeLost decodes the payload of a LOST. Its error is a *ProtocolError.
func DecodeLost(payload []byte) (Lost, error) {
	s := cryptobyte.String(payload)
	var l Lost
	if !s.ReadUint64(&l.In) || !readText(&s, &l.Text) || !s.Empty() {
		return Lost{}, violation("malformed LOST")
	}
	return l, nil
}
