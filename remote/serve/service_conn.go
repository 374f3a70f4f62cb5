package serve

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rpipe/remote/wire"
)

// stream is a connection of package net that has two ends to close, and a
// descriptor.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
	File() (*os.File, error)
}

// serviceConn is one call of a service. Its goroutine runs it; every other one that it
// starts has ended before that.
type serviceConn struct {
	services *Services
	service  *Service
	conn     stream
	log      *slog.Logger
	accepted time.Time
	deadline *time.Timer // of MaxTime; nil: none

	first    []byte // was read before the program's input took over
	passed   bool   // first was looked at
	inputEnd bool   // the client has ended what it says
	in, out  atomic.Int64
	group    *group
	stderr   stderrHead

	over chan struct{} // closed by lose

	mu       sync.Mutex
	lost     error // why the call is given up
	started  bool  // the program may run
	settled  bool  // its end is decided: it cannot be lost any more
	unwanted bool  // what the client sends
}

func newServiceConn(s *Services, service *Service, conn stream) *serviceConn {
	peer := conn.RemoteAddr().String()
	if service.Network == "unix" {
		peer = "unix" // a client's socket has no name
	}
	return &serviceConn{
		services: s,
		service:  service,
		conn:     conn,
		log:      s.log.With("peer", peer, "program", service.Name()),
		accepted: time.Now(),
		over:     make(chan struct{}),
	}
}

// errClientGone is a connection that has failed, as far as its reason is known.
var errClientGone = errors.New("the client has reset it")

// A timeError says that MaxTime is over.
type timeError struct{ limit time.Duration }

func (e *timeError) Error() string { return fmt.Sprintf("it took longer than %v", e.limit) }

// lose gives the call up, unless its end is decided: the programs are killed before
// their input is closed, and the client sees a reset. The first reason counts. It
// does not block.
func (c *serviceConn) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled {
		if err == errServicesClosed {
			_ = c.conn.SetDeadline(past)
			c.lost = err // for the wait in drain
		}
		return
	}
	if c.lost == nil {
		c.lost = err
		close(c.over)
		_ = c.conn.SetDeadline(past)
	}
}

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// settle decides that the call is not lost, or returns why it is.
func (c *serviceConn) settle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == nil {
		c.settled = true
	}
	return c.lost
}

// begin lets the program run, or returns why not.
func (c *serviceConn) begin() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = c.lost == nil
	return c.lost
}

// loseIdle is lose for a call whose program does not run yet.
func (c *serviceConn) loseIdle(err error) {
	c.mu.Lock()
	idle := !c.started
	c.mu.Unlock()
	if idle {
		c.lose(err)
	}
}

// readBy sets when reads of the connection end; the zero time is never. After lose, and
// while nobody wants them, they end at once.
func (c *serviceConn) readBy(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == nil && !c.unwanted {
		_ = c.conn.SetReadDeadline(t)
	}
}

// wantInput says whether anybody reads the connection.
func (c *serviceConn) wantInput(want bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unwanted = !want
	if !want {
		_ = c.conn.SetReadDeadline(past)
	}
}

// stop returns why the call is given up; nil: it is not.
func (c *serviceConn) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// run takes a connection from its accept to its close.
func (c *serviceConn) run() {
	defer c.conn.Close()
	c.tune()
	if limit := c.service.MaxTime; limit > 0 {
		c.deadline = time.AfterFunc(time.Until(c.accepted.Add(limit)), func() { c.lose(&timeError{limit}) })
		defer c.deadline.Stop()
	}
	if err := c.awaitFirst(); err != nil {
		if err == errBrowser {
			c.log.Warn("refused", "reason", err)
			return
		}
		c.log.Info("connection", "duration", time.Since(c.accepted), "error", err)
		return
	}
	end, err := c.call()
	log := c.log.With("duration", time.Since(c.accepted))
	if text := c.stderr.String(); text != "" {
		log = log.With("stderr", text)
	}
	if err != nil {
		log.Warn("connection lost", "error", err, "in", c.in.Load(), "out", c.out.Load())
		return
	}
	log.Info("connection", "end", endLines([]wire.End{end}), "in", c.in.Load(), "out", c.out.Load())
	c.finish(end)
}

// call runs the program. The error is why the call was lost: then the connection is to be
// reset. Else it is settled. No process is left.
func (c *serviceConn) call() (wire.End, error) {
	if err := c.begin(); err != nil {
		return wire.End{}, err
	}
	if err := c.prepare(); err != nil {
		return wire.End{}, err
	}
	defer c.release()
	if err := c.start(); err != nil {
		return wire.End{}, err
	}
	unwatch := c.services.hangups.watch(c.conn, c.hangup)
	defer unwatch()

	done := make(chan struct{})
	var watch, input, output, diagnostics sync.WaitGroup
	watch.Go(func() { c.watch(done) })
	if !c.service.Socket {
		input.Go(c.copyIn)
	}
	output.Go(c.copyOut)
	diagnostics.Go(func() { _, _ = io.Copy(&c.stderr, c.group.stderr) })

	c.group.awaitExits()
	output.Wait()
	ends, err := c.group.end()
	if err != nil {
		c.lose(err)
	}
	c.resume()
	c.count()
	c.wantInput(false)
	c.group.closeStdin()
	input.Wait()
	c.wantInput(true)
	c.group.stderr.limit(stderrGrace)
	diagnostics.Wait()
	c.group.stderr.Close()
	close(done)
	watch.Wait()
	return ends[0], c.settle()
}

// prepare makes a folder and a group. release must follow.
func (c *serviceConn) prepare() error {
	argv, environ, err := c.service.Program.Command(nil, nil)
	if err != nil {
		return err
	}
	folder, err := c.services.folders.new()
	if err != nil {
		return fmt.Errorf("this host has no folder to run it in: %w", err)
	}
	c.group, err = newGroup([]command{{name: c.service.Name(), argv: argv, environ: environ}}, folder, c.services.Reapers)
	if err != nil {
		os.Remove(folder)
		return fmt.Errorf("this host cannot run it now: %w", err)
	}
	return nil
}

func (c *serviceConn) release() {
	c.group.close()
	c.services.folders.remove(c.group.folder, c.log)
}

// start starts the program.
func (c *serviceConn) start() error {
	if c.service.Socket {
		socket, err := blockingFile(c.conn)
		if err != nil {
			return fmt.Errorf("cannot give the connection away: %w", err)
		}
		defer socket.Close()
		c.group.socket = socket
	}
	if err := c.group.start(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	return nil
}

// resume takes a connection back that was the program's.
func (c *serviceConn) resume() {
	if c.service.Socket {
		unblock(c.conn)
	}
}

// watch kills the program when the call is lost, before any pipe of it is closed, and
// ends the waits of the others.
func (c *serviceConn) watch(done <-chan struct{}) {
	ticker := time.NewTicker(c.services.times.dead / 6)
	defer ticker.Stop()
	for {
		select {
		case <-c.over:
			c.group.kill()
			_ = c.group.stdin.SetWriteDeadline(past)
			_ = c.group.stdout.SetReadDeadline(past)
			return
		case <-ticker.C:
			if isDead(c.conn, c.services.times.dead) {
				c.lose(syscall.ETIMEDOUT)
			}
		case <-done:
			return
		}
	}
}

// hangup is told that a connection has failed, or that the client will read no
// more of it.
func (c *serviceConn) hangup(failed bool) {
	switch {
	case failed, c.service.Network != "unix" && !c.service.Socket:
		c.lose(errClientGone)
		return
	case c.service.Socket: // the program may have ended its output itself
		return
	}
	// A client that has closed may have said all. The next write of the program
	// meets SIGPIPE.
	_ = c.group.stdout.SetReadDeadline(past)
}

// copyIn feeds the program. Its input ends only where the client said so.
func (c *serviceConn) copyIn() {
	if !c.free() && !c.passed {
		if err := c.look(0); err != nil {
			c.lose(err)
			return
		}
	}
	n, err := c.group.stdin.Write(c.first)
	c.in.Add(int64(n))
	if err == nil && !c.inputEnd {
		err = copyStream(c.group.stdin, c.conn, &c.in)
	}
	switch {
	case err == nil && !c.inputEnd && isReset(c.conn):
		c.lose(errClientGone) // and no end, although it read like one
	case err == nil:
		c.group.closeStdin()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
	case errors.Is(err, syscall.EPIPE):
		// The program reads no more. What the client sends must not block it:
		// it may read only when it has sent all.
		c.group.closeStdin()
		c.drop()
	default:
		c.lose(connCause(err))
	}
}

// connCause is what the log says of a connection's error.
func connCause(err error) error {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return errClientGone
	}
	return err
}

// drop reads and forgets what the client sends.
func (c *serviceConn) drop() {
	buf := make([]byte, 16<<10)
	for {
		_, err := c.conn.Read(buf)
		switch {
		case err == io.EOF, errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			c.lose(connCause(err))
			return
		}
	}
}

// copyOut sends the output to its end.
func (c *serviceConn) copyOut() {
	defer c.group.stdout.Close()
	err := copyStream(c.conn, c.group.stdout.File, &c.out)
	if err == nil && c.group.stdout.wasCut() {
		err = errLost
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
	case errors.Is(err, syscall.EPIPE) && c.service.Network == "unix": // as in hangup
	default:
		c.lose(connCause(err))
	}
}

// stderrHead keeps the beginning of what a program says on standard error, for the
// log.
type stderrHead struct {
	mu   sync.Mutex
	head []byte
	more bool
}

// maxStderr is how much of it the log has.
const maxStderr = 512

// Write implements io.Writer. It never fails.
func (h *stderrHead) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(len(p), maxStderr-len(h.head))
	h.head = append(h.head, p[:n]...)
	h.more = h.more || n < len(p)
	return len(p), nil
}

func (h *stderrHead) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.more {
		return string(h.head) + "..."
	}
	return string(h.head)
}
