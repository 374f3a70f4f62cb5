package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"rpipe/remote/wire"
)

// stderrGrace is how long stderr may stay open and silent, in the hands of a
// process that left its group, after everything else has ended.
const stderrGrace = time.Second

// session is the programs of one OPEN.
type session struct {
	conn    *conn
	streams *wire.Session
	group   *group
	ticket  *ticket       // of the input's hop; nil: the caller sends the input
	hopOut  bool          // HOP is due
	reads   bool          // the first program reads its input
	asked   chan wire.Hop // has room for the one
	started chan struct{} // closed by START

	// endless is set when the end of the output would no longer be the
	// programs' own: then a hop is cut instead of ended.
	endless atomic.Bool

	// Guarded by conn.mu.
	hopping bool // HOP came
	hopped  bool // HOPPED is sent, or about to be
	relayed bool // RELAY came
	allowed bool // START came
	out     *hop // of the output; nil: it goes to the caller

	peerOut string // whom the output went to; "": the caller
}

// newSession checks what is asked for and takes what it needs, which close gives
// back. The error is a *Refusal, or what the system lacks, for the program at
// index.
func newSession(c *conn, o wire.Open) (s *session, index int, err error) {
	var commands []command
	reads := false
	for i, p := range o.Programs {
		program, err := c.server.Programs.Lookup(c.caller, p.Name)
		if err != nil {
			return nil, i, err
		}
		argv, environ, err := program.Command(p.Args, envVars(p.Env))
		if err != nil {
			return nil, i, err
		}
		reads = reads || i == 0 && !program.IgnoresInput
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
	if err == nil {
		if err = g.watchable(); err != nil {
			g.close()
		}
	}
	if err != nil {
		os.Remove(folder)
		c.server.release()
		return nil, 0, fmt.Errorf("this host cannot run it now: %w", err)
	}
	s = &session{
		conn:    c,
		group:   g,
		hopOut:  o.Out,
		reads:   reads,
		asked:   make(chan wire.Hop, 1),
		started: make(chan struct{}),
	}
	if o.In != nil {
		if s.ticket = c.server.tickets.add(o); s.ticket == nil {
			s.close()
			return nil, 0, refuse(StatusDenied, "the ticket for the input is another session's")
		}
	}
	s.streams = c.wire.Begin()
	return s, 0, nil
}

// close gives everything back, after run. Hops that are not released by then are
// cut.
func (s *session) close() {
	server := s.conn.server
	if s.ticket != nil {
		server.tickets.remove(s.ticket)
		if h := server.tickets.taken(s.ticket); h != nil {
			h.drop()
		}
	}
	if s.out != nil {
		server.endHop(s.out)
	}
	s.group.close()
	server.folders.remove(s.group.folder, s.conn.log)
	server.release()
}

// hops is where input and output went, for the log.
func (s *session) hops() []any {
	var hops []any
	if s.ticket != nil {
		if h := s.conn.server.tickets.taken(s.ticket); h != nil {
			hops = append(hops, "hop_in", h.peer)
		}
	}
	if s.peerOut != "" {
		hops = append(hops, "hop_out", s.peerOut)
	}
	return hops
}

// signal takes SIGNAL. conn.mu is held.
func (s *session) signal(name string) {
	switch name {
	case "KILL", "TERM", "INT", "HUP", "QUIT", "PIPE":
		s.endless.Store(true) // before a process can end of it
	}
	s.group.signal(name)
}

// run waits for START, runs the programs, and returns how they ended, or why the
// caller's connection, or the hop of the input (*cutError), was lost meanwhile. No
// process is left, and no byte of output.
func (s *session) run() ([]wire.End, error) {
	if err := s.await(); err != nil {
		return nil, err
	}
	in, out := s.source(), s.sink()
	if err := in.cut(); err != nil {
		return nil, err
	}
	if err := s.group.start(); err != nil {
		s.conn.wire.Drop()
		return nil, fmt.Errorf("cannot start: %w", err)
	}

	over := make(chan struct{})
	var cut error // watch's
	var watch, input, output, diagnostics sync.WaitGroup
	watch.Go(func() { cut = s.watch(in, out, over) })
	watch.Go(func() {
		if s.group.awaitReaderGone() {
			in.Stop()
		}
	})
	input.Go(func() { s.copyIn(in) })
	output.Go(func() { s.copyOut(out, s.group.stdout) })
	diagnostics.Go(func() { s.copyOut(sink{Sender: s.streams.Error, wire: s.conn.wire}, s.group.stderr) })

	s.group.awaitExits()
	output.Wait()
	ends, err := s.group.end()
	if err != nil {
		s.conn.wire.Drop() // how they ended is not known
	}
	if s.conn.wire.Err() == nil {
		in.Stop() // whoever may still hold the pipe
	}
	s.group.closeStdin()
	input.Wait()
	s.group.stderr.limit(stderrGrace)
	diagnostics.Wait()
	close(over)
	watch.Wait()
	if err == nil {
		err = s.conn.wire.Err()
	}
	if err != nil {
		return nil, err
	}
	if cut != nil {
		return nil, cut
	}
	if in.hop != nil {
		in.hop.release()
	}
	ends[0].In = in.Received()
	last := &ends[len(ends)-1]
	last.Out = out.Sent()
	last.Stopped = out.hop != nil && out.Stopped()
	return ends, nil
}

// watch kills the programs when the caller, or the input's hop, is lost: before any
// pipe of theirs is closed, and after it is certain that their output has no end. It
// returns the loss of the hop, if that was it.
func (s *session) watch(in source, out sink, over <-chan struct{}) error {
	var err error
	for ended := in.ended(); ; {
		select {
		case <-s.conn.wire.Done():
		case <-ended:
			if err = in.cut(); err == nil {
				ended = nil // the input was complete, or nobody wanted the rest
				continue
			}
		case <-over:
			return nil
		}
		s.endless.Store(true)
		out.abort()
		s.group.kill()
		return err
	}
}

// copyIn feeds the first program. Its input ends only where the caller, or the
// sender of the hop, said so: of a connection that was lost, run closes the pipe
// when nobody is left to mistake that for the end.
func (s *session) copyIn(in source) {
	_, err := in.WriteTo(s.group.stdin)
	switch {
	case err == nil:
		s.group.closeStdin()
	case s.conn.wire.Err() == nil && in.cut() == nil: // the pipe's reader has gone
		in.Stop()
		s.group.closeStdin()
	}
}

// copyOut sends one output to its end, or until its receiver stops it: then the
// pipe is closed at once, so that the next write of a program meets SIGPIPE.
func (s *session) copyOut(to sink, from *outputPipe) {
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
		s.endless.Store(true)
		s.conn.wire.Drop() // what is missing must not look complete
	}
	close(done)
	stop.Wait()
	from.Close()
	if to.hop == nil {
		_ = to.Close()
		return
	}
	s.finish(to)
}

// finish ends the hop of the output: with EOF, unless that would not be true.
func (s *session) finish(out sink) {
	if s.endless.Load() {
		out.abort() // close frees it
		return
	}
	if err := out.Close(); err != nil && !out.Stopped() {
		s.conn.log.Warn("hop lost", "to", out.hop.peer, "after", out.Sent(), "error", cutReason(out.wire.Err()))
	}
	s.conn.mu.Lock()
	s.out = nil
	s.conn.mu.Unlock()
	s.conn.server.finishHop(out.hop)
}
