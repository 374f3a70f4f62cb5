package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"

	"rpipe/parser"
	"rpipe/remote"
)

// isAddress reports whether a command's name is the address of a remote stage.
func isAddress(name string) bool { return strings.HasPrefix(name, "@") }

// A remoteResult is how a remote command ended.
type remoteResult struct {
	address parser.Address
	failure *StageError
	results []remote.Result
	left    bool // nobody wanted the rest of the output
}

// fill adds the result to the report of its stage.
func (r *remoteResult) fill(report *StageReport) {
	report.Host, report.Program = r.address.Host, r.address.Program
	report.Err, report.Results = r.failure, r.results
}

// errNoDialer is a remote stage where Options.Dialer is nil.
var errNoDialer = &refusal{
	what:   "cannot reach the host: remote stages are not set up here",
	hint:   "the program that runs this script gave no dialer",
	status: 69,
}

// errService is a stage that names a service.
var errService = &refusal{
	what:   "services cannot be called by this version",
	hint:   "to run a program of the host's rpiped write @HOST:PROGRAM",
	status: statusUsage,
}

// A refusal is a reason of our own not to open a remote stage.
type refusal struct {
	what, hint string
	status     int
}

func (r *refusal) Error() string   { return r.what }
func (r *refusal) Hint() string    { return r.hint }
func (r *refusal) ExitStatus() int { return r.status }

// runRemote runs a remote command and returns its status in the way of an exec
// handler. In the first phase of its pipeline's start it waits, when it has been
// accepted, for the other stages.
func (x *execution) runRemote(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	r := &remoteRun{x: x, sh: sh, hc: hc, begun: time.Now()}
	// Commands of the script's text are known by their place; others, from
	// eval or source, are not.
	r.plan = x.plan.stage(hc.Pos)
	status, v := r.run(ctx, args)
	if sh.stage.runs(hc.Pos) {
		sh.stage.remote = &r.result // its stage reports
	} else {
		report := r.plan.report()
		if r.plan == nil {
			report.Line, report.Column = int(hc.Pos.Line()), int(hc.Pos.Col())
		}
		report.Status, report.Ran, report.Elapsed = status, r.ran, time.Since(r.begun)
		r.result.fill(&report)
		x.stageDone(report)
	}
	if v != nil {
		return sh.failed(v)
	}
	return failure(status)
}

// A remoteRun is a remote command under way.
type remoteRun struct {
	x      *execution
	sh     *shell
	hc     interp.HandlerContext
	plan   *plannedStage // nil for a command that is not in the script's text
	begun  time.Time
	ran    bool
	result remoteResult
}

// run opens the command, meets the other stages, and runs it.
func (r *remoteRun) run(ctx context.Context, args []string) (int, *verdict) {
	var t *ticket
	if r.sh.stage.runs(r.hc.Pos) {
		t = r.sh.stage.ticket
	}
	cmd, err := r.open(ctx, args)
	if err != nil {
		if ctx.Err() != nil {
			return causeStatus(context.Cause(ctx)), nil
		}
		v := r.fail(err, statusRefused)
		if !t.refuse(v) {
			r.x.diagnose(r.result.failure)
		}
		if r.x.plan.place(r.hc.Pos).hidesRefusal(v.status) {
			r.x.stick(v)
		}
		return v.status, v
	}
	defer cmd.Close()
	if !t.await(ctx) {
		return causeStatus(context.Cause(ctx)), nil
	}
	r.ran = true
	v := r.x.victimOf(r.sh, r.hc, args)
	ok, _ := r.x.hunter.begin(v, func() (lethal, error) {
		return lethal{freeze: cmd.Abort, kill: func() {}}, nil
	})
	if ok {
		if err = cmd.Start(); err == nil {
			err = cmd.Wait()
		}
		r.x.hunter.remove(v)
		r.result.results, r.result.left = cmd.Results(), cmd.ReaderGone()
		if err == nil {
			return 0, nil
		}
	}
	lost := r.x.hunter.cutBy(v)
	switch {
	case lost != nil:
		return lost.status, lost
	case !ok || r.x.hunter.wasKilled(r.sh.stage):
		return statusKilled, nil
	case ctx.Err() != nil:
		return causeStatus(context.Cause(ctx)), nil
	}
	return r.ended(err)
}

// ended judges a command that ran and failed.
func (r *remoteRun) ended(err error) (int, *verdict) {
	v := r.fail(err, statusLost)
	var exit *remote.ExitError
	var output *remote.CopyError
	switch {
	case errors.As(err, &exit):
		if exit.Signal != "" && exit.Signal != "PIPE" {
			r.x.diagnose(r.result.failure)
		}
		return v.status, v
	case errors.As(err, &output) && output.Output():
		// A full disk, say: its own failure, as a local program's would be.
	default:
		// Nobody has said how it ended: what came out of it may be a part.
		v.lost = true
		r.x.lose(r.sh, r.hc, v)
	}
	r.x.diagnose(r.result.failure)
	return v.status, v
}

// fail makes the failure of the command from err, with a status for errors that
// have none.
func (r *remoteRun) fail(err error, status int) *verdict {
	if s, ok := statusOf(err); ok {
		status = s
	}
	e := &StageError{
		Host: r.result.address.Host, Program: r.result.address.Program,
		Line: int(r.hc.Pos.Line()), Column: int(r.hc.Pos.Col()),
		Status: status, Err: err,
	}
	if r.result.address.IsService() {
		e.Service = r.result.address.String()
	}
	if r.plan != nil {
		e.Pipeline, e.Stage = r.plan.pipeline, r.plan.Number
		e.Line, e.Column = r.plan.Line(), r.plan.Column()
	}
	r.result.failure = e
	return &verdict{status: status, stages: []*StageError{e}}
}

// open opens the command that args name.
func (r *remoteRun) open(ctx context.Context, args []string) (*remote.Cmd, error) {
	address, err := parser.ParseAddress(args[0])
	if err != nil {
		return nil, err
	}
	r.result.address = address
	if err := address.CheckArgs(args[1:]); err != nil {
		return nil, err
	}
	if address.IsService() {
		return nil, errService
	}
	if r.x.opts.Dialer == nil {
		return nil, errNoDialer
	}
	cmd := remote.Command(ctx, address.Host, address.Program, args[1:]...)
	cmd.Host, cmd.Port = address.Host, address.Port
	cmd.Dialer, cmd.Grace = r.x.opts.Dialer, r.x.opts.Grace
	var assigned []string
	if r.plan != nil {
		assigned = r.plan.assigned
	}
	cmd.Programs[0].Env = travelling(r.hc.Env, assigned)
	if r.hc.Stdin != nil {
		cmd.Stdin = r.hc.Stdin
	}
	cmd.Stdout, cmd.Stderr = r.output(r.hc.Stdout), r.output(r.hc.Stderr)
	return cmd, cmd.Open()
}

// output returns w as an output of the command. What is no file is a buffer of
// the interpreter, as in $( ), that others may write to.
func (r *remoteRun) output(w io.Writer) io.Writer {
	if _, ok := w.(*os.File); ok {
		return w
	}
	if w == nil || same(w, io.Discard) {
		return nil
	}
	return &lockedWriter{mu: &r.x.capturing, w: w}
}
