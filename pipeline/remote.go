package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
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
	result  *remote.Result
	service *ServiceReport
	left    bool // nobody wanted the rest of the output
	link    Link
}

// fill adds the result to the report of its stage.
func (r *remoteResult) fill(report *StageReport) {
	report.Host, report.Program = r.address.Host, r.address.Program
	report.Err, report.Result, report.Link = r.failure, r.result, r.link
	report.Service = r.service
}

// errNoDialer is a remote stage where Options.Dialer is nil.
var errNoDialer = &refusal{
	what:   "cannot reach the host: remote stages are not set up here",
	hint:   "the program that runs this script gave no dialer",
	status: 69,
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
	r := &remoteRun{x: x, sh: sh, hc: hc, begun: time.Now(), typedBefore: x.interruptible.typedSoFar()}
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

	ctx         context.Context
	typed       atomic.Bool // signal was called
	typedBefore int         // of interruptible, when it began
	lost        *verdict    // of a command that was lost while it ran
	target      remote.Stage
	chain       *chain
	position    int // in the chain
}

// run opens the command with its chain, meets the other stages, and runs it.
func (r *remoteRun) run(ctx context.Context, args []string) (int, *verdict) {
	r.ctx = ctx
	var t *ticket
	if r.sh.stage.runs(r.hc.Pos) {
		t = r.sh.stage.ticket
	}
	if err := r.prepare(args); err != nil {
		return r.refused(t, err)
	}
	if r.result.address.IsService() {
		return r.runService(t)
	}
	defer r.keep()() // its process comes up while the hosts are called
	if !t.gather(r) {
		newChain([]*remoteRun{r})
	}
	if !r.chain.opened() {
		if err := r.chain.Refusal(r.position); err != nil {
			return r.refused(t, err)
		}
		// Another one of the chain was refused.
		t.await(ctx)
		return r.notStarted()
	}
	r.result.link = linkOf(r.chain.Link(r.position))
	r.x.opts.Keeper.Await() // before anything reads
	if !t.await(ctx) {
		r.chain.giveUp(r.position)
		return causeStatus(context.Cause(ctx)), nil
	}
	r.ran = true
	v := r.x.victimOf(r.sh, r.hc, args)
	ok, _ := r.x.hunter.begin(v, func() (lethal, error) {
		return lethal{freeze: func() { r.chain.Abort(r.position) }, kill: func() {}}, nil
	})
	var outcome remote.Outcome
	if ok {
		defer context.AfterFunc(ctx, r.discard)()
		r.chain.ready()
		leave := r.x.interruptible.enter(r, r.signal)
		outcome = r.chain.Wait(r.position)
		leave()
		r.x.hunter.remove(v)
		r.result.result, r.result.left = outcome.Result, outcome.ReaderGone
		if outcome.Err == nil {
			return 0, nil
		}
	} else {
		r.chain.giveUp(r.position)
	}
	lost := r.x.hunter.cutBy(v)
	switch {
	case r.lost != nil:
		return r.lost.status, r.lost
	case lost != nil:
		return lost.status, lost
	case !ok || r.x.hunter.wasKilled(r.sh.stage), errors.Is(outcome.Err, remote.ErrPoisoned):
		return statusKilled, nil
	case ctx.Err() != nil:
		return causeStatus(context.Cause(ctx)), nil
	}
	return r.ended(outcome.Err)
}

// signal sends the command a signal. One for a whole chain is sent by its first command.
func (r *remoteRun) signal(sig syscall.Signal) {
	r.typed.Store(true)
	if r.chain != nil && r.position == 0 {
		r.chain.Signal(sig)
	}
}

// discard ends the command, and those before it in its chain, if a stage after them
// was lost.
func (r *remoteRun) discard() {
	var lost *readerLost
	if errors.As(context.Cause(r.ctx), &lost) {
		r.chain.Discard(r.position)
	}
}

// refused ends a command that was not opened.
func (r *remoteRun) refused(t *ticket, err error) (int, *verdict) {
	if r.ctx.Err() != nil {
		t.leave()
		return causeStatus(context.Cause(r.ctx)), nil
	}
	v := r.fail(err, statusRefused)
	if !t.refuse(v) {
		r.x.miss(r.sh, r.hc, v)
		r.x.diagnose(r.result.failure)
	}
	if r.x.plan.place(r.hc.Pos).hidesRefusal(v.status) {
		r.x.stick(v)
	}
	return v.status, v
}

// notStarted is the status of a command whose chain was refused because of another
// one.
func (r *remoteRun) notStarted() (int, *verdict) {
	if r.ctx.Err() != nil {
		return causeStatus(context.Cause(r.ctx)), nil
	}
	status := statusRefused
	for i := range r.chain.Stages {
		if s, ok := statusOf(r.chain.Refusal(i)); ok {
			status = s
		}
	}
	return status, nil
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
		r.lose(err)
		return r.lost.status, r.lost
	}
	r.x.diagnose(r.result.failure)
	return v.status, v
}

// lose takes a failure after which nobody knows how the command ended: what came
// out of it may be a part.
func (r *remoteRun) lose(err error) {
	v := r.fail(err, statusLost)
	v.lost = true
	r.lost = v
	r.x.lose(r.sh, r.hc, v)
	r.x.diagnose(r.result.failure)
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

// prepare finds out what is to be run, and where.
func (r *remoteRun) prepare(args []string) error {
	address, err := parser.ParseAddress(args[0])
	if err != nil {
		return err
	}
	r.result.address = address
	if err := address.CheckArgs(args[1:]); err != nil {
		return err
	}
	if address.IsService() && r.x.opts.RequireStatus {
		return errNoStatus
	}
	if r.x.opts.Dialer == nil {
		return errNoDialer
	}
	var assigned []string
	if r.plan != nil {
		assigned = r.plan.assigned
	}
	r.target = remote.Stage{
		Host: address.Host, Port: address.Port,
		Program: remote.Program{
			Name: address.Program, Args: args[1:],
			Env: travelling(r.hc.Env, r.x.plan.texts.secret, assigned),
		},
	}
	return nil
}

// chainContext returns the context for a chain that begins with the command: that
// of its pipeline where there is more than one, since stages end one by one.
func (r *remoteRun) chainContext(more bool) context.Context {
	if more {
		return r.sh.stage.pipeline.ctx
	}
	return r.ctx
}

// inputEnded reports whether the end of the input that was seen is one: the signal
// that ends this script, or the one that was typed, may just have ended whoever wrote it.
func (r *remoteRun) inputEnded() bool {
	r.x.opts.Settle()
	return r.ctx.Err() == nil && !r.typed.Load()
}

// writesTo reports whether the output of the command is a pipe that only the other
// one reads, the stage behind it.
func (r *remoteRun) writesTo(next *remoteRun) bool {
	stdout, _ := r.hc.Stdout.(*os.File)
	stdin, _ := next.hc.Stdin.(*os.File)
	return stdout != nil && stdout == r.sh.stage.out && stdin != nil && stdin == next.sh.stage.in &&
		same(stderrOf(r.hc), stderrOf(next.hc))
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
