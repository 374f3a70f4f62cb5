package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"rpipe/remote/pollfd"
	"rpipe/remote/wire"
)

// DefaultGrace is the time between the signal and KILL when a Cmd is cancelled.
const DefaultGrace = 2 * time.Second

// Program is one command of a session: its name on the host, its arguments, and
// the variables offered to it.
type Program = wire.Program

// Env is one variable offered to a program.
type Env = wire.Env

// Cmd is a session that is prepared or under way: one program on a host, or
// several joined by pipes there. It is for one use. Its fields must not change
// after Open or Start.
type Cmd struct {
	// Dialer makes the connection. It is required.
	Dialer *Dialer
	// Host is the host as the user names it; Port 0 is the port of
	// Dialer.Resolve, or DefaultPort.
	Host string
	Port int
	// Programs are what runs; at least one.
	Programs []Program
	// Stdin is the input of the first program; nil is an empty one. An
	// *os.File is read with poll(2); with any other reader Wait returns only
	// after a Read that is under way. Nothing is read of it where the host says that
	// the first program does not read its input.
	Stdin io.Reader
	// Ended is asked when Stdin has come to its end, before the program is told so:
	// false means that the end is none, as when its writer was killed, and gives the
	// session up as Abort does. nil is always true. It may block, if it returns when
	// the context is done.
	Ended func() bool
	// Stdout and Stderr take the output; nil discards it. Where both are the
	// same value, writes to it are not made at the same time.
	Stdout, Stderr io.Writer
	// Grace is the time between the signal and KILL, and between KILL and the
	// end of the connection, when the context is done; 0 is DefaultGrace.
	Grace time.Duration

	ctx     context.Context
	err     error // of Command
	client  *client
	session *wire.Session
	started bool
	waker   *pollfd.Waker
	hopIn   bool           // the input comes over a hop
	hopOut  bool           // the output goes over a hop
	onLoss  func(error)    // called by Wait as soon as the session is lost; or nil
	wg      sync.WaitGroup // the copying goroutines
	results []Result

	readerGone bool // as the host says of a hop

	abortOnce sync.Once
	aborted   chan struct{}

	mu      sync.Mutex
	failure error // the first failed copy
	over    bool  // the connection is no longer ours
}

// Result is how one program ended.
type Result struct {
	Status       int    // exit status; 0 where Signal is set
	Signal       string // name without SIG, or ""
	User, System time.Duration
	MaxRSS       int64 // bytes
	In, Out      int64 // bytes of stdin and stdout that crossed the network
}

// Command returns a Cmd that runs a program at address, "host" or "host:port",
// an IPv6 address in brackets if a port follows. When ctx is done before the
// program has ended, the program gets the signal that context.Cause carries in
// a method Signal() syscall.Signal, else TERM; after Cmd.Grace KILL; after as
// long again the connection ends. A nil Dialer must be filled in by the caller.
func Command(ctx context.Context, address, program string, args ...string) *Cmd {
	c := &Cmd{
		ctx:      ctx,
		Host:     address,
		Programs: []Program{{Name: program, Args: args}},
		aborted:  make(chan struct{}),
	}
	if host, port, err := net.SplitHostPort(address); err == nil {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			c.err = &DialError{Address: address, Err: errPort}
		}
		c.Host, c.Port = host, int(n)
	}
	return c
}

// Open connects, and returns when the host has accepted the programs: none of
// them runs, and no input is taken. The error is *DialError, *RefusedError, one
// of package identity, or the context's cause.
func (c *Cmd) Open() error {
	if c.err != nil {
		return c.err
	}
	if c.client != nil {
		return errors.New("remote: Cmd opened twice")
	}
	return c.open(func(ctx context.Context, client *client) error {
		return client.open(ctx, wire.Open{Programs: c.Programs})
	})
}

// open opens the session by asking for it on a connection to the host.
func (c *Cmd) open(ask func(context.Context, *client) error) error {
	client, err := c.Dialer.open(c.ctx, c.Host, c.Port, ask)
	if err != nil {
		return err
	}
	c.client, c.session = client, client.session
	return nil
}

// Close gives up a Cmd that was opened and not started. After Start, and before
// Open, it does nothing.
func (c *Cmd) Close() error {
	if c.client != nil && !c.started {
		c.started = true
		c.client.wire.Close()
	}
	return nil
}

// Start lets the programs run, after Open if that was not called, and starts to
// copy the streams. Wait must follow unless it returns an error. An error is
// one of Open's, or *LostError.
func (c *Cmd) Start() error {
	if c.started {
		return errors.New("remote: Cmd started twice")
	}
	if c.client == nil {
		if err := c.Open(); err != nil {
			return err
		}
	}
	c.started = true
	select {
	case <-c.aborted:
		c.client.wire.Close()
		return errAborted
	default:
	}
	waker, err := pollfd.NewWaker()
	if err != nil {
		c.client.wire.Close()
		return err
	}
	if err := c.client.start(c.hopIn, c.hopOut); err != nil {
		waker.Close()
		c.client.wire.Close()
		return &LostError{Err: c.client.wire.Err()}
	}
	c.waker = waker
	stdout, stderr := c.Stdout, c.Stderr
	if stdout == nil {
		stdout = io.Discard
	}
	if stderr == nil {
		stderr = io.Discard
	}
	if sameWriter(stdout, stderr) {
		w := &lockedWriter{w: stdout}
		stdout, stderr = w, w
	}
	if !c.hopIn {
		c.wg.Go(c.copyIn)
	}
	if !c.hopOut {
		c.wg.Go(func() { c.copyOut(wire.Stdout, c.session.Stdout, stdout) })
		c.wg.Go(func() {
			if c.waker.AwaitReaderGone(c.Stdout) {
				c.session.Stdout.Stop()
			}
		})
	}
	c.wg.Go(func() { c.copyOut(wire.Stderr, c.session.Stderr, stderr) })
	c.wg.Go(c.cancel)
	return nil
}

// Run is Start and Wait.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Wait waits for the programs and for the copying of their streams. Its verdict
// is, in this order: a stream of ours that failed (*CopyError), a cut session
// (the context's cause if that was done, else *LostError), a program that
// failed (*ExitError; the context's cause if that was done), nil. It does not
// return before what has arrived of the output is written; a write that blocks
// ends with its reader. Of a cut session, where that is a part at best, it gives
// such a write up after Grace.
func (c *Cmd) Wait() error {
	if !c.started || c.waker == nil {
		return errors.New("remote: Wait of a Cmd that was not started")
	}
	select {
	case <-c.client.ended:
	case <-c.client.wire.Done():
	}
	var lost error
	select {
	case <-c.client.ended: // also where the connection ended after it
		c.client.wire.End()
	default:
		lost = &LostError{Delivered: int64(c.session.Stdout.Received()), Err: c.client.wire.Err()}
		c.client.wire.Close()
		if c.onLoss != nil && c.ctx.Err() == nil {
			c.onLoss(lost)
		}
	}
	c.waker.Wake()
	c.awaitCopies(lost != nil)
	c.waker.Close()
	c.mu.Lock()
	failure := c.failure
	c.over = true
	c.mu.Unlock()
	if lost == nil {
		c.takeResults()
		c.Dialer.put(c.client)
	}
	exit := c.exitError()
	cause := context.Cause(c.ctx)
	switch {
	case failure != nil:
		return failure
	case lost != nil && cause != nil:
		return cause
	case lost != nil:
		return lost
	case exit == nil:
		return nil
	case cause != nil:
		return cause
	}
	return exit
}

// awaitCopies waits for the copying goroutines; where the session was cut, no longer
// than Grace for one that writes.
func (c *Cmd) awaitCopies(cut bool) {
	if !cut {
		c.wg.Wait()
		return
	}
	done := make(chan struct{})
	go func() {
		c.wg.Wait()
		close(done)
	}()
	limit := time.NewTimer(c.grace())
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}

// ReaderGone reports, after Wait, whether the reader of Stdout had gone before the
// output was complete: then, and only then, death by SIGPIPE is no failure of the
// last program.
func (c *Cmd) ReaderGone() bool {
	return c.readerGone || c.session != nil && !c.hopOut && c.session.Stdout.Stopped()
}

// Results returns how each program ended, after Wait; nil where that is not
// known.
func (c *Cmd) Results() []Result { return c.results }

// Signal sends a signal to the processes of the session. It returns
// os.ErrProcessDone when that is over, and other errors before Start, for a signal
// without a name, and when the connection has ended.
func (c *Cmd) Signal(sig syscall.Signal) error {
	if !c.started {
		return errors.New("remote: Signal to a Cmd that was not started")
	}
	f, err := wire.SignalFrame(signalName(sig))
	if err != nil {
		return err
	}
	// Under the lock: afterwards the connection may be another Cmd's.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return os.ErrProcessDone
	}
	return c.client.wire.Send(f)
}

// Abort ends the session so that its programs cannot take the input that they
// got for the whole: when it has returned, no end of input will be sent. They
// are killed. Abort does not block; it may be called at any time after Open,
// from any goroutine, more than once. Start fails after it; after Start, Wait
// must still follow.
func (c *Cmd) Abort() {
	if c.client != nil {
		c.session.Stdin.Abort()
	}
	c.abortOnce.Do(func() { close(c.aborted) })
}

// cancel ends the programs when the context is done, or after Abort.
func (c *Cmd) cancel() {
	sig := syscall.SIGKILL
	select {
	case <-c.aborted:
	case <-c.ctx.Done():
		sig = cancelSignal(c.ctx)
	case <-c.client.ended:
		return
	case <-c.client.wire.Done():
		return
	}
	drop := time.AfterFunc(2*c.grace(), c.client.wire.Drop)
	defer drop.Stop()
	_ = c.Signal(sig)
	timer := time.NewTimer(c.grace())
	defer timer.Stop()
	for aborted := c.aborted; ; {
		select {
		case <-c.client.ended:
			return
		case <-c.client.wire.Done():
			return
		case <-aborted:
			aborted = nil
			_ = c.Signal(syscall.SIGKILL)
		case <-timer.C:
			_ = c.Signal(syscall.SIGKILL)
		}
	}
}

// cancelSignal is the signal that a cancelled context stands for.
func cancelSignal(ctx context.Context) syscall.Signal {
	var carrier interface{ Signal() syscall.Signal }
	if errors.As(context.Cause(ctx), &carrier) {
		return carrier.Signal()
	}
	return syscall.SIGTERM
}

func (c *Cmd) grace() time.Duration {
	if c.Grace > 0 {
		return c.Grace
	}
	return DefaultGrace
}

func (c *Cmd) takeResults() {
	c.client.mu.Lock()
	defer c.client.mu.Unlock()
	for _, e := range c.client.ends {
		c.results = append(c.results, Result{
			Status: int(e.Status), Signal: e.Signal,
			User: e.User, System: e.System, MaxRSS: int64(e.MaxRSS),
			In: int64(e.In), Out: int64(e.Out),
		})
		c.readerGone = e.Stopped
	}
}

// exitError is the failure of the rightmost program that failed, or nil. A
// program that died of SIGPIPE fails only as the last one: its reader left.
func (c *Cmd) exitError() error {
	for i := len(c.results) - 1; i >= 0; i-- {
		r := c.results[i]
		if r.Signal == "PIPE" && i < len(c.results)-1 {
			continue
		}
		if r.Status != 0 || r.Signal != "" {
			return &ExitError{Program: i, Status: r.Status, Signal: r.Signal}
		}
	}
	return nil
}

// errAborted is Start after Abort.
var errAborted = errors.New("given up before it started")
