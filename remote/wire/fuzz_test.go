package wire

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"time"

	"rpipe/remote/wire/wiretest"
)

// seeds adds the payloads of the vectors' frames of one type, without the byte
// that says whether another frame follows, where there is one.
func seeds(f *testing.F, typ Type) {
	f.Helper()
	n := 0
	for _, v := range wiretest.Vectors(f, vectorsDir) {
		for r := bytes.NewReader(v.Bytes); ; {
			frame, err := ReadFrame(r)
			if err != nil {
				break
			}
			if frame.Type != typ || len(frame.Payload) > 8<<10 {
				continue
			}
			p := frame.Payload
			if typ == TypeOpen || typ == TypePrograms {
				p = p[1:]
			}
			f.Add(p)
			n++
		}
	}
	if n == 0 {
		f.Fatalf("no vector has %v", typ)
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, v := range wiretest.Vectors(f, vectorsDir) {
		if len(v.Bytes) < 8<<10 {
			f.Add(v.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var again []byte
		for {
			frame, err := ReadFrame(r)
			if err == io.EOF {
				if !bytes.Equal(again, b) {
					t.Errorf("% x encodes to % x", b, again)
				}
				return
			}
			if err != nil {
				if !bytes.HasPrefix(b, again) {
					t.Errorf("% x encodes to % x", b, again)
				}
				return
			}
			if again, err = AppendFrame(again, frame); err != nil {
				t.Fatalf("%v of %d bytes cannot be encoded: %v", frame.Type, len(frame.Payload), err)
			}
		}
	})
}

// fuzzMessage checks that what decodes encodes to the same bytes, and that what
// does not is a *ProtocolError.
func fuzzMessage[T any](f *testing.F, typ Type, decode func([]byte) (T, error), encode func(T) ([]Frame, error)) {
	seeds(f, typ)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > MaxMessage {
			return
		}
		v, err := decode(b)
		if err != nil {
			if _, ok := err.(*ProtocolError); !ok {
				t.Errorf("error %v is a %T", err, err)
			}
			return
		}
		frames, err := encode(v)
		if err != nil {
			t.Fatalf("%+v cannot be encoded: %v", v, err)
		}
		again := frames[0].Payload
		if typ == TypeOpen || typ == TypePrograms {
			again = gather(t, frames)
		}
		if !bytes.Equal(again, b) {
			t.Errorf("% x encodes to % x", b, again)
		}
		if w, err := decode(again); err != nil || !reflect.DeepEqual(v, w) {
			t.Errorf("%+v decodes to %+v, %v", v, w, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	fuzzMessage(f, TypeOpen, DecodeOpen, Open.Frames)
}

func FuzzRefuse(f *testing.F) {
	fuzzMessage(f, TypeRefuse, DecodeRefuse, func(r Refuse) ([]Frame, error) { return []Frame{r.Frame()}, nil })
}

func FuzzEnd(f *testing.F) {
	fuzzMessage(f, TypeEnd, DecodeEnd, func(e End) ([]Frame, error) { return []Frame{e.Frame()}, nil })
}

func FuzzPrograms(f *testing.F) {
	fuzzMessage(f, TypePrograms, DecodePrograms, ProgramsFrames)
}

func FuzzSignal(f *testing.F) {
	fuzzMessage(f, TypeSignal, DecodeSignal, func(name string) ([]Frame, error) {
		frame, err := SignalFrame(name)
		return []Frame{frame}, err
	})
}

func FuzzHop(f *testing.F) {
	fuzzMessage(f, TypeHop, DecodeHop, func(h Hop) ([]Frame, error) {
		frame, err := h.Frame()
		return []Frame{frame}, err
	})
}

func FuzzHopped(f *testing.F) {
	fuzzMessage(f, TypeHopped, DecodeHopped, func(h Hopped) ([]Frame, error) { return []Frame{h.Frame()}, nil })
}

func FuzzTake(f *testing.F) {
	fuzzMessage(f, TypeTake, DecodeTake, func(k Take) ([]Frame, error) { return []Frame{k.Frame()}, nil })
}

func FuzzLost(f *testing.F) {
	fuzzMessage(f, TypeLost, DecodeLost, func(l Lost) ([]Frame, error) { return []Frame{l.Frame()}, nil })
}

// script is a peer that says what it is told and then nothing, or hangs up. It
// hears everything, or nothing.
type script struct {
	r      *bytes.Reader
	hangUp bool
	deaf   bool
	told   chan struct{} // closed when all is said
	closed chan struct{}
}

func (s *script) Read(p []byte) (int, error) {
	if n, err := s.r.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-s.told:
	default:
		close(s.told)
	}
	if s.hangUp {
		return 0, io.EOF
	}
	<-s.closed
	return 0, io.ErrClosedPipe
}

func (s *script) Write(p []byte) (int, error) {
	if s.deaf {
		<-s.closed
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func (s *script) Close() error {
	close(s.closed)
	return nil
}

// How a connection of FuzzConn is set up: bits of a number.
const (
	fuzzServer = 1 << iota
	fuzzSession
	fuzzEnded
	fuzzRead
	fuzzStop
	fuzzHangUp
	fuzzDeaf
	fuzzHop
	fuzzAll = 1<<iota - 1
)

func FuzzConn(f *testing.F) {
	for _, v := range wiretest.Vectors(f, vectorsDir) {
		if len(v.Bytes) > 8<<10 {
			continue
		}
		for _, how := range []uint8{0, fuzzSession | fuzzRead, fuzzSession | fuzzHangUp, fuzzSession | fuzzEnded, fuzzSession | fuzzStop | fuzzDeaf, fuzzHop | fuzzRead, fuzzHop | fuzzSession | fuzzRead} {
			f.Add(how, v.Bytes)
			f.Add(how|fuzzServer, v.Bytes)
		}
	}
	for _, role := range []Role{Client, Server} {
		f.Add(uint8(role.other()*fuzzServer), bytesOf(recorded(f), role))
	}
	f.Fuzz(func(t *testing.T, how uint8, b []byte) { fuzzConn(t, how&fuzzAll, b) })
}

func fuzzConn(t *testing.T, how uint8, b []byte) {
	is := func(bit uint8) bool { return how&bit != 0 }
	role := Client
	if is(fuzzServer) {
		role = Server
	}
	peer := &script{bytes.NewReader(b), is(fuzzHangUp), is(fuzzDeaf), make(chan struct{}), make(chan struct{})}
	budget := NewBudget(1 << 20)
	o := quiet(role)
	o.Budget = budget
	c := NewConn(peer, o)
	var s *Session
	switch {
	case is(fuzzHop):
		s = c.BeginHop()
		if is(fuzzSession) {
			c.begun(TypeTaken)
		}
	case is(fuzzSession):
		s = c.Begin()
		c.begun(TypeStart)
	}
	if is(fuzzEnded) {
		c.End()
	}
	var message Message
	c.Start(func(f Frame) error {
		if layouts[f.Type].from.has(role) || f.Type == TypeData {
			t.Errorf("a handler of role %d got %v", role, f.Type)
		}
		return fuzzHandle(c, &message, f)
	})
	results := make(chan struct{}, streams)
	readers := 0
	for id := range Stream(streams) {
		if s == nil || s.receiver(id) == nil || !is(fuzzRead|fuzzStop) {
			continue
		}
		readers++
		go func() {
			if is(fuzzRead) {
				_, _ = s.receiver(id).WriteTo(io.Discard)
			}
			if is(fuzzStop) {
				s.receiver(id).Stop()
			}
			results <- struct{}{}
		}()
	}
	wait := func(what string, c <-chan struct{}) {
		select {
		case <-c:
		case <-time.After(patience):
			t.Fatalf("hangs: %s", what)
		}
	}
	if is(fuzzHangUp) {
		wait("the peer hung up", c.Done())
	} else {
		select {
		case <-peer.told: // everything was taken off the network
		case <-c.Done():
		case <-time.After(patience):
			t.Fatal("hangs: the peer is not heard")
		}
	}
	if s != nil {
		for id := range Stream(streams) {
			r := s.receiver(id)
			if r == nil {
				continue
			}
			if n, most := r.chunks(), (r.size()+MaxPayload)/(MaxPayload-minRoom)+2; n > most {
				t.Errorf("%v holds %d chunks, more than %d", id, n, most)
			}
		}
	}
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()
	wait("Close", closed)
	for range readers {
		wait("a reader", results)
	}
	if left := budget.left.Load(); left != 1<<20 {
		t.Errorf("%d bytes are left of the budget", left)
	}
	if c.Err() == nil {
		t.Error("closed without an error")
	}
}

// size returns the receiver's window.
func (r *Receiver) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window
}

// fuzzHandle does with a control frame what a client or a server would.
func fuzzHandle(c *Conn, m *Message, f Frame) error {
	switch f.Type {
	case TypeOpen, TypePrograms:
		body, whole, err := m.Add(f)
		if err != nil || !whole {
			return err
		}
		if f.Type == TypePrograms {
			_, err = DecodePrograms(body)
			return err
		}
		o, err := DecodeOpen(body)
		if err == nil {
			s := c.Begin()
			if o.In != nil {
				s.Divert(Stdin)
			}
			if o.Out {
				s.Divert(Stdout)
			}
		}
		return err
	case TypeRefuse:
		_, err := DecodeRefuse(f.Payload)
		return err
	case TypeSignal:
		_, err := DecodeSignal(f.Payload)
		return err
	case TypeEnd:
		_, err := DecodeEnd(f.Payload)
		c.End()
		return err
	case TypeHop:
		_, err := DecodeHop(f.Payload)
		return err
	case TypeHopped:
		_, err := DecodeHopped(f.Payload)
		return err
	case TypeTake:
		_, err := DecodeTake(f.Payload)
		c.BeginHop()
		return err
	case TypeLost:
		_, err := DecodeLost(f.Payload)
		return err
	}
	return nil
}
