package names

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// ErrServerClosed is what Serve and ServePacket return after Shutdown or Close.
var ErrServerClosed = errors.New("name server closed")

// Limits that a Server has where its fields are 0.
const (
	DefaultRate        = 200
	DefaultMaxConns    = 256
	DefaultIdleTimeout = 10 * time.Second
)

// maxQuery is the longest query that is answered, over UDP and TCP; real ones have
// less than 600 bytes.
const maxQuery = 4096

// A Server answers from its zones over UDP and TCP. Its fields must not change
// after the first call of a method. Its methods may be called concurrently.
type Server struct {
	// Log takes what goes wrong with sockets; nil discards it. Queries are not
	// logged.
	Log *slog.Logger
	// Rate is how many answers per second a source network, /24 of IPv4 and /56 of
	// IPv6, gets over UDP, with bursts of as many; half of those over it are sent
	// truncated, so that real clients come over TCP, the others not at all. 0 is
	// DefaultRate; less than 0 is no limit.
	Rate int
	// Unlimited are the sources to which Rate does not apply. Nil is loopback;
	// empty but not nil is none.
	Unlimited []netip.Prefix
	// MaxConns bounds TCP connections; 0 is DefaultMaxConns. One more closes that
	// which has been idle for longest.
	MaxConns int
	// IdleTimeout is how long a TCP client may take for a query, from its
	// connection or the last answer on; and for taking an answer. 0 is
	// DefaultIdleTimeout.
	IdleTimeout time.Duration

	once     sync.Once
	log      *slog.Logger
	limit    *limiter
	draining chan struct{}
	counts   struct{ udp, tcp, cut, unanswered, evicted atomic.Uint64 }

	zones   atomic.Pointer[Zones]
	swap    sync.Mutex // held while zones are compared and swapped
	mu      sync.Mutex
	sockets map[interface{ Close() error }]struct{}
	conns   conns
	wg      sync.WaitGroup // connections, and calls of Serve and ServePacket
}

// Counts are numbers since the start, for metrics.
type Counts struct {
	UDP, TCP   uint64 // answers, with those cut
	Cut        uint64 // truncated because of Rate
	Unanswered uint64 // dropped because of Rate
	Evicted    uint64 // connections closed because of MaxConns
}

func (s *Server) init() {
	s.once.Do(func() {
		s.log = s.Log
		if s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		if s.Rate == 0 {
			s.Rate = DefaultRate
		}
		if s.Unlimited == nil {
			s.Unlimited = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		}
		if s.MaxConns == 0 {
			s.MaxConns = DefaultMaxConns
		}
		if s.IdleTimeout == 0 {
			s.IdleTimeout = DefaultIdleTimeout
		}
		s.limit = newLimiter(s.Rate, s.Unlimited)
		s.draining = make(chan struct{})
		s.sockets = make(map[interface{ Close() error }]struct{})
	})
}

// SetZones makes the server answer from zones, from the next query on; it may be
// called before and while it serves. Until then it refuses every question. The
// serial must be greater than that of the zones before (RFC 1982), see NextSerial;
// else nothing changes.
func (s *Server) SetZones(zones *Zones) error {
	s.swap.Lock()
	defer s.swap.Unlock()
	old := s.zones.Load()
	if old != nil && !serialGreater(zones.Serial(), old.Serial()) {
		return fmt.Errorf("the serial %d of the new zones does not follow %d", zones.Serial(), old.Serial())
	}
	s.zones.Store(zones)
	return nil
}

// Zones returns those that are served; nil before SetZones.
func (s *Server) Zones() *Zones { return s.zones.Load() }

// Counts returns the numbers so far.
func (s *Server) Counts() Counts {
	c := &s.counts
	return Counts{UDP: c.udp.Load(), TCP: c.tcp.Load(), Cut: c.cut.Load(), Unanswered: c.unanswered.Load(), Evicted: c.evicted.Load()}
}

// Shutdown stops reading, sends the answers to what has been read, and waits
// until nothing is left; when ctx is done it closes everything as Close does and returns
// the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.drain()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.Close()
		<-done
		return ctx.Err()
	}
}

// Close closes every socket and connection at once, and returns when nothing is left.
func (s *Server) Close() error {
	s.drain()
	s.mu.Lock()
	for socket := range s.sockets {
		socket.Close()
	}
	s.conns.each(func(c net.Conn) { c.Close() })
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// past wakes whoever waits for input.
var past = time.Unix(1, 0)

func (s *Server) drain() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return
	}
	close(s.draining)
	for socket := range s.sockets {
		if pc, ok := socket.(net.PacketConn); ok {
			_ = pc.SetReadDeadline(past) // its answers still go out
			continue
		}
		socket.Close()
	}
	s.conns.each(func(c net.Conn) { _ = c.SetReadDeadline(past) })
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// take registers a socket before it is read, so that Close misses none, or closes
// it. The caller gives back what was taken.
func (s *Server) take(socket interface{ Close() error }) error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		socket.Close()
		return ErrServerClosed
	}
	s.wg.Add(1)
	s.sockets[socket] = struct{}{}
	return nil
}

func (s *Server) giveBack(socket interface{ Close() error }) {
	socket.Close()
	s.mu.Lock()
	delete(s.sockets, socket)
	s.mu.Unlock()
	s.wg.Done()
}

// A patience is how often a socket may fail in a row. Failures that go away, such as
// too many open files, are waited for.
type patience struct {
	pause time.Duration
	in    int // failures in a row
}

const maxFailures = 20

// wait pauses after err and returns nil if it is worth another try.
func (p *patience) wait(s *Server, err error) error {
	temporary, ok := err.(interface{ Temporary() bool })
	switch {
	case s.isDraining():
		return ErrServerClosed
	case !ok || !temporary.Temporary():
		return err
	}
	if p.in++; p.in > maxFailures {
		return err
	}
	p.pause = min(max(2*p.pause, 5*time.Millisecond), time.Second)
	s.log.Error("name server cannot read", "error", err, "again_in", p.pause)
	select {
	case <-time.After(p.pause):
	case <-s.draining:
	}
	return nil
}
