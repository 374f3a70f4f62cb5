package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rpipe/remote/pollfd"
)

// DefaultDeadTimeout is how long the host of a service may give no sign of life.
// Its half is how long the connection is quiet at most: below the 60 s after which
// Linux's conntrack forgets one that is half-closed.
const DefaultDeadTimeout = 30 * time.Second

// DefaultPatience is the Patience for a terminal.
const DefaultPatience = 500 * time.Millisecond

// Service is a call of a service that is prepared or under way: a plain stream, TCP
// or a Unix socket, on which each side ends what it says by half-closing it. It is for one
// use. Its fields must not change after Open or Start.
//
// There is no protocol: the service has no arguments, no status and no
// identity, and it runs from the moment of the connection. That its output came to
// its end says that it ended, and not how.
type Service struct {
	// Network is "tcp", "tcp4", "tcp6" or "unix". Address is "host:port", an IPv6
	// address in brackets and with its zone if need be, or the path of a socket.
	Network, Address string
	// Resolver looks up the host; nil is the system's. All its addresses are
	// tried, IPv6 and IPv4 side by side (RFC 6555).
	Resolver *net.Resolver
	// ConnectTimeout is the time for name lookup and connection; 0 is
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// DeadTimeout is how long a TCP peer may give no sign of life; 0 is
	// DefaultDeadTimeout. The connection is probed after half of it. On Linux it
	// holds with data under way, too (but where a live peer had taken nothing
	// for long: probes are then two minutes apart, and three must fail);
	// elsewhere that takes the system's own time. One that is alive and reads
	// nothing is waited for.
	DeadTimeout time.Duration
	// Patience bounds the wait for a quiet input after the service has ended its
	// output. Then it may still read, which TCP does not tell: on Linux, where the peer
	// has closed its end, that is known after some 75 s, and at once for a Unix
	// socket. After Patience without a byte of Stdin the service is taken to
	// have ended: the connection is reset, not ended, and InputLeft is true. 0
	// is DefaultPatience if Stdin is a terminal, else no bound; below 0 there is none.
	Patience time.Duration

	// Stdin is the input; nil is an empty one. An *os.File is read only when
	// poll(2) says so, and no more of it than the connection has room for: of a pipe
	// or a regular file on Linux to the byte, of others up to 64 KiB may be taken that
	// are not sent. What was sent may still be lost where the service ends
	// without reading it. With any other reader Wait returns only after a
	// Read that is under way.
	Stdin io.Reader
	// Ended is asked when Stdin has come to its end, before the service is told so:
	// false means that the end is none, as when its writer was killed, and gives the
	// call up as Abort does. nil is always true. It may block, if it returns when
	// the context is done.
	Ended func() bool
	// Stdout takes the output; nil discards it.
	Stdout io.Writer

	ctx     context.Context
	dialer  *Dialer // whose patience it has; nil: none
	conn    halfCloser
	started bool
	waker   *pollfd.Waker
	pumps   sync.WaitGroup // copyIn and copyOut
	guards  sync.WaitGroup // the others, which end with the pumps
	over    chan struct{}  // closed when the pumps have ended, or shall

	in, out   atomic.Int64  // bytes
	outputEnd chan struct{} // closed at the end of the output

	abortOnce sync.Once
	aborted   chan struct{}

	mu         sync.Mutex
	closing    bool  // over is closed
	poisoned   bool  // no FIN may be sent
	ended      bool  // the FIN was sent
	inputDone  bool  // Stdin was at its end
	readerGone bool  // before the end of the output
	err        error // the verdict: the first failure
}

// halfCloser is a connection of package net that has two ends to close.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// NewService returns a Service at an address. When ctx is done before the service has
// ended, the connection is reset: the service sees no end of input.
func NewService(ctx context.Context, network, address string) *Service {
	return &Service{
		Network:   network,
		Address:   address,
		ctx:       ctx,
		over:      make(chan struct{}),
		outputEnd: make(chan struct{}),
		aborted:   make(chan struct{}),
	}
}

// Open connects. The service may run from then on; nothing is taken from Stdin. The
// error is, or wraps, *DialError; *LostError where the service was there and reset the
// connection; or it is the context's cause.
//
// Until the service has ended in good order, the end of this process resets a TCP
// connection, too. A Unix socket knows no reset: a service that is given up sees the
// end of its input there, and one that is killed seems to have ended.
func (s *Service) Open() error {
	if s.conn != nil || s.started {
		return errors.New("remote: Service opened twice")
	}
	conn, err := s.dial()
	if err != nil {
		return err
	}
	setLinger(conn, 0)
	boundSend(conn)
	s.conn = conn
	return nil
}

// Close gives up a Service that was opened and not started. After Start, and before
// Open, it does nothing.
func (s *Service) Close() error {
	if s.conn != nil && !s.started {
		s.started = true
		s.conn.Close()
	}
	return nil
}

// Start connects, if Open was not called, and begins to copy the streams. Wait must
// follow unless it returns an error, one of Open's.
func (s *Service) Start() error {
	if s.started {
		return errors.New("remote: Service started twice")
	}
	if s.conn == nil {
		if err := s.Open(); err != nil {
			return err
		}
	}
	s.started = true
	select {
	case <-s.aborted:
		s.conn.Close()
		return errAborted
	default:
	}
	waker, err := pollfd.NewWaker()
	if err != nil {
		s.conn.Close()
		return err
	}
	s.waker = waker
	s.pumps.Go(s.copyIn)
	s.pumps.Go(s.copyOut)
	s.guards.Go(s.watchCancel)
	s.guards.Go(s.watchReader)
	s.guards.Go(s.watchHangup)
	s.guards.Go(s.watchQuiet)
	s.guards.Go(func() { watchPeer(s.conn, s.deadTimeout(), s.over, s.lose) })
	return nil
}

// Run is Start and Wait.
func (s *Service) Run() error {
	if err := s.Start(); err != nil {
		return err
	}
	return s.Wait()
}

// Wait waits for both streams. It returns nil when the output came to its end, and
// the input was sent to its end and acknowledged, or the service reads no more of
// it. Else the connection was reset, and the error says what happened first:
//   - *CopyError: one of our own streams failed;
//   - *LostError: the connection was cut, as seen by the reader or the writer;
//   - *ExitError with PIPE: nobody reads Stdout any more, and the output had not ended;
//   - *ExitError with KILL: Abort, or Ended was false;
//   - the context's cause.
//
// It does not return before what has arrived of the output is written, but where
// Abort or the context ends it.
func (s *Service) Wait() error {
	if !s.started || s.waker == nil {
		return errors.New("remote: Wait of a Service that was not started")
	}
	s.pumps.Wait()
	s.awaitAcknowledged()
	s.mu.Lock()
	if s.poisoned && !s.ended && !s.closing {
		s.judge(errKilled())
	}
	good := s.err == nil && !s.closing
	s.close()
	if lost, ok := s.err.(*LostError); ok {
		lost.Delivered = s.out.Load()
	}
	err := s.err
	s.mu.Unlock()
	s.waker.Wake()
	s.guards.Wait()
	s.waker.Close()
	if good {
		setLinger(s.conn, -1) // what is still under way may arrive
	}
	s.conn.Close()
	return err
}

// ReaderGone reports, after Wait, whether the reader of Stdout had gone before the
// output was complete.
func (s *Service) ReaderGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readerGone
}

// InputLeft reports, after a Wait that returned nil, whether the service has not been told of
// the end of Stdin, since it had ended before.
func (s *Service) InputLeft() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended
}

// Counts returns how many bytes of Stdin were handed to the connection, and how many
// of the output were written to Stdout. It may be called at any time.
func (s *Service) Counts() (in, out int64) { return s.in.Load(), s.out.Load() }

// Abort ends the call so that the service cannot take the input that it got for
// the whole: when it has returned, no end of input will be sent, if none was yet. The
// connection is reset. Abort does not block; it may be called at any time, from
// any goroutine, more than once. Start fails after it; after Start, Wait must
// still follow.
func (s *Service) Abort() {
	s.mu.Lock()
	s.poisoned = true
	s.mu.Unlock()
	s.abortOnce.Do(func() { close(s.aborted) })
}

// end makes err the verdict, if there is none yet, and ends the call by a reset.
func (s *Service) end(err error) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.judge(err)
	s.close()
	s.mu.Unlock()
	s.waker.Wake()
	s.conn.Close() // here, since a Read of Stdin may hold Wait
}

// lose ends the call by a cut connection.
func (s *Service) lose(err error) { s.end(&LostError{Service: true, Err: err}) }

// judge makes err the verdict, if there is none yet. s.mu is held.
func (s *Service) judge(err error) {
	s.poisoned = true
	if s.err == nil {
		s.err = err
	}
}

// close closes over. s.mu is held.
func (s *Service) close() {
	if !s.closing {
		s.closing = true
		close(s.over)
	}
}

// endInput tells the service of the end of its input, and returns false after Abort
// and after a failure.
func (s *Service) endInput() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poisoned {
		return false
	}
	s.ended = s.conn.CloseWrite() == nil // else it reads no more
	return true
}

func (s *Service) deadTimeout() time.Duration {
	if s.DeadTimeout > 0 {
		return s.DeadTimeout
	}
	return DefaultDeadTimeout
}

// errKilled is the verdict of a call that was given up.
func errKilled() error { return &ExitError{Signal: "KILL"} }
