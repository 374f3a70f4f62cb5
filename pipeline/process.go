package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// sweepInterval is how often is asked whether anything is left of what a cancelled
// process has started.
const sweepInterval = 5 * time.Millisecond

// A process is a local program that runs, with what it has started.
type process struct {
	cmd     *exec.Cmd
	ctx     context.Context
	grace   time.Duration
	grouped bool // it leads a process group of its own

	stop func() bool   // undoes the watch of ctx; false if that has acted
	done chan struct{} // closed when the watch has ended

	mu     sync.Mutex
	reaped bool // the process id may be another's
	exited chan struct{}
}

// startProcess starts a program, whose attributes are set, as the leader of a group if
// grouped says that they make it one. When ctx is done before it has ended, it and what
// it started get the signal of ctx's cause, and KILL when grace is over; a cause
// that is a *poison kills them at once. wait must be called.
func startProcess(ctx context.Context, cmd *exec.Cmd, grouped bool, grace time.Duration) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{
		cmd: cmd, ctx: ctx, grace: grace, grouped: grouped,
		done: make(chan struct{}), exited: make(chan struct{}),
	}
	p.stop = sync.OnceValue(context.AfterFunc(ctx, p.cancel))
	return p, nil
}

// wait waits for the program and returns its status; 128 and the signal if one
// ended it. When the context is done, nothing is left of what it has started, as
// far as that can be found.
func (p *process) wait() int {
	held := awaitExit(p.cmd.Process.Pid)
	if held {
		p.mu.Lock()
	}
	err := p.cmd.Wait()
	if !held {
		p.mu.Lock()
	}
	p.reaped = true
	p.mu.Unlock()
	close(p.exited)
	if !p.stop() {
		<-p.done
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 1 // wait(2) itself failed
	}
	return processStatus(p.cmd.ProcessState)
}

// kill kills the program and what it has started. It does not wait.
func (p *process) kill() { p.unlessReaped(killProcess) }

// freeze stops the program and what it has started, so that none of them takes an
// input any more.
func (p *process) freeze() { p.unlessReaped(freezeProcess) }

// signal sends a signal to the program. It returns false if that has ended.
func (p *process) signal(sig syscall.Signal) (alive bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.reaped && signalOne(p.cmd.Process.Pid, sig) == nil
}

func (p *process) unlessReaped(f func(pid int, grouped bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		f(p.cmd.Process.Pid, p.grouped)
	}
}

// cancel ends the program when the context is done.
func (p *process) cancel() {
	defer close(p.done)
	cause := context.Cause(p.ctx)
	sig := signalOf(cause)
	rest := kinOf(p.cmd.Process.Pid, p.grouped)
	defer rest.close()
	if _, ok := errors.AsType[*poison](cause); ok {
		p.kill()
	} else if p.grouped || sig != syscall.SIGINT && sig != syscall.SIGQUIT {
		p.unlessReaped(func(pid int, grouped bool) { signalProcess(pid, grouped, sig) })
		rest.signal(sig)
	} // else the terminal has sent it
	grace := time.NewTimer(p.grace)
	defer grace.Stop()
	select {
	case <-p.exited:
	case <-grace.C:
		p.kill()
		<-p.exited
		grace.Reset(0)
	}
	// The program is gone; what it has left behind has the rest of the time, and
	// as long again to die of KILL.
	for killed := false; rest.alive(); {
		select {
		case <-grace.C:
			if killed {
				return
			}
			rest.signal(syscall.SIGKILL)
			killed = true
			grace.Reset(p.grace)
		case <-time.After(sweepInterval):
		}
	}
}

// A capture carries the output of processes to a writer that is no file.
type capture struct {
	file *os.File // for the processes; the caller closes it when they are started
	r    *os.File
	done chan struct{}
	err  error // of the writer, after done
}

// newCapture starts to copy to w. Write calls are made one at a time, under mu.
func newCapture(w io.Writer, mu *sync.Mutex) (*capture, error) {
	r, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &capture{file: pw, r: r, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		out := &lockedWriter{mu: mu, w: w}
		_, _ = io.Copy(out, r)
		c.err = out.err
		r.Close() // where w failed, its writers get SIGPIPE
	}()
	return c, nil
}

// wait waits until no process writes any more, or, once ctx is done, for what is
// under way only.
func (c *capture) wait(ctx context.Context) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.r.SetReadDeadline(time.Now()) != nil {
			c.r.Close()
		}
		<-c.done
	}
	return c.err
}

// lockedWriter makes the writes of several goroutines one after another, and
// keeps the first error.
type lockedWriter struct {
	mu  *sync.Mutex
	w   io.Writer
	err error
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.w.Write(p)
	if err != nil && l.err == nil {
		l.err = err
	}
	return n, err
}
