package serve

import (
	"fmt"

	"rpipe/remote/wire"
)

// source is where a session's input comes from: a stream of the caller's
// connection, or a hop.
type source struct {
	*wire.Receiver
	wire *wire.Conn // which the stream is on
	hop  *hop       // nil: the caller's
}

// sink is where an output of a session goes: a stream of the caller's connection,
// or a hop.
type sink struct {
	*wire.Sender
	wire *wire.Conn
	hop  *hop
}

// source returns the session's, after START.
func (s *session) source() source {
	if s.ticket != nil {
		if h := s.conn.server.tickets.taken(s.ticket); h != nil {
			return source{Receiver: h.stream.Input, wire: h.wire, hop: h}
		}
	}
	return source{Receiver: s.streams.Input, wire: s.conn.wire}
}

// sink returns the session's, after START.
func (s *session) sink() sink {
	if h := s.out; h != nil {
		return sink{Sender: h.stream.Stdin, wire: h.wire, hop: h}
	}
	return sink{Sender: s.streams.Output, wire: s.conn.wire}
}

// ended is closed when the hop has ended, well or not; nil where there is none.
func (s source) ended() <-chan struct{} {
	if s.hop == nil {
		return nil
	}
	return s.wire.Done()
}

// cut returns a *cutError where the hop has ended before the input did, and
// somebody still wanted it; else nil.
func (s source) cut() error {
	if s.hop == nil || s.wire.Err() == nil || s.Complete() || s.Receiver.Stopped() {
		return nil
	}
	return &cutError{In: s.Received(), Err: s.wire.Err()}
}

// A cutError says that the hop into a session ended before the input did.
type cutError struct {
	In  uint64 // bytes that had arrived
	Err error  // why it ended
}

func (e *cutError) Error() string {
	return fmt.Sprintf("the connection that brought the input was cut after %d bytes: %v", e.In, cutReason(e.Err))
}

func (e *cutError) Unwrap() error { return e.Err }

// abort ends a stream without EOF, and the hop with it.
func (s sink) abort() {
	s.Abort()
	if s.hop != nil {
		s.wire.Drop()
	}
}
