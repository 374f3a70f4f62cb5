package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// Run runs a script and waits for everything that it has started. It returns nil
// for status 0, else an *ExitError.
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
// Commands in the background that still run when the script ends are ended in
// the same way, with TERM.
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
	sh, err := x.newShell()
	if err != nil {
		_ = x.io.close(ctx)
		return &ExitError{Status: statusUsage, Err: err}
	}
	err = x.await(ctx, func() error { return runGuarded(scriptCtx, sh, x.plan.file) })
	cause := context.Cause(ctx)
	x.commands.close()
	end(errScriptEnded)
	x.unblockAll()
	_ = x.await(scriptCtx, func() error {
		x.commands.wait()
		if err == errGivenUp {
			return err // its shell runs still
		}
		x.lingering.Wait()
		if x.mayHaveJobs() {
			x.awaitJobs(sh)
		}
		return nil
	})
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
	prog *parser.Program
	plan *plan
	opts Options
	io   streams

	tempDir  string // of the interpreter
	openFile interp.OpenHandlerFunc
	hunter   hunter

	commands  gate           // the exec handlers under way
	lingering sync.WaitGroup // stages that have ended and whose background commands have not

	capturing sync.Mutex // serialises what is written to buffers of the interpreter
	telling   sync.Mutex // serialises the hooks

	fifosMu sync.Mutex
	fifos   []string // that builtins and functions were given
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
		prog: prog, plan: newPlan(prog, opts.Name), opts: opts,
		openFile: interp.DefaultOpenHandler(),
	}
	x.tempDir = filepath.Clean(os.TempDir())
	for _, kv := range opts.Env {
		if dir, ok := strings.CutPrefix(kv, "TMPDIR="); ok && filepath.IsAbs(dir) {
			x.tempDir = filepath.Clean(dir)
		}
	}
	return x, x.io.open(&x.opts)
}

// newShell makes the shell of the script.
func (x *execution) newShell() (*shell, error) {
	runner, err := interp.New(
		interp.Env(expand.ListEnviron(x.opts.Env...)),
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
	return &shell{runner: runner}, nil
}

// runGuarded runs a file in a shell. A panic of the interpreter is a *bugError.
func runGuarded(ctx context.Context, sh *shell, file *syntax.File) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &bugError{p, debug.Stack()}
		}
	}()
	return sh.runner.Run(withShell(ctx, sh), file)
}

// await calls f and waits for it; when ctx is done only for as long as it can
// take until all that runs has been killed. Then it returns errGivenUp.
func (x *execution) await(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(2*x.opts.Grace + time.Second)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errGivenUp
	}
}

// awaitJobs waits for the background commands of a shell that runs nothing else.
// They must have come to their end, or be on the way there.
func (x *execution) awaitJobs(sh *shell) {
	wait := mark(syntax.Pos{}, "wait")
	_ = runGuarded(internal(context.Background()), sh, &syntax.File{Stmts: []*syntax.Stmt{wait}})
}

// conclude makes the error of Run from that of the script's shell, and from why the
// context had ended by then. A script that was cancelled has no success: what it
// waited for was ended.
func (x *execution) conclude(sh *shell, err, cause error) error {
	var (
		v   *verdict
		bug *bugError
		es  interp.ExitStatus
	)
	switch {
	case cause != nil:
		return &ExitError{Status: causeStatus(cause), Err: cause}
	case err == nil:
		return nil
	case errors.As(err, &v):
		return &ExitError{Status: v.status, Err: joined(v.stages)}
	case errors.As(err, &es):
		return &ExitError{Status: int(es)}
	case errors.As(err, &bug):
		e := sh.bug(bug)
		x.diagnose(e)
		return &ExitError{Status: statusBug, Err: joined([]*StageError{e})}
	}
	fmt.Fprintf(x.stderr(), "rpipe: %s\n", printable(err.Error()))
	return &ExitError{Status: 1, Err: err}
}

// refuseServices tells that stages which name services cannot run, before
// anything does.
func (x *execution) refuseServices() []*StageError {
	var refused []*StageError
	for _, s := range x.plan.services {
		e := s.failure(statusUsage, errService)
		e.Host = s.Address.Host
		refused = append(refused, e)
		x.diagnose(e)
	}
	return refused
}
