package wire

import (
	"fmt"
	"io"
)

// readLoop reads frames until the connection ends, and never waits for anything
// else.
func (c *Conn) readLoop(handle func(Frame) error) error {
	var buf [HeaderLen]byte
	var scratch []byte
	for {
		h, err := readHeader(c.in, &buf)
		if err != nil {
			return err
		}
		if !layouts[h.typ].from.has(c.role.other()) {
			return violation("%v from the wrong side", h.typ)
		}
		if h.typ == TypeData {
			err = c.readData(h, &scratch)
		} else {
			f := Frame{Type: h.typ, Stream: h.stream, Payload: grow(&scratch, h.length)}
			if err = readFull(c.in, f.Payload); err == nil {
				err = c.dispatch(f, handle)
			}
		}
		if err != nil {
			return err
		}
	}
}

func grow(scratch *[]byte, n int) []byte {
	if cap(*scratch) < n {
		*scratch = make([]byte, n)
	}
	return (*scratch)[:n]
}

// running returns the session, for a frame that only comes after START or TAKEN.
// It reports whether the frame is late, of a session that has ended.
func (c *Conn) running(what func() string) (s *Session, late bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.session == nil && c.ended:
		return nil, true, nil
	case c.session == nil:
		return nil, false, violation("%s outside a session", what())
	case !c.started && c.session.hop:
		return nil, false, violation("%s before TAKEN", what())
	case !c.started:
		return nil, false, violation("%s before START", what())
	}
	return c.session, false, nil
}

// current returns the session's receiver or sender for a frame that came. Both
// may be nil with a nil error: the frame is of an ended session.
func (c *Conn) current(t Type, id Stream) (*Receiver, *Sender, error) {
	s, late, err := c.running(func() string { return fmt.Sprintf("%v of %v", t, id) })
	if err != nil || late {
		return nil, nil, err
	}
	if !c.carries(s, id) {
		return nil, nil, violation("%v of %v, which this connection does not carry", t, id)
	}
	r, w := s.receiver(id), s.sender(id)
	if wantReceiver := t == TypeData || t == TypeEOF; wantReceiver != (r != nil) {
		return nil, nil, violation("%v of %v from the wrong side", t, id)
	}
	return r, w, nil
}

func (c *Conn) carries(s *Session, id Stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.carries(id)
}

func (c *Conn) readData(h header, scratch *[]byte) error {
	r, _, err := c.current(h.typ, h.stream)
	if err != nil {
		return err
	}
	if r == nil {
		return readFull(c.in, grow(scratch, h.length))
	}
	if err := r.accept(h.length); err != nil {
		return err
	}
	for left := h.length; left > 0; {
		p := r.room(left)
		if p == nil {
			p = grow(scratch, left)
		}
		if err := readFull(c.in, p); err != nil {
			return err
		}
		r.commit(len(p))
		left -= len(p)
	}
	return nil
}

// dispatch acts on a frame that is not DATA.
func (c *Conn) dispatch(f Frame, handle func(Frame) error) error {
	switch f.Type {
	case TypePing:
		select {
		case <-c.pong: // one answer stands for all that came before
		default:
		}
		c.pong <- number(f.Payload) // has room: nobody else sends
		return nil
	case TypePong:
		return nil
	case TypePause:
		c.setPaused(true)
		return nil
	case TypeEOF, TypeStop, TypeWindow:
		return c.dispatchStream(f)
	case TypeSignal:
		if _, late, err := c.running(f.Type.String); late || err != nil {
			return err
		}
	case TypeStart, TypeTaken:
		c.begun(f.Type)
	case TypeOpen, TypeList:
		c.fresh()
	}
	return handle(f)
}

func (c *Conn) dispatchStream(f Frame) error {
	r, s, err := c.current(f.Type, f.Stream)
	switch {
	case err != nil:
		return err
	case r == nil && s == nil:
		return nil
	case f.Type == TypeEOF:
		return r.finish(number(f.Payload))
	case f.Type == TypeStop:
		s.stop()
		return nil
	}
	return s.grant(credit(f.Payload))
}

// fresh takes a request: what the client sent for the session before it has all
// come.
func (c *Conn) fresh() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = false
}

// readFull is io.ReadFull for the inside of a frame, where an end is never
// expected.
func readFull(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}
