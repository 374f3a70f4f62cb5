package pipeline

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"syscall"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// What a markTrap runs.
const (
	trapPending = "pending" // the traps of signals that have come
	trapCalled  = "called"  // and then the command that follows, which was about to be called
	trapFailed  = "failed"  // the ERR trap
	trapExits   = "exits"   // the EXIT trap
	trapDebugs  = "debugs"  // the DEBUG trap
)

// deliver takes a signal for a shell. It returns false if the shell does not trap it.
func (st *shellState) deliver(sig syscall.Signal) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	command, is := st.traps[conditionOfSignal(sig)]
	if !is || command == "" {
		return is
	}
	st.pending = append(st.pending, sig)
	st.x.pending.Store(true)
	if st.woken != nil {
		close(st.woken)
		st.woken = nil
	}
	return true
}

// childEnded tells the shell that a child of it has ended.
func (st *shellState) childEnded() {
	if signalChild != 0 && st.x.plan.traps {
		st.deliver(signalChild)
	}
}

// awaken returns the signal that the shell has to run the trap of, or 0 and a channel
// that is closed when one comes. SIGCHLD does not count: it comes with what is waited
// for.
func (st *shellState) awaken() (syscall.Signal, <-chan struct{}) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, sig := range st.pending {
		if sig != signalChild {
			return sig, nil
		}
	}
	if st.woken == nil {
		st.woken = make(chan struct{})
	}
	return 0, st.woken
}

// due takes the next signal whose trap has to be run, and its command.
func (st *shellState) due() (command string, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(st.pending) > 0 {
		sig := st.pending[0]
		st.pending = st.pending[1:]
		if command := st.traps[conditionOfSignal(sig)]; command != "" {
			return command, true
		}
	}
	return "", false
}

// hasDue reports whether a trap has to be run.
func (st *shellState) hasDue() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.pending) > 0
}

// runTrap runs the command of a trap in the shell of a mark, with status as "$?". It
// returns true if the command ends the shell, or returns from a function, and then the
// error that does so.
func (x *execution) runTrap(ctx context.Context, hc interp.HandlerContext, st *shellState, name, command string, status int) (bool, error) {
	runner := runnerOf(hc)
	// The mark's redirection is undone after it.
	if err := interp.StdIO(hc.Stdin, hc.Stdout, veiled(hc))(runner); err != nil {
		return false, err
	}
	t := x.plan.prepare(command)
	defer x.plan.release(t)
	if t.refused != nil {
		return false, x.refuse(veiled(hc), t.refused)
	}
	st.running = append(st.running, runningTrap{name, status})
	defer func() { st.running = st.running[:len(st.running)-1] }()
	defer x.keepStatuses(ctx, hc, runner)()
	err := hc.Builtin(ctx, []string{"eval", t.printed})
	if leaves(runner) {
		return true, err
	}
	return false, nil
}

// keepStatuses returns the function that makes PIPESTATUS what it is now.
func (x *execution) keepStatuses(ctx context.Context, hc interp.HandlerContext, runner *interp.Runner) func() {
	if !x.plan.statuses {
		return func() {}
	}
	stale, list := x.statuses.isStale(runner), hc.Env.Get("PIPESTATUS").List
	statuses := make([]int, len(list))
	for i, word := range list {
		statuses[i] = index(word)
	}
	return func() {
		if leaves(runner) || len(statuses) == 0 {
			return
		}
		(*shell)(nil).setStatuses(ctx, hc, statuses...)
		if stale {
			x.statuses.called(runner)
		} else {
			x.statuses.written(runner)
		}
	}
}

// runPending runs the traps of the signals that have come, and returns as runTrap.
func (x *execution) runPending(ctx context.Context, hc interp.HandlerContext, st *shellState) (bool, error) {
	for {
		command, ok := st.due()
		if !ok {
			return false, nil
		}
		if ends, err := x.runTrap(ctx, hc, st, "", command, hc.LastExitStatus); ends {
			return true, err
		}
	}
}

// markTrap runs a markTrap. Its error is that of an exec handler.
func (x *execution) markTrap(ctx context.Context, sh *shell, hc interp.HandlerContext, words []string) error {
	st := x.stateOf(sh, hc)
	switch words[0] {
	case trapPending:
		if st.hasDue() {
			if ends, err := x.runPending(ctx, hc, st); ends {
				return err
			}
			return x.keepStatus(sh, hc)
		}
	case trapCalled:
		if ends, err := x.runPending(ctx, hc, st); ends {
			return err
		}
		return hc.Builtin(ctx, []string{"eval", quoteAll(words[1:])})
	case trapFailed:
		x.failed(ctx, hc, st)
	case trapDebugs:
		command, _ := st.trapped(trapDEBUG)
		if command != "" && !st.runs(trapDEBUG) && !inFunction(runnerOf(hc)) {
			if ends, err := x.runTrap(ctx, hc, st, trapDEBUG, command, hc.LastExitStatus); ends {
				return err
			}
			return x.keepStatus(sh, hc)
		}
	case trapExits:
		command, _ := st.trapped(trapEXIT)
		st.mu.Lock()
		st.reset(trapEXIT)
		st.mu.Unlock()
		if ends, err := x.runTrap(ctx, hc, st, trapEXIT, command, hc.LastExitStatus); ends {
			return err
		}
		st.called, st.depth = false, 0 // the status has been seen
	}
	return failure(hc.LastExitStatus)
}

// keepStatus ends a mark, in which something else has run, with the status before.
func (x *execution) keepStatus(sh *shell, hc interp.HandlerContext) error {
	_ = hc.Builtin(internal(context.Background()), []string{"eval", ":"})
	if v := sh.last.Load(); v != nil && v.status == hc.LastExitStatus {
		return v
	}
	return failure(hc.LastExitStatus)
}

func quoteAll(words []string) string {
	var line []byte
	for _, w := range words {
		q, err := quote(w)
		if err != nil {
			q = "''"
		}
		line = append(append(line, q...), ' ')
	}
	return string(line)
}

// armERR lets the interpreter tell of failed commands in the shell of a mark.
func (x *execution) armERR(ctx context.Context, hc interp.HandlerContext, on bool) {
	command := "-"
	if on {
		command = "'" + x.plan.texts.secret + markTrap[1:] + "' " + trapFailed + " 2>'" + x.plan.texts.secret + markVeil[1:] + "'"
	}
	_ = hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"trap", "--", command, trapERR})
}

// failed runs the ERR trap, as part of the callback that the interpreter makes when a
// command has failed. bash does not run it for compound commands whose last command
// has failed, and in functions only under "set -E". The interpreter goes on after the
// callback as if nothing had happened: so an end of the shell is kept, and made by
// "set -e".
func (x *execution) failed(ctx context.Context, hc interp.HandlerContext, st *shellState) {
	command, _ := st.trapped(trapERR)
	runner := runnerOf(hc)
	function, depth := inFunction(runner), functionDepth(runner)
	if command == "" || st.ending || st.simple && !function || st.runs(trapERR) || !st.called && depth >= st.depth {
		return
	}
	st.called, st.depth = false, depth
	if function && !st.tracing() && !st.armed {
		return
	}
	inCallback(runner, false)
	ends, _ := x.runTrap(ctx, hc, st, trapERR, command, hc.LastExitStatus)
	inCallback(runner, true)
	st.called, st.depth = false, depth
	ends, code := ends && runner.Exited(), exitCode(runner)
	st.ending = ends || option(ctx, hc, "errexit")
	if ends {
		st.exiting, st.exits = failure(code), true
		_ = hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"set", "-e"})
	}
}

// runs reports whether the trap of a condition is running.
func (st *shellState) runs(name string) bool {
	return slices.ContainsFunc(st.running, func(t runningTrap) bool { return t.name == name })
}

// ranText says that a text was run by a command, which is one by itself: it may fail too.
func (x *execution) ranText(sh *shell, hc interp.HandlerContext) {
	if x.plan.errs {
		x.stateOf(sh, hc).called = true
	}
}

// returned runs the RETURN trap after a sourced file, and returns as runTrap.
func (x *execution) returned(ctx context.Context, sh *shell, hc interp.HandlerContext, err error) (bool, error) {
	st, runner := x.stateOf(sh, hc), runnerOf(hc)
	command, _ := st.trapped(trapRETURN)
	if command == "" || st.runs(trapRETURN) || leaves(runner) {
		return false, nil
	}
	status := exitCode(runner)
	ends, ended := x.runTrap(ctx, hc, st, trapRETURN, command, status)
	if !ends && err == nil {
		return true, x.keepStatus(sh, hc)
	}
	return ends, ended
}

func (st *shellState) tracing() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.errtrace
}

// runShell runs what a shell of ours is for, with the trap for its end, and returns the
// error that runGuarded returns for it.
func (x *execution) runShell(ctx context.Context, sh *shell, file *syntax.File) error {
	st := sh.state
	if command, is := st.trapped(trapERR); is && command != "" && len(file.Stmts) > 0 {
		// Inherited: the interpreter has to be told.
		armed := &syntax.File{Name: file.Name, Stmts: []*syntax.Stmt{quietly(mark(file.Stmts[0].Position, markArm))}}
		file = &syntax.File{Name: file.Name, Stmts: append(armed.Stmts, file.Stmts...)}
	}
	return x.endShell(ctx, sh, file, runGuarded(ctx, sh, file))
}

// endShell does what is to be done at the end of a shell of ours, which has run file with
// this error, and returns the one that it ends with.
func (x *execution) endShell(ctx context.Context, sh *shell, file *syntax.File, err error) error {
	st := sh.state
	if st.exits {
		st.exits = false
		err = st.exiting
	}
	cause := context.Cause(ctx)
	if !st.hasDue() && !st.atExit() || cause != nil && !x.mayFinish(sh, cause) || !st.atExit() && sh.runner.Exited() {
		return err
	}
	if cause != nil {
		// What it does now has to end by itself.
		var end context.CancelFunc
		ctx, end = context.WithTimeoutCause(context.WithoutCancel(ctx), x.opts.Grace, cause)
		defer end()
	}
	status := x.endStatus(err, cause)
	if cause != nil {
		status = int(st.last.Load()) // that of the latest command
	}
	keep := func(m *syntax.Stmt) *syntax.Stmt { return quietly(m) }
	pos := syntax.Pos{}
	if len(file.Stmts) > 0 {
		pos = file.Stmts[0].Position
	}
	last := []*syntax.Stmt{keep(mark(pos, markEnds, strconv.Itoa(status)))}
	if cause == nil && st.hasDue() {
		last = append(last, keep(mark(pos, markTrap, trapPending)))
	}
	if st.atExit() {
		last = append(last, mark(pos, markTrap, trapExits))
	}
	ended := runGuarded(ctx, sh, &syntax.File{Name: file.Name, Stmts: last})
	if sh.runner.Exited() && cause == nil && exitCode(sh.runner) != status {
		return ended
	}
	return err
}

// atExit reports whether there is a trap for the end of the shell.
func (st *shellState) atExit() bool {
	command, _ := st.trapped(trapEXIT)
	return command != "" && !st.abrupt
}

// endsAbruptly reports whether bash runs no EXIT trap at the end of the shell that it
// makes for a command as a stage, or in the background.
func endsAbruptly(cmd syntax.Command) bool {
	switch cmd := cmd.(type) {
	case *syntax.IfClause, *syntax.WhileClause, *syntax.ForClause, *syntax.CaseClause:
		return true
	case *syntax.BinaryCmd:
		return cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt
	}
	return false
}

// mayFinish reports whether a shell whose context has ended may run the trap for its
// end: if a signal to it was the reason, and not that its output must come to an end.
func (x *execution) mayFinish(sh *shell, cause error) bool {
	var own *jobSignal
	if errors.As(cause, &own) {
		return own.signal != syscall.SIGKILL
	}
	return sh.state == x.main && signalOf(cause) != syscall.SIGKILL
}

// endStatus returns the status that a shell ends with.
func (x *execution) endStatus(err, cause error) int {
	var es interp.ExitStatus
	switch {
	case cause != nil && !errors.As(err, &es):
		return causeStatus(cause)
	case errors.As(err, &es):
		return int(es)
	case err != nil:
		return 1
	}
	return 0
}
