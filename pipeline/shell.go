package pipeline

import (
	"context"
	"sync"
	"sync/atomic"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A shell is an interpreter that this package made: the one of the script, the one
// of a stage, or the one of a list. It travels in the context of everything that runs
// in it, also of the shells that the interpreter makes for itself.
type shell struct {
	runner *interp.Runner
	stage  *stageRun // nil for the shell of the script
	script bool      // it is the one of the script
	job    *job      // that it runs in, or nil

	state   *shellState // of runner
	custody *custody    // of the jobs in it

	at   atomic.Uint64           // line and column of the latest command, for reports of bugs
	last atomic.Pointer[verdict] // the latest failure that was ours

	framing sync.Once
	frame   *frame // what the shell has opened by "exec"; see ownFrame
}

type shellKey struct{}

func withShell(ctx context.Context, sh *shell) context.Context {
	return context.WithValue(ctx, shellKey{}, sh)
}

// shellOf returns the shell that a handler's context belongs to.
func shellOf(ctx context.Context) *shell {
	return ctx.Value(shellKey{}).(*shell)
}

// inside returns the shell for what is run in a handler, which is the one of sh, or one
// that the interpreter has made in it.
func (x *execution) inside(sh *shell, hc interp.HandlerContext) *shell {
	r := runnerOf(hc)
	if r == sh.runner {
		return sh
	}
	return &shell{runner: r, stage: sh.stage, job: sh.job, state: x.stateOf(sh, hc), custody: sh.custody}
}

// takeOver makes the latest failure of a shell inside of sh that of sh.
func (sh *shell) takeOver(inner *shell) {
	if v := inner.last.Load(); v != nil {
		sh.last.Store(v)
	}
}

// failed makes v the latest failure of the shell and returns it.
func (sh *shell) failed(v *verdict) error {
	sh.last.Store(v)
	return v
}

// bug makes the report of a panic: with the stage, and the latest command's place.
func (sh *shell) bug(err *bugError) *StageError {
	e := &StageError{Status: statusBug, Err: err}
	if sh.stage != nil {
		e = sh.stage.plan.failure(statusBug, err)
	}
	if at := sh.at.Load(); at != 0 { // else no command has been called in it
		e.Line, e.Column = int(at>>32), int(uint32(at))
	}
	return e
}

// packPlace returns the line and the column of a position in one number.
func packPlace(pos syntax.Pos) uint64 { return uint64(pos.Line())<<32 | uint64(uint32(pos.Col())) }

// A causeContext has its cause as its error, which the interpreter may print.
type causeContext struct{ context.Context }

func (c causeContext) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return context.Cause(c.Context)
}

type internalKey struct{}

// internal marks the context of what this package itself lets the interpreter
// run, which the handlers leave alone.
func internal(ctx context.Context) context.Context {
	return context.WithValue(ctx, internalKey{}, true)
}

func isInternal(ctx context.Context) bool { return ctx.Value(internalKey{}) != nil }
