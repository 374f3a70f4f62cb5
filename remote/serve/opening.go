package serve

import (
	"context"
	"errors"
	"sync"
	"time"

	"rpipe/remote/wire"
)

// startTimeout is how long an accepted session keeps its place without START: long
// enough for the other hosts of a pipeline, and a passphrase to be typed.
const startTimeout = 10 * time.Minute

// accepted is called before ACCEPT is sent: from now on the ticket is good.
func (s *session) accepted() {
	if s.ticket != nil {
		s.conn.server.tickets.validate(s.ticket, time.Now().Add(s.conn.server.ticketLife))
	}
}

// ask takes HOP. It returns false where it is out of place. conn.mu is held.
func (s *session) ask(h wire.Hop) bool {
	if !s.hopOut || s.hopping || s.allowed {
		return false
	}
	s.hopping = true
	s.asked <- h
	return true
}

// relay takes RELAY. It returns false where it is out of place. conn.mu is held.
func (s *session) relay() bool {
	if s.ticket == nil || s.relayed || s.allowed {
		return false
	}
	s.relayed = true
	s.conn.server.tickets.relay(s.ticket)
	return true
}

// allow takes START. It returns false where it is out of place. conn.mu is held.
func (s *session) allow() bool {
	overHop := s.ticket != nil && !s.relayed
	switch {
	case s.allowed, s.hopOut && !s.hopped:
		return false
	case overHop && s.conn.server.tickets.taken(s.ticket) == nil:
		return false
	}
	if overHop {
		s.streams.Divert(wire.Stdin)
	}
	if s.out != nil {
		s.streams.Divert(wire.Stdout)
	}
	s.allowed = true
	close(s.started)
	return true
}

// await waits for START, and makes the hop that is asked for before it. It returns
// why there will be none.
func (s *session) await() error {
	lost := s.conn.wire.Done()
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	for {
		select {
		case h := <-s.asked:
			s.connect(h)
		case <-s.started:
			return nil
		case <-lost:
			return s.conn.wire.Err()
		case <-patience.C:
			s.conn.wire.Drop()
			return errors.New("it was not started in time")
		}
	}
}

// connect makes a hop for the output, and answers HOP.
func (s *session) connect(asked wire.Hop) {
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.conn.wire.Done():
			cancel()
		case <-ctx.Done():
		}
	})
	h, err := s.conn.server.connectHop(ctx, s.conn.caller, asked, s.conn.log)
	cancel()
	watch.Wait()
	answer := wire.Hopped{Made: err == nil}
	if err != nil {
		answer.Text = err.Error()
	}
	s.conn.mu.Lock()
	s.out, s.hopped = h, true
	s.conn.mu.Unlock()
	if h != nil {
		s.peerOut = h.peer
	}
	s.conn.send(answer.Frame())
}
