package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"rpipe/remote/wire"
)

// stderrGrace is how long stderr may stay open and silent, in the hands of a
// process that left its group, after everything else has ended.
const stderrGrace = time.Second

// startTimeout is how long an accepted session keeps its place without START: long
// enough for the other hosts of a pipeline, and a passphrase to be typed.
const startTimeout = 10 * time.Minute

// session is the programs of one OPEN.
type session struct {
	conn    *conn
	streams *wire.Session
	group   *group
	started chan struct{} // closed by START
	allowed bool          // START came; conn.mu is held
}

// newSession checks what is asked for and takes what it needs, which close gives
// back. The error is a *Refusal, or what the system lacks, for the program at
// index.
func newSession(c *conn, o wire.Open) (s *session, index int, err error) {
	var commands []command
	for i, p := range o.Programs {
		program, err := c.server.Programs.Lookup(c.caller, p.Name)
		if err != nil {
			return nil, i, err
		}
		argv, environ, err := program.Command(p.Args, envVars(p.Env))
		if err != nil {
			return nil, i, err
		}
		commands = append(commands, command{name: p.Name, argv: argv, environ: environ})
	}
	if err := c.server.reserve(); err != nil {
		return nil, 0, err
	}
	folder, err := c.server.folders.new()
	if err != nil {
		c.server.release()
		return nil, 0, fmt.Errorf("this host has no folder to run it in: %w", err)
	}
	g, err := newGroup(commands, folder, c.server.Reapers)
	if err != nil {
		os.Remove(folder)
		c.server.release()
		return nil, 0, fmt.Errorf("this host cannot run it now: %w", err)
	}
	return &session{
		conn:    c,
		streams: c.wire.Begin(),
		group:   g,
		started: make(chan struct{}),
	}, 0, nil
}

// close gives everything back, after run.
func (s *session) close() {
	s.group.close()
	s.conn.server.folders.remove(s.group.folder, s.conn.log)
	s.conn.server.release()
}

// allow takes START. It returns false for a second one. conn.mu is held.
func (s *session) allow() bool {
	if s.allowed {
		return false
	}
	s.allowed = true
	close(s.started)
	return true
}

// run waits for START, runs the programs, and returns how they ended, or why the
// connection was lost meanwhile. No process is left, and no byte of output.
func (s *session) run() ([]wire.End, error) {
	lost := s.conn.wire.Done()
	patience := time.NewTimer(startTimeout)
	defer patience.Stop()
	select {
	case <-s.started:
	case <-lost:
		return nil, s.conn.wire.Err()
	case <-patience.C:
		s.conn.wire.Drop()
		return nil, errors.New("it was not started in time")
	}
	if err := s.group.start(); err != nil {
		s.conn.wire.Drop()
		return nil, fmt.Errorf("cannot start: %w", err)
	}

	over := make(chan struct{})
	var watch, input, output, diagnostics sync.WaitGroup
	watch.Go(func() {
		select {
		case <-lost:
			s.group.kill() // before any pipe is closed
		case <-over:
		}
	})
	watch.Go(func() {
		if s.group.waker.AwaitReaderGone(s.group.stdin) {
			s.streams.Input.Stop()
		}
	})
	input.Go(s.copyIn)
	output.Go(func() { s.copyOut(s.streams.Output, s.group.stdout) })
	diagnostics.Go(func() { s.copyOut(s.streams.Error, s.group.stderr) })

	s.group.awaitExits()
	output.Wait()
	ends, err := s.group.end()
	if err != nil {
		s.conn.wire.Drop() // how they ended is not known
	}
	s.streams.Input.Stop() // whoever may still hold the pipe
	s.group.closeStdin()
	input.Wait()
	s.group.stderr.limit(stderrGrace)
	diagnostics.Wait()
	close(over)
	watch.Wait()

	ends[0].In = s.streams.Input.Received()
	ends[len(ends)-1].Out = s.streams.Output.Sent()
	if err == nil {
		err = s.conn.wire.Err()
	}
	return ends, err
}

// copyIn feeds the first program. Its input ends only where the caller said so:
// of a connection that was lost, run closes the pipe when nobody is left to
// mistake that for the end.
func (s *session) copyIn() {
	_, err := s.streams.Input.WriteTo(s.group.stdin)
	switch {
	case err == nil:
		s.group.closeStdin()
	case s.conn.wire.Err() == nil: // the pipe's reader has gone
		s.streams.Input.Stop()
		s.group.closeStdin()
	}
}

// copyOut sends one output to its end, or until the caller stops it: then the
// pipe is closed at once, so that the next write of a program meets SIGPIPE.
func (s *session) copyOut(to *wire.Sender, from *outputPipe) {
	done := make(chan struct{})
	var stop sync.WaitGroup
	stop.Go(func() {
		select {
		case <-to.Over():
			from.Close()
		case <-done:
		}
	})
	_, err := to.ReadFrom(from)
	var failed *fs.PathError
	if errors.As(err, &failed) && !errors.Is(err, fs.ErrClosed) {
		s.conn.log.Error("cannot read a program's output", "error", err)
		s.conn.wire.Drop() // what is missing must not look complete
	}
	close(done)
	stop.Wait()
	from.Close()
	_ = to.Close()
}
