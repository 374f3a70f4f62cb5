package serve

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// leaveTimeout is how long a caller may take to close a connection that we have
// ended. It is that of heartbeats, which end the wait for one that is dead.
const leaveTimeout = 2 * wire.DefaultDeadTimeout

// conn is a connection that was accepted: a caller's, or one of a daemon that has a
// ticket.
type conn struct {
	server *Server
	tcp    net.Conn
	tls    *tls.Conn
	wire   *wire.Conn
	key    ssh.PublicKey // of the peer
	caller string        // "": TAKE is all that the peer may ask for
	log    *slog.Logger

	requests chan request // has room for the one that may be outstanding

	mu      sync.Mutex
	asked   bool         // a request has come
	busy    bool         // a request is being answered
	message wire.Message // an OPEN that is not whole yet
	session *session     // accepted, until its END is due
}

// request is an OPEN, a TAKE, or LIST where both are nil.
type request struct {
	open *wire.Open
	take *wire.Take
}

// newConn returns the connection of a peer that identify let in.
func newConn(s *Server, tlsConn *tls.Conn, p peer, log *slog.Logger) *conn {
	return &conn{
		server:   s,
		tcp:      tlsConn.NetConn().(*transport.Conn).Conn,
		tls:      tlsConn,
		key:      p.key,
		caller:   p.caller,
		log:      log,
		requests: make(chan request, 1),
		wire:     wire.NewConn(transport.Over(tlsConn), s.wireOptions(wire.Server)),
	}
}

// run answers requests until the connection ends, or the server drains and none
// is under way. The first one is due by the deadline.
func (c *conn) run(deadline time.Time) {
	defer c.wire.Close()
	c.wire.Start(c.handle)
	first := time.NewTimer(time.Until(deadline))
	defer first.Stop()
	for {
		select {
		case r := <-c.requests:
			first.Stop()
			switch {
			case r.take != nil:
				c.take(*r.take)
				return
			case r.open == nil:
				c.list()
			case !c.open(*r.open):
				leave(c.tls, c.wire, leaveTimeout)
				return
			}
		case <-first.C:
			c.log.Warn("no request in time")
			return
		case <-c.wire.Done():
			var broken *wire.ProtocolError
			if errors.As(c.wire.Err(), &broken) {
				c.log.Warn("connection ended", "error", broken)
			}
			return
		case <-c.server.draining:
			leave(c.tls, c.wire, leaveTimeout)
			return
		}
	}
}

// leave ends a connection on which this end has nothing to say any more, in such a
// way that the last word arrives: a TCP connection closed with data unread is reset,
// and what it has not sent is lost. So the peer, who closes when it sees our FIN, goes
// first, but has no longer than the patience. Close must follow.
func leave(conn *tls.Conn, w *wire.Conn, patience time.Duration) {
	tcp, ok := conn.NetConn().(*transport.Conn)
	if !ok || tcp.CloseWrite() != nil {
		return
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-w.Done():
	case <-limit.C:
	}
}

// handle takes the caller's control frames. It does not block.
func (c *conn) handle(f wire.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caller == "" && f.Type != wire.TypeTake {
		return outOfPlace(f)
	}
	switch f.Type {
	case wire.TypeOpen:
		if c.busy {
			return outOfPlace(f)
		}
		body, whole, err := c.message.Add(f)
		if err != nil || !whole {
			return err
		}
		open, err := wire.DecodeOpen(body)
		if err != nil {
			return err
		}
		c.ask(request{open: &open})
		return nil
	case wire.TypeList:
		if c.busy || c.message.Partial() {
			return outOfPlace(f)
		}
		c.ask(request{})
		return nil
	case wire.TypeTake:
		if c.asked || c.message.Partial() {
			return outOfPlace(f)
		}
		take, err := wire.DecodeTake(f.Payload)
		if err != nil {
			return err
		}
		c.ask(request{take: &take})
		return nil
	case wire.TypeHop:
		hop, err := wire.DecodeHop(f.Payload)
		if err != nil {
			return err
		}
		if c.session == nil || !c.session.ask(hop) {
			return outOfPlace(f)
		}
		return nil
	case wire.TypeRelay:
		if c.session == nil || !c.session.relay() {
			return outOfPlace(f)
		}
		return nil
	case wire.TypeStart:
		if c.session == nil || !c.session.allow() {
			return outOfPlace(f)
		}
		return nil
	case wire.TypeSignal:
		name, err := wire.DecodeSignal(f.Payload)
		if err != nil {
			return err
		}
		if c.session != nil { // else it came too late
			c.session.signal(name)
		}
		return nil
	}
	return outOfPlace(f)
}

func outOfPlace(f wire.Frame) error {
	return &wire.ProtocolError{Problem: f.Type.String() + " out of place"}
}

// ask hands a request to run. c.mu is held.
func (c *conn) ask(r request) {
	c.asked, c.busy = true, true
	c.requests <- r
}

// answered lets the next request come, which the caller may send as soon as it
// has the last frame of the answer.
func (c *conn) answered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.session = false, nil
}

// send sends the frames of an answer. What cannot be sent shows in wire.Done.
func (c *conn) send(frames ...wire.Frame) {
	for _, f := range frames {
		if c.wire.Send(f) != nil {
			return
		}
	}
}

func (c *conn) list() {
	var list []wire.Listing
	for _, p := range c.server.Programs.List(c.caller) {
		list = append(list, wire.Listing{Name: p.Name, Summary: p.Summary})
	}
	frames, err := wire.ProgramsFrames(list)
	c.answered()
	if err != nil {
		c.log.Error("cannot list the programs", "error", err)
		c.wire.Drop()
		return
	}
	c.send(frames...)
}

// open accepts or refuses a session, and runs it. It returns false where nothing
// more may be said on the connection.
func (c *conn) open(o wire.Open) bool {
	start := time.Now()
	log := c.log.With("programs", commandLines(o.Programs))
	s, index, err := newSession(c, o)
	if err != nil {
		c.answered()
		var r *Refusal
		if !errors.As(err, &r) {
			r = refuse(int(wire.StatusBusy), "%v", err)
		}
		log.Warn("refused", "status", r.Status, "reason", r.Reason)
		c.send(wire.Refuse{Program: index, Status: wire.Status(r.Status), Text: r.Reason}.Frame())
		return true
	}
	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
	s.accepted()
	c.send(wire.Accept{Input: s.reads}.Frame())
	ends, err := s.run()
	var cut *cutError
	if !errors.As(err, &cut) {
		c.answered()
	}
	c.wire.End()
	s.close()
	log = log.With(s.hops()...).With("duration", time.Since(start))
	switch {
	case cut != nil:
		log.Warn("session lost", "error", err)
		c.send(wire.Lost{In: cut.In, Text: cut.Error()}.Frame())
		return false
	case err != nil:
		log.Warn("session lost", "error", err)
		return true
	}
	log.Info("session", "ends", endLines(ends), "in", ends[0].In, "out", ends[len(ends)-1].Out)
	for _, e := range ends {
		c.send(e.Frame())
	}
	return true
}
