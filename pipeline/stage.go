package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// holdInterval is how often is asked whether a program has closed its output while
// it runs: so long its reader waits for the end of input at most.
const holdInterval = 50 * time.Millisecond

// A stageRun is one stage of a pipeline that this package runs: a shell of its
// own, in a goroutine of its own.
type stageRun struct {
	pipeline *pipelineRun
	plan     *plannedStage
	parent   *stageRun // the stage that the pipeline is inside of, or nil
	shell    *shell
	ctx      context.Context
	cancel   context.CancelCauseFunc
	ticket   *ticket // nil for a stage that is started in the second phase
	begun    time.Time

	in, out *os.File     // the shell's ends of the pipes to its neighbours; nil at the edges
	outID   pipeID       // of out
	stdout  io.Writer    // what the shell writes to: out, or that of the pipeline
	readers probe        // of out
	kept    hold         // of out
	ends    sync.Once    // closes them
	handing sync.RWMutex // held for reading while files are handed to a process, and while they are closed

	doomed bool     // what runs in it is killed; under hunter.starting
	lostBy *verdict // the failure of a lost command whose output is in out; under hunter.starting

	// direct tells that the command of the stage is a program, local or remote:
	// nothing comes after it. It belongs to the goroutine of the stage.
	direct bool

	// The result. It may be read when done is closed.
	done   chan struct{}
	status int
	ran    bool          // false: the pipeline was not started
	left   bool          // SIGPIPE has ended it, and its reader had gone
	lost   bool          // what came out of it may be a part
	errs   []*StageError // that decided the status
	remote *remoteResult // of a stage that is a remote command, when it was opened
}

// run runs the stage in its own goroutine. The ends of its pipes are closed last,
// after the stages behind it have been killed if it was lost.
func (s *stageRun) run() {
	defer close(s.done)
	s.shell.state.simple, s.shell.state.abrupt = s.plan.Call != nil, endsAbruptly(s.plan.Stmt.Cmd)
	err := s.pipeline.x.runShell(s.ctx, s.shell, s.plan.file)
	cause := context.Cause(s.ctx) // before the pipeline may decide
	s.ticket.leave()
	s.judge(err, cause)
	if s.lost {
		s.pipeline.poison(s)
	}
	if s.ran {
		s.report()
	}
	s.shell.closeDescriptors()
	s.pipeline.x.letGo(s)
}

// judge makes the result of the stage from what the interpreter returned, and
// from why the context of the stage had ended by then.
func (s *stageRun) judge(err, cause error) {
	x := s.pipeline.x
	var (
		v   *verdict
		bug *bugError
		es  interp.ExitStatus
	)
	s.ran = false
	switch {
	case s.ticket.refusal() != nil:
		s.status, s.errs = s.ticket.refusal().status, s.ticket.refusal().stages
		return
	case errors.Is(cause, errNotStarted):
		return // the pipeline gives it a status
	}
	s.ran = true
	lost := x.hunter.lostBy(s)
	switch {
	case lost != nil:
		s.lose(lost)
	case err == nil:
	case x.hunter.wasKilled(s):
		s.status = statusKilled
	case cause != nil:
		s.status = causeStatus(cause)
	case errors.As(err, &v):
		s.status, s.errs, s.lost = v.status, v.stages, v.lost
	case errors.As(err, &bug):
		s.status = statusBug
		e := s.shell.bug(bug)
		x.diagnose(e)
		s.errs = []*StageError{e}
	case errors.As(err, &es):
		s.status = int(es)
		// The status of a lost command may have gone through "exit".
		if v := s.shell.last.Load(); v != nil && v.lost && v.status == s.status {
			s.errs, s.lost = v.stages, true
		}
	default:
		s.status = 1
		fmt.Fprintf(x.stderr(), "rpipe: %s\n", printable(err.Error()))
	}
	if s.status == statusPipe && s.out != nil {
		s.left = s.readers.gone()
		if s.direct && s.remote != nil {
			s.left = s.remote.left
		}
	}
}

// lose makes the result of the stage that of a lost command.
func (s *stageRun) lose(v *verdict) {
	s.status, s.errs, s.lost = v.status, v.stages, true
}

// report tells how the stage ended.
func (s *stageRun) report() {
	r := s.plan.report()
	r.Status, r.Ran, r.Elapsed = s.status, s.ran, time.Since(s.begun)
	if s.remote != nil {
		s.remote.fill(&r)
	}
	s.pipeline.x.stageDone(r)
}

// closeEnds closes the shell's ends of the stage's pipes.
func (s *stageRun) closeEnds() {
	s.ends.Do(func() {
		s.handing.Lock()
		defer s.handing.Unlock()
		if s.in != nil {
			s.in.Close()
		}
		if s.out != nil {
			s.out.Close()
		}
		s.kept.end()
	})
}

// handOver closes the shell's ends, of which p has copies. Where that can be seen,
// the output stays open as long as p has it, so that its reader does not come to an
// end, and go, before it is known whether it was there when p ended. wait, which
// is called after p.wait, returns when nothing of this is left.
func (s *stageRun) handOver(p *process) (wait func()) {
	s.closeEnd(s.in)
	var watch sync.WaitGroup
	watch.Go(func() {
		for holdsOutput(p.cmd.Process.Pid, s.outID) {
			select {
			case <-p.exited:
				return
			case <-time.After(holdInterval):
			}
		}
		s.closeEnd(s.out)
	})
	return watch.Wait
}

// closeEnd closes in or out; nil is none.
func (s *stageRun) closeEnd(f *os.File) {
	s.handing.Lock()
	defer s.handing.Unlock()
	if f == nil {
		return
	}
	f.Close()
	if f == s.out {
		s.kept.end()
	}
}

// keepEnds keeps the ends of the stage, and of those that it is inside of, from
// being closed until release is called: a background command of a stage that has
// ended may be about to hand them to a process, by their numbers. s may be nil.
func (s *stageRun) keepEnds() (release func()) {
	for e := s; e != nil; e = e.parent {
		e.handing.RLock()
	}
	return func() {
		for e := s; e != nil; e = e.parent {
			e.handing.RUnlock()
		}
	}
}

// calls is told of each command that is about to run in the stage, with its words
// expanded. It returns false if the stage must not go on. s may be nil.
func (s *stageRun) calls(ctx context.Context, pos syntax.Pos, args []string) bool {
	if s == nil {
		return true
	}
	if pos != s.plan.pos {
		// It stands in the words of the stage, or in a function that it has
		// called after its point.
		s.ticket.leaveSoon()
		return true
	}
	_, function := s.shell.runner.Funcs[args[0]]
	s.direct = !function && !interp.IsBuiltin(args[0])
	if s.direct && isAddress(args[0]) {
		return true // it waits when its host has accepted it
	}
	return s.ticket.await(ctx)
}

// runs reports whether the program at pos is the whole of the stage. s may be
// nil.
func (s *stageRun) runs(pos syntax.Pos) bool {
	return s != nil && pos == s.plan.pos && s.direct
}
