package names

import (
	"container/list"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// Serve answers connections to ln, and closes it in the end. It blocks, and returns
// ErrServerClosed after Shutdown or Close, else why ln failed. It may be called for
// several listeners.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.take(ln); err != nil {
		return err
	}
	defer s.giveBack(ln)
	var p patience
	for {
		conn, err := ln.Accept()
		if err != nil {
			if err := p.wait(s, err); err != nil {
				return err
			}
			continue
		}
		p = patience{}
		s.accept(conn)
	}
}

// accept registers a connection before its goroutine starts, so that Close
// misses none.
func (s *Server) accept(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		conn.Close()
		return
	}
	if s.conns.len() >= s.MaxConns {
		s.conns.oldest().Close()
		s.counts.evicted.Add(1)
	}
	s.conns.add(conn)
	s.wg.Go(func() {
		s.answerConn(conn)
		conn.Close()
		s.mu.Lock()
		s.conns.remove(conn)
		s.mu.Unlock()
	})
}

// answerConn answers query after query, in their order (RFC 7766).
func (s *Server) answerConn(conn net.Conn) {
	buf := make([]byte, maxQuery)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(s.IdleTimeout))
		if s.isDraining() { // or the line above has undone what woke us
			return
		}
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		length := int(binary.BigEndian.Uint16(buf))
		if length > maxQuery {
			return
		}
		if _, err := io.ReadFull(conn, buf[:length]); err != nil || !isQuery(buf[:length]) {
			return
		}
		s.mu.Lock()
		s.conns.used(conn)
		s.mu.Unlock()
		answer := s.zones.Load().answer(buf[:length], overTCP)
		_ = conn.SetWriteDeadline(time.Now().Add(s.IdleTimeout))
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
		s.counts.tcp.Add(1)
	}
}

// conns are the connections, that whose last query is oldest first. They are
// guarded by the server's lock.
type conns struct {
	queue list.List // of net.Conn
	place map[net.Conn]*list.Element
}

func (c *conns) len() int { return c.queue.Len() }

func (c *conns) add(conn net.Conn) {
	if c.place == nil {
		c.place = make(map[net.Conn]*list.Element)
	}
	c.place[conn] = c.queue.PushBack(conn)
}

func (c *conns) used(conn net.Conn) {
	if e := c.place[conn]; e != nil {
		c.queue.MoveToBack(e)
	}
}

// oldest removes and returns the first.
func (c *conns) oldest() net.Conn {
	conn := c.queue.Remove(c.queue.Front()).(net.Conn)
	delete(c.place, conn)
	return conn
}

func (c *conns) remove(conn net.Conn) {
	if e := c.place[conn]; e != nil {
		c.queue.Remove(e)
		delete(c.place, conn)
	}
}

func (c *conns) each(do func(net.Conn)) {
	for e := c.queue.Front(); e != nil; e = e.Next() {
		do(e.Value.(net.Conn))
	}
}
