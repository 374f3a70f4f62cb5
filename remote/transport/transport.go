// Package transport carries frames between TLS and TCP in few system calls, for
// both ends.
//
// [Below] goes between a TCP connection and the tls.Conn made of it, and [Over]
// gives what wire.NewConn takes. crypto/tls reads and writes a record of 16 KiB
// at a time; here the records of a frame go out together, and as many as have
// arrived come in together.
package transport

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"rpipe/remote/wire"
)

// closingTime is how much longer than the dead time-out sent data may stay
// unacknowledged, where the system can tell: that ends what heartbeats cannot, a
// connection that is being closed.
const closingTime = 5 * time.Second

// bufferSize is that of a full frame with its records, and more.
const bufferSize = 80 << 10

// Conn is a connection below TLS. Its methods may be called concurrently, except
// that there is one reader.
type Conn struct {
	net.Conn
	r           *bufio.Reader
	userTimeout time.Duration

	mu      sync.Mutex
	holding bool
	w       []byte // held back
}

// Below takes conn over and tunes it, if it is TCP, for a protocol that has
// heartbeats of its own: dead is the DeadTimeout of wire.Options, 0 being the
// default as there.
func Below(conn net.Conn, dead time.Duration) *Conn {
	if dead == 0 {
		dead = wire.DefaultDeadTimeout
	}
	c := &Conn{Conn: conn, r: bufio.NewReaderSize(conn, bufferSize), userTimeout: dead + closingTime}
	setUserTimeout(conn, c.userTimeout)
	return c
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Write implements net.Conn. Between hold and release it only keeps p.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.holding {
		return c.Conn.Write(p)
	}
	c.w = append(c.w, p...)
	return len(p), nil
}

// CloseWrite sends a FIN after what was written, without TLS's own end of the
// stream. It fails on a connection that cannot.
func (c *Conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

func (c *Conn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = true
}

// release writes what was held back.
func (c *Conn) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holding = false
	w := c.w
	c.w = c.w[:0]
	if len(w) == 0 {
		return nil
	}
	_, err := c.Conn.Write(w)
	return err
}

// Over returns the stream for a wire.Conn: that of a tls.Conn made over a *Conn,
// which is required, after its handshake. Each Write goes out whole. Close closes the TCP connection
// at once: tls.Conn.Close would wait for room to send an alert that means
// nothing to the protocol, whose streams have an end of their own.
func Over(conn *tls.Conn) io.ReadWriteCloser {
	return &stream{tls: conn, below: conn.NetConn().(*Conn)}
}

type stream struct {
	tls   *tls.Conn
	below *Conn
}

func (s *stream) Read(p []byte) (int, error) { return s.tls.Read(p) }

func (s *stream) Write(p []byte) (int, error) {
	s.below.hold()
	n, err := s.tls.Write(p)
	if rerr := s.below.release(); err == nil {
		err = rerr
	}
	if err != nil {
		return 0, err // how much of it the peer can decrypt is not known
	}
	return n, nil
}

// SetPatient lets a peer that is alive, and takes nothing, keep the connection, or
// ends that.
func (s *stream) SetPatient(patient bool) {
	timeout := s.below.userTimeout
	if patient {
		timeout = 0
	}
	setUserTimeout(s.below.Conn, timeout)
}

func (s *stream) Close() error { return s.below.Conn.Close() }
