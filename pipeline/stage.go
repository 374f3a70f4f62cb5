package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

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

	in, out *os.File  // the shell's ends of the pipes to its neighbours; nil at the edges
	ends    sync.Once // closes them

	doomed bool // under hunter.starting

	// direct tells that the command of the stage is a program, local or remote:
	// nothing comes after it. It belongs to the goroutine of the stage.
	direct bool

	// The result. It may be read when done is closed.
	done   chan struct{}
	status int
	ran    bool          // false: the pipeline was not started
	lost   bool          // what came out of it may be a part
	errs   []*StageError // that decided the status
	remote *remoteResult // of a stage that is a remote command, when it was opened
}

// run runs the stage in its own goroutine. The ends of its pipes are closed last,
// after the stages behind it have been killed if it was lost.
func (s *stageRun) run() {
	defer close(s.done)
	err := runGuarded(s.ctx, s.shell, s.plan.file)
	cause := context.Cause(s.ctx) // before the pipeline may decide
	s.ticket.leave()
	s.judge(err, cause)
	if s.lost {
		s.pipeline.poison(s)
	}
	if s.ran {
		s.report()
	}
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
	switch {
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
		if s.in != nil {
			s.in.Close()
		}
		if s.out != nil {
			s.out.Close()
		}
	})
}

// calls is told of each command that is about to run in the stage, with its words
// expanded. It returns false if the stage must not go on. s may be nil.
func (s *stageRun) calls(ctx context.Context, pos syntax.Pos, args []string) bool {
	if s == nil {
		return true
	}
	if pos != s.plan.pos {
		// It stands in the words of the stage, or in its group. Another stage
		// may have to be running for it to end.
		s.ticket.leave()
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
