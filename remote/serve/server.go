package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/serve/reaper"
	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("server closed")

// Limits that a Server has where its fields are 0.
const (
	DefaultFirstFrameTimeout = 10 * time.Second
	DefaultMemory            = 256 << 20
	maxTurnedAway            = 64 // those who are being told that they may not
	turnAwayTimeout          = 2 * time.Second
)

// Callers says who a key belongs to. It may be called concurrently.
type Callers interface {
	Caller(key ssh.PublicKey) (name string, ok bool)
}

// Server runs programs for callers. Its fields must not change after Serve. Its
// methods may be called concurrently.
type Server struct {
	// Key is the host key, Callers are those who may come in, Programs is what
	// they may run. All are required.
	Key      *identity.Key
	Callers  Callers
	Programs Table
	// Hops are the daemons that output may be sent to; nil: none.
	Hops Hops
	// Log takes one line for each session, for each hop, and for each connection
	// that was turned away; nil discards them.
	Log *slog.Logger
	// MaxSessions bounds the sessions at one time; 0 is DefaultMaxSessions. Four
	// times as many connections may be open, hops among them, and some whose
	// caller is unknown.
	MaxSessions int
	// Memory bounds the growth of all windows together, in bytes; 0 is
	// DefaultMemory.
	Memory int64
	// FirstFrameTimeout bounds the time from accept to the first request; 0 is
	// DefaultFirstFrameTimeout.
	FirstFrameTimeout time.Duration
	// Reapers are the parents of programs. They stay the caller's to close, when
	// the server has ended. Nil: programs are children of this process (see
	// package reaper for what they can do then).
	Reapers *reaper.Pool
	// IdleTimeout and DeadTimeout are those of wire.Options; an IdleTimeout of 0
	// is what wire.IdleTimeoutFor says.
	IdleTimeout, DeadTimeout time.Duration

	hopTimeout, ticketLife time.Duration // 0: the constants

	once      sync.Once
	log       *slog.Logger
	budget    *wire.Budget
	strangers strangers
	tickets   tickets
	turning   chan struct{}
	draining  chan struct{}

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{}
	folders   *sessionFolders // from Serve until Close or Shutdown has ended all
	sessions  int
	closed    bool
	wg        sync.WaitGroup // connections
}

func (s *Server) init() {
	s.once.Do(func() {
		s.log = s.Log
		if s.log == nil {
			s.log = slog.New(slog.DiscardHandler)
		}
		if s.MaxSessions == 0 {
			s.MaxSessions = DefaultMaxSessions
		}
		if s.Memory == 0 {
			s.Memory = DefaultMemory
		}
		if s.FirstFrameTimeout == 0 {
			s.FirstFrameTimeout = DefaultFirstFrameTimeout
		}
		if s.hopTimeout == 0 {
			s.hopTimeout = hopTimeout
		}
		if s.ticketLife == 0 {
			s.ticketLife = ticketLife
		}
		if s.IdleTimeout == 0 {
			s.IdleTimeout = wire.IdleTimeoutFor(s.DeadTimeout)
		}
		s.budget = wire.NewBudget(s.Memory)
		s.turning = make(chan struct{}, maxTurnedAway)
		s.draining = make(chan struct{})
		s.listeners = make(map[net.Listener]struct{})
		s.conns = make(map[net.Conn]struct{})
	})
}

// Serve accepts connections on ln, and closes it in the end. It blocks, and
// returns ErrServerClosed after Shutdown or Close, else why ln failed. It may be
// called for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	s.init()
	defer ln.Close()
	config, err := identity.ServerConfig(s.Key)
	if err != nil {
		return err
	}
	config.DynamicRecordSizingDisabled = true // for throughput
	if err := s.listen(ln); err != nil {
		return err
	}
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		if err != nil {
			if s.isDraining() {
				return ErrServerClosed
			}
			// Too many open files, say: like net/http, try again.
			if temporary, ok := err.(interface{ Temporary() bool }); ok && temporary.Temporary() {
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				s.log.Error("cannot accept a connection", "error", err, "again_in", pause)
				select {
				case <-time.After(pause):
				case <-s.draining:
				}
				continue
			}
			return err
		}
		pause = 0
		s.accept(conn, config)
	}
}

// Addrs returns the addresses of the listeners that Serve has taken.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []net.Addr
	for ln := range s.listeners {
		addrs = append(addrs, ln.Addr())
	}
	return addrs
}

// Shutdown stops listening, refuses new sessions, closes connections without
// one, and waits for those under way; when ctx is done it ends them as Close
// does, and returns the context's error.
func (s *Server) Shutdown(ctx context.Context) error {
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

// Close ends everything at once: processes are killed, and their callers see a
// loss. It returns when nothing is left.
func (s *Server) Close() error {
	s.drain()
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.end()
	return nil
}

func (s *Server) drain() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.draining:
		return
	default:
	}
	close(s.draining)
	for ln := range s.listeners {
		ln.Close()
	}
}

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

func (s *Server) listen(ln net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return ErrServerClosed
	}
	if s.folders == nil {
		folders, err := newSessionFolders()
		if err != nil {
			return fmt.Errorf("no folder for sessions: %w", err)
		}
		s.folders = folders
	}
	s.listeners[ln] = struct{}{}
	return nil
}

// end waits for all connections, and gives back what sessions needed.
func (s *Server) end() {
	s.wg.Wait()
	s.mu.Lock()
	folders := s.folders
	s.folders = nil
	s.mu.Unlock()
	if folders == nil {
		return
	}
	if err := folders.close(); err != nil {
		s.log.Warn("cannot remove the folder of sessions", "error", err)
	}
}

// accept registers a connection before its goroutine starts, so that Close
// misses none.
func (s *Server) accept(tcp net.Conn, config *tls.Config) {
	if !s.register(tcp) {
		tcp.Close()
		return
	}
	if tooOld := s.strangers.add(tcp); tooOld != nil {
		s.log.Warn("too many connections whose caller is not known yet", "closed", tooOld.RemoteAddr())
		tooOld.Close()
	}
	go func() {
		defer s.forget(tcp)
		s.serve(tcp, config)
	}()
}

// register counts a connection, and has Close end it, and Close and Shutdown wait
// for it: forget must follow. It returns false where there are too many, and after
// Close.
func (s *Server) register(tcp net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A session has its caller's connection and two hops; a caller may keep one
	// for its next session.
	if len(s.conns) >= 2*maxStrangers+4*s.MaxSessions {
		s.log.Warn("too many connections", "peer", tcp.RemoteAddr())
		return false
	}
	if s.closed {
		return false
	}
	s.conns[tcp] = struct{}{}
	s.wg.Add(1)
	return true
}

// forget ends a connection. It is the last that its owner does.
func (s *Server) forget(tcp net.Conn) {
	defer s.wg.Done()
	tcp.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, tcp)
}

// wireOptions are those of every connection of this server.
func (s *Server) wireOptions(role wire.Role) wire.Options {
	return wire.Options{Role: role, IdleTimeout: s.IdleTimeout, DeadTimeout: s.DeadTimeout, Budget: s.budget}
}

// peer is who is at the other end of a connection.
type peer struct {
	key    ssh.PublicKey
	caller string // "" where the key is nobody's, but a ticket is bound to it
}

// serve makes sure who the peer is, and answers requests.
func (s *Server) serve(tcp net.Conn, config *tls.Config) {
	log := s.log.With("peer", tcp.RemoteAddr())
	conn := tls.Server(transport.Below(tcp, s.DeadTimeout), config)
	deadline := time.Now().Add(s.FirstFrameTimeout)
	defer s.strangers.remove(tcp)
	p, refusal := s.identify(conn, deadline, log)
	if p == nil || p.caller != "" {
		s.strangers.remove(tcp)
	}
	if refusal != nil {
		s.turnAway(conn, *refusal)
	}
	if p == nil {
		return
	}
	if p.caller != "" {
		log = log.With("caller", p.caller)
	}
	newConn(s, conn, *p, log).run(deadline)
}

// identify returns who the peer is; nil for one that may not stay, with what to tell
// it where it can be told.
func (s *Server) identify(conn *tls.Conn, deadline time.Time, log *slog.Logger) (*peer, *wire.Refuse) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if err := identity.Handshake(ctx, conn); err != nil {
		log.Warn("handshake failed", "error", err)
		return nil, nil
	}
	key, err := identity.PeerKey(conn.ConnectionState())
	if err != nil {
		log.Warn("handshake failed", "error", err)
		return nil, nil
	}
	if name, ok := s.Callers.Caller(key); ok {
		return &peer{key, name}, nil
	}
	if s.tickets.awaits(key.Marshal()) {
		return &peer{key, ""}, nil
	}
	log.Warn("unauthorised", "key", identity.Fingerprint(key))
	return nil, &wire.Refuse{
		Status: wire.StatusIdentity,
		Text:   "key " + identity.Fingerprint(key) + " is not in the host's authorized_keys",
	}
}

// turnAway sends a refusal of the connection. It then reads what the peer has
// sent until that closes, for a short time: a TCP connection closed with data
// unread is reset, and the refusal lost.
func (s *Server) turnAway(conn *tls.Conn, r wire.Refuse) {
	select {
	case s.turning <- struct{}{}:
		defer func() { <-s.turning }()
	default:
		return // a crowd is turned away without a word
	}
	_ = conn.SetDeadline(time.Now().Add(turnAwayTimeout))
	if wire.WriteFrame(conn, r.Frame()) != nil {
		return
	}
	buf := make([]byte, 4096)
	for limit := 1 << 20; limit > 0; {
		n, err := conn.NetConn().Read(buf)
		if err != nil {
			return
		}
		limit -= n
	}
}

// reserve takes the place of a session, or says why there is none.
func (s *Server) reserve() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isDraining():
		return refuse(int(wire.StatusBusy), "this host is about to stop")
	case s.sessions >= s.MaxSessions:
		return refuse(int(wire.StatusBusy), "%d sessions are under way, the most that this host runs", s.sessions)
	}
	s.sessions++
	return nil
}

func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions--
}
