package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is the error of a Conn, and of its streams, after Close.
var ErrClosed = errors.New("connection closed")

// errEndInSession tells of a server that would say its last word, or let its
// client's next OPEN come, while the session's streams still send.
var errEndInSession = errors.New("cannot send END or LOST before Conn.End")

// Role is which end of a connection this is.
type Role int

// The client opens sessions, the server runs them.
const (
	Client Role = iota
	Server
)

// other returns the peer's role.
func (r Role) other() Role { return Client + Server - r }

// Options adjust a Conn. The zero value is a client's with the defaults.
type Options struct {
	Role Role
	// IdleTimeout is how long this end sends nothing before it sends a PING;
	// 0 is DefaultIdleTimeout. DeadTimeout is how long the peer may send
	// nothing before it is given up; 0 is DefaultDeadTimeout. It must be well
	// above the peer's IdleTimeout. Both hold in every state.
	IdleTimeout time.Duration
	DeadTimeout time.Duration
	// Budget bounds the windows' growth over connections; nil: no bound.
	Budget *Budget
}

// Conn is one end of a connection: it reads, sorts and acknowledges what comes,
// and serialises what goes out. Its methods may be called concurrently, except
// where they say otherwise.
type Conn struct {
	rwc    io.ReadWriteCloser
	role   Role
	idle   time.Duration
	dead   time.Duration
	budget *Budget
	start  time.Time

	in       *bufio.Reader // of rwc, through heard
	lastRead atomic.Int64  // nanoseconds since start

	wmu       sync.Mutex // serialises frames; taken before any other lock
	wbuf      []byte
	werr      error
	lastWrite time.Time
	mute      atomic.Bool // werr is set

	mu      sync.Mutex
	session *Session
	started bool // START or TAKEN was sent, or came, in the session
	ended   bool // a server's session was here; frames of it may still come
	err     error

	done chan struct{} // closed with err set
	pong chan uint64
	wg   sync.WaitGroup
}

// NewConn takes rwc over, whose Close must end a Read and a Write that are
// under way. Start must follow.
func NewConn(rwc io.ReadWriteCloser, o Options) *Conn {
	c := &Conn{
		rwc:    rwc,
		role:   o.Role,
		idle:   o.IdleTimeout,
		dead:   o.DeadTimeout,
		budget: o.Budget,
		start:  time.Now(),
		done:   make(chan struct{}),
		pong:   make(chan uint64, 1),
	}
	c.in = bufio.NewReaderSize(heard{c}, 4<<10)
	c.lastWrite = c.start
	if c.idle == 0 {
		c.idle = DefaultIdleTimeout
	}
	if c.dead == 0 {
		c.dead = DefaultDeadTimeout
	}
	return c
}

// Start starts reading. Each control frame that this end's role may get and that
// is not about a stream or a heartbeat goes to handle, from one goroutine, in
// order. handle must not block, so it must neither Send nor Stop, nor call Close;
// an error from it ends the connection. Start is called once.
func (c *Conn) Start(handle func(Frame) error) {
	c.wg.Go(func() { c.fail(c.readLoop(handle)) })
	c.wg.Go(c.heartbeat)
	c.wg.Go(c.watch)
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection ended, nil while it has not. It is io.EOF
// where the peer closed it between two sessions, and io.ErrUnexpectedEOF where
// it did so within one.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits for its goroutines. What was not sent is
// lost, and streams under way fail with ErrClosed. It blocks no longer than the
// Close of the stream given to NewConn. A second Close does nothing.
func (c *Conn) Close() error {
	c.Drop()
	c.wg.Wait()
	c.End()
	return nil
}

// Drop ends the connection as Close does, without waiting. Close must follow.
func (c *Conn) Drop() { c.fail(ErrClosed) }

// fail ends the connection with err unless it has ended already.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	s := c.session
	if s != nil {
		err = within(err)
	}
	c.err = err
	c.mu.Unlock()
	if s != nil {
		s.fail(err)
	}
	close(c.done)
	c.rwc.Close()
}

// within returns the error that err is within a session, where a clean end of
// the connection is a cut like any other.
func within(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Send sends a control frame. It blocks while the network does, and returns an
// error where the connection can carry no more, for a frame that is not one of
// version 1, and for one about a stream, which the stream sends itself. A server
// calls End before it sends END or LOST.
func (c *Conn) Send(f Frame) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if l, _ := f.Type.layout(); l.stream {
		return fmt.Errorf("cannot send %v but through its stream", f.Type)
	}
	if (f.Type == TypeEnd || f.Type == TypeLost) && c.inSession() {
		return errEndInSession
	}
	if f.Type == TypeStart || f.Type == TypeTaken {
		c.begun(f.Type) // before the answer can come
	}
	return c.writeFrame(f)
}

// sendFor sends a frame about a stream to its sender, unless it comes too late.
// Its loss shows elsewhere: a connection that cannot carry it ends.
func (c *Conn) sendFor(r *Receiver, f Frame) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if r.wants(f.Type) {
		_ = c.writeFrame(f)
	}
}

// sendData sends p as one frame unless the stream was ended meanwhile.
func (c *Conn) sendData(s *Sender, p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := s.count(len(p)); err != nil {
		return err
	}
	return c.writeFrame(Frame{Type: TypeData, Stream: s.id, Payload: p})
}

// sendFrame is sendData for bytes that have room for the header before them.
func (c *Conn) sendFrame(s *Sender, frame []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := s.count(len(frame) - HeaderLen); err != nil {
		return err
	}
	putHeader(frame, TypeData, s.id)
	return c.write(frame)
}

func (c *Conn) sendEOF(s *Sender) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	sent, err := s.finish()
	if err != nil {
		return err
	}
	return c.writeFrame(numberFrame(TypeEOF, s.id, sent))
}

// writeFrame sends one frame. c.wmu is held.
func (c *Conn) writeFrame(f Frame) error {
	b, err := AppendFrame(c.wbuf[:0], f)
	if err != nil {
		return err
	}
	c.wbuf = b[:0]
	return c.write(b)
}

// write sends one encoded frame. c.wmu is held. A failed write does not end the
// connection: what the peer said before it closed is still to be read, and the
// read loop ends by itself, or watch ends it.
func (c *Conn) write(b []byte) error {
	if c.werr != nil {
		return c.werr
	}
	if _, err := c.rwc.Write(b); err != nil {
		c.werr = fmt.Errorf("sending: %w", err)
		if e := c.Err(); e != nil {
			c.werr = within(e)
		}
		c.mute.Store(true)
		return c.werr
	}
	c.lastWrite = time.Now()
	return nil
}
