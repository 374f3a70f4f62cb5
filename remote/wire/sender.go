package wire

import (
	"errors"
	"io"
	"sync"
)

// ErrStopped is returned to a writer whose reader wants no more. It is the
// network's EPIPE.
var ErrStopped = errors.New("the other end stopped reading")

// ErrAborted is returned to a writer after Abort.
var ErrAborted = errors.New("stream aborted")

// ErrDiverted is returned to the writer and the reader of a stream that a hop
// carries.
var ErrDiverted = errors.New("the stream goes over a hop")

// Sender is the sending end of a stream. Write, ReadFrom and Close are for one
// goroutine; the others may be called from any.
type Sender struct {
	conn *Conn
	id   Stream

	mu      sync.Mutex
	wake    sync.Cond // credit came, or err was set
	credit  int
	sent    uint64
	stopped bool          // STOP came before the end
	late    bool          // the session has ended: nothing is sent any more
	err     error         // ErrStopped, ErrAborted, io.ErrClosedPipe, or the connection's
	over    chan struct{} // closed with err set
}

func newSender(c *Conn, id Stream) *Sender {
	s := &Sender{conn: c, id: id, credit: InitialWindow, over: make(chan struct{})}
	s.wake.L = &s.mu
	return s
}

// Write sends p, waiting for credit where there is none. It returns ErrStopped
// after the other end sent STOP, ErrAborted after Abort, io.ErrClosedPipe after
// Close, and the connection's error after that ended. A Write of ChunkLen is the
// cheapest for each byte.
func (s *Sender) Write(p []byte) (int, error) {
	var done int
	for done < len(p) {
		n, err := s.take(len(p) - done)
		if err != nil {
			return done, err
		}
		if err := s.conn.sendData(s, p[done:done+n]); err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// ReadFrom sends what r gives until its io.EOF, which it does not pass on: Close
// must follow. It reads only what it has credit for. It returns r's error as it
// is, or one of Write's, but not before a Read that is under way. It saves a copy
// of each byte against Write.
func (s *Sender) ReadFrom(r io.Reader) (int64, error) {
	frame := make([]byte, HeaderLen+ChunkLen)
	var done int64
	for {
		n, err := s.take(ChunkLen)
		if err != nil {
			return done, err
		}
		k, rerr := r.Read(frame[HeaderLen : HeaderLen+n])
		if k < 0 || k > n {
			return done, errors.New("reader returned an invalid count from Read")
		}
		s.untake(n - k)
		if k > 0 {
			if err := s.conn.sendFrame(s, frame[:HeaderLen+k]); err != nil {
				return done, err
			}
			done += int64(k)
		}
		if rerr == io.EOF {
			return done, nil
		}
		if rerr != nil {
			return done, rerr
		}
	}
}

// take waits for credit and returns how many of want bytes may be sent now, in
// one frame.
func (s *Sender) take(want int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit == 0 && s.err == nil {
		s.wake.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	if want > MaxPayload {
		want = ChunkLen
	}
	n := min(want, s.credit)
	s.credit -= n
	return n, nil
}

// untake gives back what take had taken and no frame has used.
func (s *Sender) untake(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.credit += n
}

// Close says that the stream is complete, and how many bytes it had. After the
// other end's STOP a client sends nothing, since nobody is there to read it, and
// Close returns ErrStopped; a server's streams have their EOF even then. After
// Abort, after the session's end and after the connection's, Close sends nothing
// and returns the error; a second Close returns io.ErrClosedPipe. Close and Abort
// are in an order: the first of them decides.
func (s *Sender) Close() error {
	return s.conn.sendEOF(s)
}

// Abort gives the stream up: no EOF follows, so the other end cannot take what
// it got for the whole. When Abort has returned, no frame of the stream is
// begun any more. It does not block. After Close it does nothing.
func (s *Sender) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == ErrStopped {
		s.err = ErrAborted
	}
	s.finally(ErrAborted)
}

// Over is closed when the stream takes no more: after STOP, Close and Abort, and
// at the end of the session or of the connection. It is for a producer that
// should not wait for its next Write to learn it.
func (s *Sender) Over() <-chan struct{} { return s.over }

// Stopped reports whether the other end sent STOP before Close and Abort.
func (s *Sender) Stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// Sent returns the bytes sent so far.
func (s *Sender) Sent() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// count begins a DATA frame of n bytes, unless the stream has ended.
func (s *Sender) count(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.sent += uint64(n)
	return nil
}

// finish begins the EOF frame, and returns its count, unless the stream has
// ended or never will.
func (s *Sender) finish() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped := s.err == ErrStopped && s.conn.role == Server && !s.late
	if s.err != nil && !stopped {
		return 0, s.err
	}
	s.finally(io.ErrClosedPipe)
	s.err = io.ErrClosedPipe
	return s.sent, nil
}

// stop takes STOP.
func (s *Sender) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = s.stopped || s.err == nil
	s.finally(ErrStopped)
}

func (s *Sender) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finally(err)
}

// finally sets the first error. s.mu is held.
func (s *Sender) finally(err error) {
	if s.err == nil {
		s.err = err
		close(s.over)
		s.wake.Broadcast()
	}
}

// end is the session's end.
func (s *Sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.late = true
	s.finally(ErrClosed)
}

func (s *Sender) grant(n uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 0 || int64(s.credit)+int64(n) > MaxWindow {
		return violation("WINDOW of %d for %v, which has %d", n, s.id, s.credit)
	}
	s.credit += int(n)
	s.wake.Broadcast()
	return nil
}
