package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Type is the kind of a frame. The numbers are the protocol's.
type Type uint8

// The frames of version 1. Every other number is an error.
const (
	TypeOpen     Type = 0x01 // client: the programs of a session
	TypeAccept   Type = 0x02 // server: they may run
	TypeRefuse   Type = 0x03 // server: they may not
	TypeStart    Type = 0x04 // client: run them
	TypeData     Type = 0x05 // either: bytes of a stream
	TypeEOF      Type = 0x06 // either: the stream is complete
	TypeStop     Type = 0x07 // either: nobody reads the stream any more
	TypeWindow   Type = 0x08 // either: credit for the stream
	TypeSignal   Type = 0x09 // client: a signal for the session's processes
	TypePing     Type = 0x0a // either: answer with the same number
	TypePong     Type = 0x0b // either: the answer
	TypeEnd      Type = 0x0c // server: how one program ended
	TypeList     Type = 0x0d // client: which programs may I run?
	TypePrograms Type = 0x0e // server: these
	TypePause    Type = 0x0f // client: it is about to be stopped
	TypeHop      Type = 0x20 // client: connect your output to that peer
	TypeHopped   Type = 0x21 // server: done, or why not
	TypeRelay    Type = 0x22 // client: the input comes from here after all
	TypeTake     Type = 0x23 // client, a daemon: this connection is the hop of that ticket
	TypeTaken    Type = 0x24 // server: it is
	TypeLost     Type = 0x25 // server: the input was cut, and the programs killed
)

// String returns the type's name as the specification writes it.
func (t Type) String() string {
	if l, ok := t.layout(); ok {
		return l.name
	}
	return fmt.Sprintf("frame type 0x%02x", uint8(t))
}

// Stream names one of the data streams of a session.
type Stream uint8

// The data streams. Frames that belong to no stream carry 0.
const (
	Stdin  Stream = 0 // client to server, also on a hop
	Stdout Stream = 1 // server to client
	Stderr Stream = 2 // server to client

	streams = 3
)

// String returns the stream's usual name.
func (s Stream) String() string {
	switch s {
	case Stdin:
		return "stdin"
	case Stdout:
		return "stdout"
	case Stderr:
		return "stderr"
	}
	return fmt.Sprintf("stream %d", uint8(s))
}

// Limits of the protocol. They hold for both ends and are checked before memory
// is taken.
const (
	// HeaderLen is the length of a frame's header: type, stream, and the
	// length of the payload as a 24-bit big-endian number.
	HeaderLen = 5
	// MaxPayload is the longest payload of a frame, in bytes.
	MaxPayload = 64 << 10
	// InitialWindow is the credit that each stream starts with, in bytes.
	InitialWindow = 256 << 10
	// MaxWindow is the most credit that a stream may have at once, in bytes.
	MaxWindow = 4 << 20
)

// ChunkLen is the best length of a Write to a [Sender]: as a frame it fills four
// TLS records (RFC 8446, section 5.1) with its header, and no short fifth one
// follows.
const ChunkLen = 4*(16<<10) - HeaderLen

// layout says what a frame of one type may look like.
type layout struct {
	name     string
	from     roles // who may send it
	min, max int   // of the payload
	stream   bool  // carries a stream number
}

// roles is a set of Role.
type roles uint8

const (
	fromClient roles = 1 << Client
	fromServer roles = 1 << Server
	fromEither       = fromClient | fromServer
)

func (r roles) has(role Role) bool { return r&(1<<role) != 0 }

// layouts are those of version 1, by type.
var layouts = [...]layout{
	TypeOpen:     {"OPEN", fromClient, 2, MaxPayload, false},
	TypeAccept:   {"ACCEPT", fromServer, 1, 1, false},
	TypeRefuse:   {"REFUSE", fromServer, 4, 4 + MaxText, false},
	TypeStart:    {"START", fromClient, 0, 0, false},
	TypeData:     {"DATA", fromEither, 1, MaxPayload, true},
	TypeEOF:      {"EOF", fromEither, 8, 8, true},
	TypeStop:     {"STOP", fromEither, 0, 0, true},
	TypeWindow:   {"WINDOW", fromEither, 4, 4, true},
	TypeSignal:   {"SIGNAL", fromClient, 2, 1 + maxSignal, false},
	TypePing:     {"PING", fromEither, 8, 8, false},
	TypePong:     {"PONG", fromEither, 8, 8, false},
	TypeEnd:      {"END", fromServer, 44, 44 + maxSignal, false},
	TypeList:     {"LIST", fromClient, 0, 0, false},
	TypePrograms: {"PROGRAMS", fromServer, 1, MaxPayload, false},
	TypePause:    {"PAUSE", fromClient, 0, 0, false},
	TypeHop:      {"HOP", fromClient, minHop, minHop - 2 + MaxPeerName + MaxPeerKey, false},
	TypeHopped:   {"HOPPED", fromServer, 3, 3 + MaxText, false},
	TypeRelay:    {"RELAY", fromClient, 0, 0, false},
	TypeTake:     {"TAKE", fromClient, 1 + SecretLen + DigestLen, 1 + SecretLen + DigestLen, false},
	TypeTaken:    {"TAKEN", fromServer, 0, 0, false},
	TypeLost:     {"LOST", fromServer, 10, 10 + MaxText, false},
}

// layout returns false for a type that version 1 does not know.
func (t Type) layout() (layout, bool) {
	if int(t) >= len(layouts) || layouts[t].name == "" {
		return layout{}, false
	}
	return layouts[t], true
}

// Frame is one unit of the protocol. Payload is the caller's: a Conn copies it
// when it sends, and a received one is valid until the handler returns.
type Frame struct {
	Type    Type
	Stream  Stream
	Payload []byte
}

// ProtocolError is a peer that breaks the rules. The connection is of no use
// after it.
type ProtocolError struct {
	Problem string
}

// Error says what was wrong.
func (e *ProtocolError) Error() string { return "protocol error: " + e.Problem }

func violation(format string, args ...any) error {
	return &ProtocolError{Problem: fmt.Sprintf(format, args...)}
}

// header is a checked frame header.
type header struct {
	typ    Type
	stream Stream
	length int
}

// readHeader reads and checks one header. It returns io.EOF, unwrapped, only
// where not a byte of a header was there.
func readHeader(r io.Reader, buf *[HeaderLen]byte) (header, error) {
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return header{}, err
	}
	h := header{
		typ:    Type(buf[0]),
		stream: Stream(buf[1]),
		length: int(buf[2])<<16 | int(buf[3])<<8 | int(buf[4]),
	}
	l, known := h.typ.layout()
	switch {
	case !known:
		return header{}, violation("unknown %v", h.typ)
	case l.stream && h.stream >= streams:
		return header{}, violation("%v for unknown %v", h.typ, h.stream)
	case !l.stream && h.stream != 0:
		return header{}, violation("%v with a stream number", h.typ)
	case h.length < l.min || h.length > l.max:
		return header{}, violation("%v of %d bytes", h.typ, h.length)
	}
	return h, nil
}

// putHeader writes the header into the first bytes of an encoded frame.
func putHeader(frame []byte, t Type, s Stream) {
	n := len(frame) - HeaderLen
	frame[0], frame[1] = byte(t), byte(s)
	frame[2], frame[3], frame[4] = byte(n>>16), byte(n>>8), byte(n)
}

// ReadFrame reads one frame from r. It returns io.EOF where r ended between two
// frames, io.ErrUnexpectedEOF where it ended inside one, and *ProtocolError for
// what version 1 does not know. No more than MaxPayload bytes are allocated.
func ReadFrame(r io.Reader) (Frame, error) {
	var buf [HeaderLen]byte
	h, err := readHeader(r, &buf)
	if err != nil {
		return Frame{}, err
	}
	f := Frame{Type: h.typ, Stream: h.stream}
	if h.length > 0 {
		f.Payload = make([]byte, h.length)
		if err := readFull(r, f.Payload); err != nil {
			return Frame{}, err
		}
	}
	return f, nil
}

// WriteFrame writes one frame to w in a single Write. It returns an error,
// and writes nothing, where the frame is not one of version 1.
func WriteFrame(w io.Writer, f Frame) error {
	b, err := AppendFrame(nil, f)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// AppendFrame appends the encoding of f to b. It returns an error where the
// frame is not one of version 1.
func AppendFrame(b []byte, f Frame) ([]byte, error) {
	l, known := f.Type.layout()
	switch n := len(f.Payload); {
	case !known:
		return b, fmt.Errorf("cannot send %v", f.Type)
	case n < l.min || n > l.max:
		return b, fmt.Errorf("cannot send %v of %d bytes", f.Type, n)
	case l.stream && f.Stream >= streams, !l.stream && f.Stream != 0:
		return b, fmt.Errorf("cannot send %v on %v", f.Type, f.Stream)
	}
	start := len(b)
	b = append(append(b, make([]byte, HeaderLen)...), f.Payload...)
	putHeader(b[start:], f.Type, f.Stream)
	return b, nil
}

// number is the payload of EOF, PING and PONG.
func number(p []byte) uint64 { return binary.BigEndian.Uint64(p) }

// credit is the payload of WINDOW.
func credit(p []byte) uint32 { return binary.BigEndian.Uint32(p) }

func numberFrame(t Type, s Stream, n uint64) Frame {
	return Frame{Type: t, Stream: s, Payload: binary.BigEndian.AppendUint64(nil, n)}
}

func windowFrame(s Stream, n uint32) Frame {
	return Frame{Type: TypeWindow, Stream: s, Payload: binary.BigEndian.AppendUint32(nil, n)}
}
