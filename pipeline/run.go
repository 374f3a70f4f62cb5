package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// Run runs a script and waits for everything that it has started, except for local
// programs in the background. It returns nil for status 0, else an *ExitError. A
// script in which a stage was lost has no success, unless it has looked at the
// failure: in a condition, or on the left side of && or ||. The same holds for a
// host that could not be reached or that refused an identity, behind "!".
//
// When ctx is done, every local process and remote program gets the signal that
// context.Cause(ctx) carries in a method Signal() syscall.Signal, else TERM, and
// after Options.Grace KILL. The status of a script that was ended so is that of
// the cause's method ExitStatus() int; else 124 for a deadline; else 128 and the
// number of that signal. Run then returns at the latest a second after twice the
// grace. By that time only a builtin, or the copying of a remote stage's output,
// can be left, in a read or a write that cannot be ended; its goroutine is given
// up.
//
// A command in the background that is one local program is left running when the
// script ends, as a shell leaves it, and so is one in <( ) that has not ended; a
// goroutine stays until then, to reap it. All others, such as groups, pipelines and
// remote stages, live in this process: Run waits for them. While it does, ctx ends
// all of both kinds.
//
// Where Options.Replaceable allows it, Run may return a *Replacement.
//
// When the script has a trap for its end, that runs also when ctx has ended it, unless
// the signal is KILL; it then has the grace to end.
//
// A Program may be run several times, also at the same time.
func Run(ctx context.Context, prog *parser.Program, opts Options) error {
	x, err := newExecution(prog, opts)
	if err != nil {
		return &ExitError{Status: statusUsage, Err: err}
	}
	if refused := x.refuseServices(); len(refused) > 0 {
		_ = x.io.close(ctx)
		return &ExitError{Status: statusUsage, Err: joined(refused)}
	}
	scriptCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer x.fifos.remove()
	sh, err := x.newShell()
	if err != nil {
		_ = x.io.close(ctx)
		return &ExitError{Status: statusUsage, Err: err}
	}
	defer sh.closeDescriptors()
	defer x.releaseSignals()
	late := x.lateness(scriptCtx)
	defer late.stop()
	x.end = end
	err = late.await(func() error {
		if opts.Input != nil {
			return x.runInput(scriptCtx, sh, opts.Input, prog.Name)
		}
		return x.runShell(scriptCtx, sh, x.plan.main.file)
	})
	cause := context.Cause(scriptCtx)
	runsStill := err == errGivenUp
	if !runsStill {
		// The commands of >( ) that it has "exec" write to them wait for that.
		sh.closeDescriptors()
	}
	awaitJobs := func() error {
		if !runsStill {
			x.awaitAllJobs(sh)
		}
		return nil
	}
	waitsStill := false
	if cause == nil {
		close(x.remnant.over)
		waitsStill = late.await(awaitJobs) == errGivenUp
		cause = context.Cause(scriptCtx)
	}
	if cause == nil {
		x.remnant.letGo()
	}
	x.commands.close()
	end(errScriptEnded)
	_ = late.await(func() error {
		x.commands.wait() // none begins a wait of the reaper's any more
		if cause != nil {
			x.remnant.reaper.Wait()
		}
		if waitsStill {
			return nil
		}
		return awaitJobs()
	})
	if r := x.becomes; r != nil {
		if err == nil && cause == nil && x.hidden.Load() == nil {
			_ = x.io.close(ctx)
			return r
		}
		r.Discard()
	}
	err = x.conclude(sh, err, cause)
	if writing := x.io.close(ctx); writing != nil && err == nil {
		err = &ExitError{Status: 1, Err: fmt.Errorf("cannot write the output: %w", writing)}
	}
	return err
}

// errScriptEnded is the cause with which background commands end.
var errScriptEnded = errors.New("the script has ended")

// errGivenUp is the end of a wait that took too long.
var errGivenUp = errors.New("it could not be ended")

// An execution is one Run.
type execution struct {
	plan *plan
	opts Options
	io   streams

	fifos    fifoFolder
	openFile interp.OpenHandlerFunc
	hunter   hunter
	times    stopwatch
	statuses freshness
	sources  sources
	tracer   tracer

	interruptible interruptible
	initials      initials

	begun time.Time

	ownership ownership

	shellOptions string                  // SHELLOPTS where the script begins
	subshells    atomic.Int64            // how many there were
	hidden       atomic.Pointer[verdict] // the failure that nobody looked at, if there was one

	states  states
	jobs    jobTable
	main    *shellState             // of the script
	pending atomic.Bool             // a signal has come that a shell traps
	end     context.CancelCauseFunc // of the script
	becomes *Replacement            // what the shell of the script ends with; nil is nothing

	commands  gate           // the exec handlers under way
	remnant   remnant        // programs that outlive the script
	lingering sync.WaitGroup // waits for the background commands of stages that have ended

	capturing sync.Mutex // serialises what is written to buffers of the interpreter
	telling   sync.Mutex // serialises the hooks
}

func newExecution(prog *parser.Program, opts Options) (*execution, error) {
	if opts.Name == "" {
		opts.Name = DefaultName
	}
	if opts.Grace <= 0 {
		opts.Grace = DefaultGrace
	}
	if opts.Env == nil {
		opts.Env = os.Environ()
	}
	x := &execution{
		plan: newPlan(prog, opts.Name, expand.ListEnviron(opts.Env...), opts.Set...), opts: opts, begun: time.Now(), shellOptions: defaultShellOptions,
		openFile: interp.DefaultOpenHandler(),
		remnant:  remnant{over: make(chan struct{})},
	}
	if opts.Input != nil {
		x.plan.expectText()
	}
	return x, x.io.open(&x.opts)
}

// newShell makes the shell of the script.
func (x *execution) newShell() (*shell, error) {
	env, restore := environmentOfShell(x.opts.Env), "unset TMPDIR"
	if dir := expand.ListEnviron(env...).Get("TMPDIR"); x.plan.jobs && x.fifos.make(dir.Str) {
		if dir.IsSet() {
			quoted, err := syntax.Quote(dir.Str, syntax.LangBash)
			if err != nil {
				return nil, err
			}
			restore = "export TMPDIR=" + quoted
		}
		// The interpreter takes its folder from here, before anything runs.
		env = append(slices.Clone(env), "TMPDIR="+x.fifos.path)
	}
	runner, err := interp.New(
		interp.Env(expand.ListEnviron(env...)),
		interp.Dir(x.opts.Dir),
		interp.Params(append([]string{"-o", "pipefail", "--"}, x.opts.Params...)...),
		interp.StdIO(x.io.stdin, x.io.stdout, x.io.stderr),
		interp.CallHandler(x.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return x.exec }),
		interp.OpenHandler(x.open),
	)
	if err != nil {
		return nil, err
	}
	x.main = x.newState(nil, false)
	sh := &shell{runner: runner, script: true, state: x.main, custody: &custody{}}
	runner.Reset()
	if _, ok := scopeOf(variablesOf(runner)); !ok {
		panic("pipeline: the interpreter has no " + overlayType)
	}
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, functionPrefix) }) {
		x.plan.main.uses.special = true
		x.importFunctions(runner)
	}
	if v := variablesOf(runner).Get("GID"); v.ReadOnly {
		// It is the interpreter's own: no shell has it.
		v.Kind, v.ReadOnly = expand.KeepValue, false
		_ = variablesOf(runner).Set("GID", v)
		_ = variablesOf(runner).Set("GID", expand.Variable{})
	}
	x.adopt(runner)
	if err := x.setOptions(sh); err != nil {
		return nil, err
	}
	if x.fifos.path != "" {
		file, err := syntax.NewParser().Parse(strings.NewReader(restore), "")
		if err != nil {
			return nil, err
		}
		if err := runGuarded(internal(context.Background()), sh, file); err != nil {
			return nil, err
		}
	}
	return sh, nil
}

// runGuarded runs a node in a shell. A panic of the interpreter is a *bugError.
// Running a file is the end of the shell: its EXIT trap runs.
func runGuarded(ctx context.Context, sh *shell, node syntax.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &bugError{p, debug.Stack()}
		}
	}()
	if file, ok := node.(*syntax.File); ok && len(file.Stmts) > 0 {
		sh.at.CompareAndSwap(0, packPlace(file.Stmts[0].Pos()))
	}
	return sh.runner.Run(causeContext{withShell(ctx, sh)}, node)
}

// conclude makes the error of Run from that of the script's shell, and from why the
// context had ended by then. A script that was cancelled has no success: what it
// waited for was ended.
func (x *execution) conclude(sh *shell, err, cause error) error {
	var (
		v   *verdict
		bug *bugError
		es  interp.ExitStatus
		own *jobSignal
	)
	switch {
	case errors.As(cause, &own):
		return &ExitError{Status: own.ExitStatus()}
	case cause != nil:
		return &ExitError{Status: causeStatus(cause), Err: cause}
	case err == nil:
		if v := x.hidden.Load(); v != nil {
			return &ExitError{Status: v.status, Err: joined(v.stages)}
		}
		return nil
	case errors.As(err, &v):
		return &ExitError{Status: v.status, Err: joined(v.stages)}
	case errors.As(err, &es):
		// The status of a lost command may have gone through "exit".
		if v := sh.last.Load(); v != nil && v.lost && v.status == int(es) {
			return &ExitError{Status: v.status, Err: joined(v.stages)}
		}
		return &ExitError{Status: int(es)}
	case errors.As(err, &bug):
		e := sh.bug(bug)
		x.diagnose(e)
		return &ExitError{Status: statusBug, Err: joined([]*StageError{e})}
	}
	var syntax parser.ErrorList
	if errors.As(err, &syntax) {
		return &ExitError{Status: statusUsage, Err: err}
	}
	fmt.Fprintf(x.stderr(), "rpipe: %s\n", printable(err.Error()))
	return &ExitError{Status: 1, Err: err}
}
