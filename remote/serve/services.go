package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rpipe/remote/serve/reaper"
)

// Services are programs behind addresses: raw TCP or Unix sockets. See the
// documentation of the package for how a connection ends. Its fields must
// not change after the first call of a method. Its methods may be called
// concurrently.
type Services struct {
	// Log takes a line for each connection; nil discards them.
	Log *slog.Logger
	// MaxConnections bounds the connections of all services at one time; 0 is
	// DefaultServiceConnections. One more is reset at once.
	MaxConnections int
	// Reapers take care of what programs start, and of what happens to them when this
	// process dies; nil leaves that to their process groups, as in Server. They stay
	// the caller's, to be closed after the last call of Shutdown or Close.
	Reapers *reaper.Pool

	times serviceTimes // 0: the constants

	once     sync.Once
	log      *slog.Logger
	draining chan struct{}
	hangups  *hangups

	mu          sync.Mutex
	listeners   map[serviceKey]*serviceListener
	conns       map[*serviceConn]struct{}
	perProgram  map[string]int
	folders     *sessionFolders // from the first Set until Close or Shutdown has ended all
	closed      bool
	connections sync.WaitGroup
	serving     sync.WaitGroup // listeners
}

// serviceTimes are the bounds of a connection's waits.
type serviceTimes struct {
	silence time.Duration // before a client that says nothing is taken to wait for the program
	hold    time.Duration // for first bytes that are too few to tell
	linger  time.Duration // for the client's own end, after all of the output is acknowledged
	reset   time.Duration // from accept to a reset by a status, at least
	dead    time.Duration // without a sign of life while there is something to acknowledge
}

var defaultServiceTimes = serviceTimes{
	silence: 250 * time.Millisecond,
	hold:    2 * time.Second,
	linger:  30 * time.Second,
	reset:   50 * time.Millisecond,
	dead:    30 * time.Second,
}

// serviceKey is what tells listeners apart.
type serviceKey struct{ network, address string }

// serviceListener is one address.
type serviceListener struct {
	net.Listener
	service atomic.Pointer[Service]
	closing atomic.Bool
}

func (s *Services) init() {
	s.once.Do(func() {
		s.log = s.Log
		if s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		if s.MaxConnections == 0 {
			s.MaxConnections = DefaultServiceConnections
		}
		if s.times == (serviceTimes{}) {
			s.times = defaultServiceTimes
		}
		s.draining = make(chan struct{})
		s.listeners = make(map[serviceKey]*serviceListener)
		s.conns = make(map[*serviceConn]struct{})
		s.perProgram = make(map[string]int)
	})
}

// Set replaces the services. An address that stays keeps its listener, and what is sent to it
// meanwhile; what it runs changes with the next connection. Connections under
// way go on, also those of services that are gone. No address may be there twice.
//
// The error tells every address that cannot be listened on, each a *ServiceListenError; then
// nothing has changed. After Shutdown or Close it is ErrServerClosed.
func (s *Services) Set(services []*Service) error {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return ErrServerClosed
	}
	if len(services) > 0 {
		if err := s.prepare(); err != nil {
			return err
		}
	}
	wanted := make(map[serviceKey]*Service, len(services))
	opened := make(map[serviceKey]*serviceListener)
	var errs []error
	for _, service := range services {
		key := serviceKey{service.Network, service.Address}
		wanted[key] = service
		if s.listeners[key] != nil || opened[key] != nil {
			continue
		}
		ln, err := listenService(service)
		if err != nil {
			errs = append(errs, &ServiceListenError{Service: service, Err: err})
			continue
		}
		opened[key] = &serviceListener{Listener: ln}
	}
	if errs != nil {
		for _, ln := range opened {
			ln.Close()
		}
		return errors.Join(errs...)
	}
	for key, ln := range s.listeners {
		if wanted[key] == nil {
			ln.close()
			delete(s.listeners, key)
		}
	}
	maps.Copy(s.listeners, opened)
	for key, service := range wanted {
		s.listeners[key].service.Store(service)
	}
	for _, ln := range opened {
		s.serving.Go(func() { s.serve(ln) })
	}
	return nil
}

// prepare makes what all connections share. s.mu is held.
func (s *Services) prepare() error {
	if s.folders != nil {
		return nil
	}
	folders, err := newSessionFolders()
	if err != nil {
		return fmt.Errorf("no folder for programs: %w", err)
	}
	if s.hangups, err = newHangups(); err != nil {
		folders.close()
		return err
	}
	s.folders = folders
	return nil
}

// A ServiceListenError says that a service cannot have its address.
type ServiceListenError struct {
	Service *Service
	Err     error
}

func (e *ServiceListenError) Error() string {
	return fmt.Sprintf("service %q cannot listen on %q: %v", e.Service.Name(), e.Service.Address, listenCause(e.Err))
}

func (e *ServiceListenError) Unwrap() error { return e.Err }

// Hint says what to do about it, where that is known.
func (e *ServiceListenError) Hint() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE) && e.Service.Network == "unix":
		return "somebody listens to that socket: end that, or give the service another path"
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return "somebody listens there: end that, or give the service another port"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return "it is no address of this machine: give the service one that is, or add it"
	case errors.Is(e.Err, fs.ErrPermission) && e.Service.Network != "unix":
		return "ports below 1024 are for root, or take CAP_NET_BIND_SERVICE: give the service another port"
	}
	return ""
}

// listenCause leaves out of net's error what repeats the address.
func listenCause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// A ServiceAddress is where a service listens.
type ServiceAddress struct {
	Service *Service
	Addr    net.Addr
}

// Addrs returns where services listen, sorted by the name of the program and the
// address.
func (s *Services) Addrs() []ServiceAddress {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []ServiceAddress
	for _, ln := range s.listeners {
		addrs = append(addrs, ServiceAddress{ln.service.Load(), ln.Addr()})
	}
	slices.SortFunc(addrs, func(a, b ServiceAddress) int {
		if a.Service.Name() != b.Service.Name() {
			return strings.Compare(a.Service.Name(), b.Service.Name())
		}
		return strings.Compare(a.Addr.String(), b.Addr.String())
	})
	return addrs
}

// Shutdown stops listening, resets connections whose program does not run yet, and waits
// for the others; when ctx is done
// it ends them as Close does, and returns the context's error.
func (s *Services) Shutdown(ctx context.Context) error {
	s.drain()
	done := make(chan struct{})
	go func() {
		s.end()
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

// Close ends everything at once: programs are killed, and their clients see a reset. It
// returns when nothing is left.
func (s *Services) Close() error {
	s.drain()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.lose(errServicesClosed)
	}
	s.mu.Unlock()
	s.end()
	return nil
}

var errServicesClosed = errors.New("this daemon was stopped")

func (s *Services) drain() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return
	}
	close(s.draining)
	for _, ln := range s.listeners {
		ln.close()
	}
	clear(s.listeners)
	for c := range s.conns {
		c.loseIdle(errServicesClosed)
	}
}

func (s *Services) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// end waits for all connections, and gives back what they needed.
func (s *Services) end() {
	s.serving.Wait()
	s.connections.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.folders == nil {
		return
	}
	if err := s.folders.close(); err != nil {
		s.log.Warn("cannot remove the folder of services", "error", err)
	}
	s.hangups.close()
	s.folders = nil
}

func (ln *serviceListener) close() {
	ln.closing.Store(true)
	ln.Close()
}

// serve takes connections until the listener is closed.
func (s *Services) serve(ln *serviceListener) {
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = 0
			s.accept(conn.(stream), ln.service.Load())
			continue
		}
		if ln.closing.Load() {
			return
		}
		// Too many open files, say.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Error("cannot accept a connection", "program", ln.service.Load().Name(), "error", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-s.draining:
		}
	}
}

// accept registers a connection before its goroutine starts, so that Close misses
// none.
func (s *Services) accept(conn stream, service *Service) {
	setReset(conn)
	c := newServiceConn(s, service, conn)
	if addr, ok := conn.RemoteAddr().(*net.TCPAddr); ok && !service.takes(addrOf(addr)) {
		c.log.Warn("refused", "reason", "its network is not in from")
		conn.Close()
		return
	}
	if reason := s.register(c); reason != "" {
		c.log.Warn("refused", "reason", reason)
		conn.Close()
		return
	}
	go func() {
		defer s.forget(c)
		c.run()
	}()
}

func addrOf(a *net.TCPAddr) netip.Addr { return a.AddrPort().Addr() }

// register counts a connection, or returns why it may not stay. forget must follow.
func (s *Services) register(c *serviceConn) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := c.service.Name()
	switch {
	case s.isDraining():
		return errServicesClosed.Error()
	case len(s.conns) >= s.MaxConnections:
		return fmt.Sprintf("%d connections are under way, the most of all services", len(s.conns))
	case c.service.MaxConnections > 0 && s.perProgram[name] >= c.service.MaxConnections:
		return fmt.Sprintf("%d connections are under way, the most of this program", s.perProgram[name])
	}
	s.conns[c] = struct{}{}
	s.perProgram[name]++
	s.connections.Add(1)
	return ""
}

// forget is the last that a connection's goroutine does.
func (s *Services) forget(c *serviceConn) {
	defer s.connections.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	name := c.service.Name()
	if s.perProgram[name]--; s.perProgram[name] == 0 {
		delete(s.perProgram, name)
	}
}
