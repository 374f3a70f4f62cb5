//go:build linux

package cmd_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A proxy is a piece of network between a caller and an address: it counts what
// crosses it, and breaks as it is told.
type proxy struct {
	net.Listener
	to string // where connections go

	forth, back atomic.Int64 // bytes from the caller, and to it

	mu    sync.Mutex
	gate  chan struct{} // connections go on when it is closed; nil is an open one
	links []*link
	ended bool
	wg    sync.WaitGroup
}

// newProxy makes a proxy that ends with the test.
func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: ln, to: to}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// total returns how many bytes have crossed it in both directions.
func (p *proxy) total() int64 { return p.forth.Load() + p.back.Load() }

func (p *proxy) close() {
	p.Close()
	p.mu.Lock()
	p.ended = true
	for _, l := range p.links {
		l.cut(reset)
	}
	p.mu.Unlock()
	p.release()
	p.wg.Wait()
}

// hold lets callers connect from now on, and keeps what they say until release.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

// release ends hold. Without one it does nothing.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate != nil {
		close(p.gate)
		p.gate = nil
	}
}

// connections returns how many connections have been made.
func (p *proxy) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// strike cuts all connections that there are. Later ones are not concerned.
func (p *proxy) strike(c cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.cut(c)
	}
}

func (p *proxy) accept() {
	for {
		conn, err := p.Accept()
		if err != nil {
			return
		}
		l := &link{proxy: p, caller: conn.(*net.TCPConn), broken: make(chan struct{})}
		p.mu.Lock()
		p.links = append(p.links, l)
		gate := p.gate
		if p.ended {
			l.cut(reset)
		}
		p.mu.Unlock()
		p.wg.Go(func() { l.run(gate) })
	}
}

// cut is how a connection breaks.
type cut int

const (
	whole     cut = iota
	reset         // RST both ways
	fin           // FIN both ways, after what has crossed
	finToHost     // FIN towards the host; the other direction goes on
	finToUser     // FIN towards the caller; the other direction goes on
	freeze        // nothing crosses any more, and nobody is told
)

// A link is one connection through a proxy.
type link struct {
	proxy        *proxy
	caller, host *net.TCPConn // host is nil until it is reached

	mu     sync.Mutex
	state  cut
	broken chan struct{} // closed by reset

	saidAll bool // the caller has ended its direction
}

// cut breaks the link. A later cut takes the place of the first; none undoes a
// reset.
func (l *link) cut(c cut) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == reset {
		return
	}
	l.state = c
	switch c {
	case reset:
		l.abort()
		close(l.broken)
	case fin:
		closeWrite(l.caller)
		closeWrite(l.host)
	case finToHost:
		closeWrite(l.host)
	case finToUser:
		closeWrite(l.caller)
	}
}

// abort makes the kernel send RST (socket(7), SO_LINGER). l.mu is held.
func (l *link) abort() {
	for _, c := range []*net.TCPConn{l.caller, l.host} {
		if c != nil {
			_ = c.SetLinger(0)
			_ = c.Close()
		}
	}
}

func closeWrite(c *net.TCPConn) {
	if c != nil {
		_ = c.CloseWrite()
	}
}

// run relays until both directions have ended.
func (l *link) run(gate chan struct{}) {
	defer l.caller.Close()
	if gate != nil {
		select {
		case <-gate:
		case <-l.broken:
			return
		}
	}
	conn, err := net.Dial("tcp", l.proxy.to)
	if err != nil {
		l.cut(reset) // as the host's kernel answers
		return
	}
	defer conn.Close()
	l.mu.Lock()
	l.host = conn.(*net.TCPConn)
	state := l.state
	l.mu.Unlock()
	switch state { // of what came while it was held
	case whole:
	case reset:
		return
	default:
		l.cut(state)
	}
	var both sync.WaitGroup
	both.Go(func() { l.relay(l.host, l.caller, &l.proxy.forth, finToHost) })
	both.Go(func() { l.relay(l.caller, l.host, &l.proxy.back, finToUser) })
	both.Wait()
}

// relay carries one direction, which mine ends, to its end.
func (l *link) relay(to, from *net.TCPConn, count *atomic.Int64, mine cut) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		l.mu.Lock()
		state := l.state
		l.mu.Unlock()
		switch {
		case state == freeze:
			<-l.broken
			return
		case state == fin || state == mine:
			n = 0 // the way is closed: it is read and dropped
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil && err == nil {
				err = l.afterFailure(mine, werr)
			} else {
				count.Add(int64(n))
			}
		}
		switch {
		case err == io.EOF && mine == finToUser && l.wasReset():
			l.cut(reset)
			return
		case err == io.EOF:
			l.mu.Lock()
			l.saidAll = l.saidAll || mine == finToHost
			l.mu.Unlock()
			closeWrite(to)
			return
		case err != nil:
			l.cut(reset)
			return
		}
	}
}

// wasReset reports whether the end that the host's direction has come to is a reset,
// which the other direction's write was told of: each is told once (socket(7),
// SO_ERROR). A connection that nobody has ended is closed by nothing else.
func (l *link) wasReset() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.saidAll || l.state != whole {
		return false
	}
	const closed = 7 // TCP_CLOSE of tcp_states.h
	raw, err := l.host.SyscallConn()
	if err != nil {
		return false
	}
	reset := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		reset = err == nil && info.State == closed
	})
	return err == nil && reset
}

// afterFailure returns nil where a write failed because its direction was cut
// meanwhile, so that what follows is read and dropped.
func (l *link) afterFailure(mine cut, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == fin || l.state == mine {
		return nil
	}
	return err
}
