package wire

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Open asks for a session: its programs, joined by pipes in this order. The
// first reads the session's stdin, the last writes its stdout, all of them
// write its stderr.
//
// In is how the input gets there over a hop, nil where the client sends it. Out
// says that a HOP will tell where the output goes; otherwise that goes to the
// client.
type Open struct {
	Programs []Program
	In       *Ticket
	Out      bool
}

// Ticket lets one daemon, once, send the input of a session.
type Ticket struct {
	Secret Secret
	Peer   []byte // host key of that daemon in SSH's wire format (RFC 4253, section 6.6)
}

// Program is one command of a session. No string in it may hold a NUL byte.
type Program struct {
	Name string   // as the daemon exposes it: 1 to 255 bytes
	Args []string // without the name
	Env  []Env
}

// Env is a variable offered to a program.
type Env struct {
	Name, Value string
	// Required refuses the program where the daemon does not take the
	// variable. Others are left out without a word.
	Required bool
}

// Frames encodes o. It returns an error where a string holds a NUL byte or a
// limit is passed.
func (o Open) Frames() ([]Frame, error) {
	programs, err := encodePrograms(o.Programs)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddUint8(bit(o.In != nil))
	b.AddUint8(bit(o.Out))
	if o.In != nil {
		if !validPeerKey(o.In.Peer) {
			return nil, fmt.Errorf("the host key in a ticket has 1 to %d bytes, not %d", MaxPeerKey, len(o.In.Peer))
		}
		b.AddBytes(o.In.Secret[:])
		addPeerKey(&b, o.In.Peer)
	}
	b.AddBytes(programs)
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return split(TypeOpen, body)
}

// Digest returns the SHA-256 of the programs as they are sent: names, arguments
// and variables. A ticket is good for no others. Of an Open that Frames refuses it
// means nothing.
func (o Open) Digest() Digest {
	programs, err := encodePrograms(o.Programs)
	if err != nil {
		return Digest{}
	}
	return sha256.Sum256(programs)
}

func encodePrograms(programs []Program) ([]byte, error) {
	if n := len(programs); n == 0 || n > MaxPrograms {
		return nil, fmt.Errorf("a session has 1 to %d programs, not %d", MaxPrograms, n)
	}
	var b cryptobyte.Builder
	var args int
	for _, p := range programs {
		if err := p.check(); err != nil {
			return nil, err
		}
		if args += len(p.Args) + len(p.Env); args > MaxArgs {
			return nil, fmt.Errorf("more than %d arguments and variables", MaxArgs)
		}
		addString8(&b, p.Name)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, a := range p.Args {
				addString24(b, a)
			}
		})
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, e := range p.Env {
				b.AddUint8(bit(e.Required))
				addString8(b, e.Name)
				addString24(b, e.Value)
			}
		})
	}
	return b.Bytes()
}

func (p Program) check() error {
	if p.Name == "" || len(p.Name) > 255 || strings.IndexByte(p.Name, 0) >= 0 {
		return fmt.Errorf("the name of a program has 1 to 255 bytes, none of them NUL: %.64q is none", p.Name)
	}
	size := len(p.Name)
	for i, a := range p.Args {
		if strings.IndexByte(a, 0) >= 0 {
			return fmt.Errorf("argument %d of %q has a NUL byte, which no argument can hold", i+1, p.Name)
		}
		size += len(a)
	}
	for _, e := range p.Env {
		if e.Name == "" || len(e.Name) > 255 || strings.ContainsAny(e.Name, "=\x00") || strings.IndexByte(e.Value, 0) >= 0 {
			return fmt.Errorf("variable %.64q cannot be passed on: a name of 1 to 255 bytes without = and no NUL byte is needed", e.Name)
		}
		size += len(e.Name) + len(e.Value)
	}
	if size > MaxMessage {
		return fmt.Errorf("arguments and environment of %.64q take %d bytes, more than %d", p.Name, size, MaxMessage)
	}
	return nil
}

// DecodeOpen decodes the body of an OPEN. Its error is a *ProtocolError.
func DecodeOpen(body []byte) (Open, error) {
	var o Open
	s := cryptobyte.String(body)
	var in bool
	if !readFlag(&s, &in) || !readFlag(&s, &o.Out) {
		return o, violation("malformed OPEN")
	}
	if in {
		o.In = new(Ticket)
		if !s.CopyBytes(o.In.Secret[:]) || !readPeerKey(&s, &o.In.Peer) {
			return o, violation("malformed ticket in OPEN")
		}
	}
	left := MaxArgs
	for !s.Empty() {
		var p Program
		var args, env cryptobyte.String
		if len(o.Programs) == MaxPrograms {
			return o, violation("OPEN of more than %d programs", MaxPrograms)
		}
		if !readString8(&s, &p.Name) || !s.ReadUint24LengthPrefixed(&args) || !s.ReadUint24LengthPrefixed(&env) {
			return o, violation("truncated OPEN")
		}
		for ; !args.Empty(); left-- {
			var a string
			if !readString24(&args, &a) {
				return o, violation("truncated argument in OPEN")
			}
			if left == 0 {
				return o, violation("OPEN of more than %d arguments and variables", MaxArgs)
			}
			p.Args = append(p.Args, a)
		}
		for ; !env.Empty(); left-- {
			var e Env
			if !readFlag(&env, &e.Required) || !readString8(&env, &e.Name) || !readString24(&env, &e.Value) {
				return o, violation("truncated variable in OPEN")
			}
			if left == 0 {
				return o, violation("OPEN of more than %d arguments and variables", MaxArgs)
			}
			p.Env = append(p.Env, e)
		}
		if err := p.check(); err != nil {
			return o, violation("OPEN: %v", err)
		}
		o.Programs = append(o.Programs, p)
	}
	if len(o.Programs) == 0 {
		return o, violation("OPEN of no program")
	}
	return o, nil
}
