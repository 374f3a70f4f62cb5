package wire

import (
	"errors"
	"io"
	"sync"
)

// chunk is a piece of a stream's buffer: bytes r to w of buf are to be read.
type chunk struct {
	next *chunk
	buf  *[MaxPayload]byte
	r, w int
}

// minRoom is the room that a chunk must have left for a part of a frame. So
// chunks that wait to be read are full up to a sixteenth, whatever the lengths
// of the frames were.
const minRoom = MaxPayload / 16

var chunkPool = sync.Pool{New: func() any { return &chunk{buf: new([MaxPayload]byte)} }}

func recycle(c *chunk) {
	c.next, c.r, c.w = nil, 0, 0
	chunkPool.Put(c)
}

// Receiver is the receiving end of a stream: a buffer of as many bytes as the
// sender has credit for. WriteTo is for one goroutine; the other methods may
// be called from any.
type Receiver struct {
	conn *Conn
	id   Stream

	mu         sync.Mutex
	wake       sync.Cond // data came, or the stream ended
	head, tail *chunk    // only tail takes more
	reading    *chunk    // what WriteTo holds: head, until Stop
	filling    *chunk    // what the connection reads into: tail, until Stop
	buffered   int       // received and not consumed
	window     int       // the most that may be buffered or on its way
	credit     int       // what the sender may still send
	owed       int       // consumed and not yet granted again
	borrowed   int       // of the budget
	received   uint64
	stopped    bool  // data is dropped
	left       bool  // stopped before EOF came
	eof        bool  // EOF came
	late       bool  // the session has ended: nothing is sent any more
	err        error // the connection's
}

func newReceiver(c *Conn, id Stream) *Receiver {
	r := &Receiver{conn: c, id: id, window: InitialWindow, credit: InitialWindow}
	r.wake.L = &r.mu
	return r
}

// WriteTo writes the stream to w until its end. It returns nil after EOF, when
// every byte is written; w's error, where Stop should follow; ErrStopped after
// Stop, when a Write under way has returned; and the connection's error where
// the stream was cut. What came before a cut is written first.
func (r *Receiver) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		p, err := r.next()
		if err != nil || p == nil {
			return total, err
		}
		n, err := w.Write(p)
		if n < 0 || n > len(p) {
			n, err = 0, errors.New("writer returned an invalid count from Write")
		}
		if n < len(p) && err == nil {
			err = io.ErrShortWrite
		}
		total += int64(n)
		r.consumed(n)
		if err != nil {
			return total, err
		}
	}
}

// next waits for data and returns it, nil at the end of the stream. Every next
// with data is followed by consumed.
func (r *Receiver) next() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		switch {
		case r.stopped:
			return nil, ErrStopped
		case r.buffered > 0:
			r.reading = r.head
			return r.head.buf[r.head.r:r.head.w], nil
		case r.eof:
			return nil, nil
		case r.err != nil:
			return nil, r.err
		}
		r.wake.Wait()
	}
}

// consumed gives n bytes back, and the sender credit for them when it is worth
// a frame.
func (r *Receiver) consumed(n int) {
	if grant := r.consume(n); grant > 0 {
		r.conn.sendFor(r, windowFrame(r.id, uint32(grant)))
	}
}

// consume returns the credit to grant, or 0.
func (r *Receiver) consume(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.reading
	r.reading = nil
	if r.stopped {
		if c != r.filling {
			recycle(c)
		}
		return 0
	}
	c.r += n
	r.buffered -= n
	if c.r == c.w && c != r.filling {
		r.head = c.next
		if r.head == nil {
			r.tail = nil
		}
		recycle(c)
	}
	if r.ended() {
		if r.buffered == 0 {
			r.giveBack()
		}
		return 0
	}
	r.owed += n
	if r.owed < r.window/4 {
		return 0
	}
	grant := r.owed
	// A reader that has caught up is faster than the window: it is the network
	// that needs more bytes on their way.
	if r.buffered == 0 && r.window < MaxWindow && r.conn.budget.take(r.window) {
		grant += r.window
		r.borrowed += r.window
		r.window *= 2
	}
	r.owed = 0
	r.credit += grant
	return grant
}

// ended reports whether more may come. r.mu is held.
func (r *Receiver) ended() bool { return r.eof || r.late || r.err != nil }

// wants reports whether a frame of type t for the sender is still of use.
func (r *Receiver) wants(t Type) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.ended() && (t == TypeStop || !r.stopped)
}

// giveBack returns what was borrowed of the budget. r.mu is held.
func (r *Receiver) giveBack() {
	r.conn.budget.give(r.borrowed)
	r.borrowed = 0
}

// Stop says that nobody reads the stream any more: what is buffered and what
// still comes is dropped, and WriteTo returns ErrStopped. It blocks as Send does.
// A second Stop, and one after the end of the stream, tells the other end
// nothing.
func (r *Receiver) Stop() {
	if r.drop() {
		r.conn.sendFor(r, Frame{Type: TypeStop, Stream: r.id})
	}
}

// drop returns false where the stream is dropped already.
func (r *Receiver) drop() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.stopped, r.left = true, !r.eof
	for c := r.head; c != nil; {
		next := c.next
		if c != r.reading && c != r.filling {
			recycle(c)
		}
		c = next
	}
	r.head, r.tail, r.buffered = nil, nil, 0
	r.giveBack()
	r.wake.Broadcast()
	return true
}

// Stopped reports whether Stop came before the end of the stream.
func (r *Receiver) Stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

// Received returns the bytes received so far.
func (r *Receiver) Received() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.received
}

// accept takes a DATA frame of n bytes off the sender's credit.
func (r *Receiver) accept(n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.eof {
		return violation("DATA after EOF of %v", r.id)
	}
	if n > r.credit {
		return violation("DATA of %d bytes on %v, which has credit for %d", n, r.id, r.credit)
	}
	r.credit -= n
	return nil
}

// room returns where the next bytes go, n of them or a part, which the caller
// fills and commits. It returns nil where they are to be dropped.
func (r *Receiver) room(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	if r.tail == nil || MaxPayload-r.tail.w < min(n, minRoom) {
		c := chunkPool.Get().(*chunk)
		if r.tail == nil {
			r.head = c
		} else {
			r.tail.next = c
		}
		r.tail = c
	}
	c := r.tail
	r.filling = c
	return c.buf[c.w:min(c.w+n, MaxPayload)]
}

// commit makes n bytes readable, or counts those that were dropped.
func (r *Receiver) commit(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.filling
	r.filling = nil
	r.received += uint64(n)
	switch {
	case c == nil:
	case r.stopped:
		if c != r.reading {
			recycle(c)
		}
	default:
		c.w += n
		r.buffered += n
		r.wake.Signal()
	}
}

// finish takes EOF.
func (r *Receiver) finish(count uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.eof:
		return violation("second EOF of %v", r.id)
	case count != r.received:
		return violation("EOF of %v after %d bytes, but %d arrived", r.id, count, r.received)
	}
	r.eof = true
	if r.buffered == 0 {
		r.giveBack()
	}
	r.wake.Broadcast()
	return nil
}

// Complete reports whether the end of the stream has come, whoever has read it.
func (r *Receiver) Complete() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.eof
}

func (r *Receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		r.wake.Broadcast()
	}
}

// end is the session's end. What is buffered may still be read; it counts no
// more.
func (r *Receiver) end() {
	r.fail(ErrClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = true
	r.giveBack()
}
