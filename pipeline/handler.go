package pipeline

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// call is the interpreter's CallHandler: it sees every simple command after its
// expansion.
func (x *execution) call(ctx context.Context, args []string) ([]string, error) {
	if isInternal(ctx) {
		return args, nil
	}
	sh, hc := shellOf(ctx), handlerContext(ctx)
	if args[0] = x.plan.unmasked(args[0]); isMark(args[0]) {
		if t := descriptorsOf(hc); t != nil {
			t.isNoProgram()
		}
		return x.callMark(sh, hc, args), nil
	}
	sh.at.Store(packPlace(hc.Pos))
	if t := descriptorsOf(hc); t != nil && (interp.IsBuiltin(args[0]) || isFunction(hc, args[0])) {
		t.isNoProgram()
	}
	if x.plan.statuses && !runsText(args[0]) && !isFunction(hc, args[0]) {
		x.statuses.called(runnerOf(hc))
	}
	x.note(sh, hc, args)
	if x.tracer.on.Load() {
		x.trace(hc, tracedWords(args))
	}
	sh.job.calls(hc.Pos, hc, args[0])
	if args := x.withTraps(sh, hc, args); args != nil {
		return args, nil
	}
	if !sh.stage.calls(ctx, hc.Pos, args) {
		return exitWith(causeStatus(context.Cause(ctx))), nil
	}
	if lost := x.readsCut(sh, hc); lost != nil {
		return exitWith(lost.status), nil
	}
	if isAddress(args[0]) && !x.plan.feeds(hc.Pos) && goneReader(hc) {
		return exitWith(statusPipe), nil // a loop would call its host for ever
	}
	if args[0] == "command" || args[0] == "builtin" {
		if inner, ok := unwrapped(hc, args); ok {
			args = inner
		}
	}
	if x.plan.disables && isDisabled(hc, args[0]) && !isFunction(hc, args[0]) {
		return append([]string{markProgram}, args...), nil
	}
	switch args[0] {
	case "help", "alias":
		// The interpreter ignores the errors of its writes.
		if f := fileOf(hc, 1); f != nil && readerGone(ctx, f) {
			return exitWith(statusPipe), nil
		}
	case "break", "continue", "return", "exit":
		if !isFunction(hc, args[0]) {
			return x.control(hc, args), nil
		}
	case "eval", "source", ".":
		if !isFunction(hc, args[0]) {
			return x.withText(args), nil
		}
	}
	if args[0] == "exec" && len(args) == 1 {
		return args, nil // the interpreter keeps its redirections
	}
	if b := builtinOf(args[0]); b != nil && !isFunction(hc, args[0]) {
		if isQuick(args) {
			return x.runQuick(ctx, sh, hc, b, args), nil
		}
		return append([]string{markBuiltin}, args...), nil
	}
	return args, nil
}

// note keeps what a script can read of the command that is about to run.
func (x *execution) note(sh *shell, hc interp.HandlerContext, args []string) {
	uses := &x.plan.main.uses
	if !uses.lastWord && !uses.stack && !uses.commands {
		return
	}
	r := runnerOf(hc)
	env := variablesOf(r)
	if uses.lastWord && r.Funcs[args[0]] == nil {
		_ = env.Set("_", stringValue(args[len(args)-1]))
	}
	if uses.stack && r.Funcs[args[0]] != nil {
		_ = env.Set(hiddenCalled, stringValue(strconv.Itoa(int(hc.Pos.Line()))))
	}
	if uses.commands && !handlesTrap(r) && len(x.stateOf(sh, hc).running) == 0 {
		if s := x.plan.stage(hc.Pos); s != nil {
			_ = env.Set("BASH_COMMAND", stringValue(x.plan.command(s, hc.Pos)))
		}
	}
}

// isFunction reports whether a command is a function of its shell.
func isFunction(hc interp.HandlerContext, name string) bool { return runnerOf(hc).Funcs[name] != nil }

// callMark is call for a mark.
func (x *execution) callMark(sh *shell, hc interp.HandlerContext, args []string) []string {
	if x.plan.errs {
		switch args[0] {
		case markPipeline, markShell, markCalled:
			x.stateOf(sh, hc).called = true
		}
	}
	if sh.stage != nil && (args[0] == markPipeline || args[0] == markShell) {
		// It stands in the words of the stage, or in a function that it has
		// called after its point.
		sh.stage.ticket.leaveSoon()
	}
	if args[0] == markPipeline {
		stages := x.plan.script(index(args[1])).pipelines[index(args[2])].stages
		last := stages[len(stages)-1]
		if last.isAway() && !last.redirected && goneReader(hc) {
			return exitWith(statusPipe)
		}
	}
	return args
}

// withText returns the mark for a builtin that has to do with a text.
func (x *execution) withText(args []string) []string {
	if runsText(args[0]) {
		if len(args) > 1 && args[1] == "--" {
			args = append(args[:1:1], args[2:]...)
		} else if len(args) > 1 && len(args[1]) > 1 && args[1][0] == '-' {
			return append([]string{markBuiltin}, args...)
		}
	}
	switch args[0] {
	case "eval":
		if x.plan.mayNeedMarks(strings.Join(args[1:], " ")) {
			return append([]string{markEval}, args[1:]...)
		}
	case "source", ".":
		if len(args) > 1 {
			return append([]string{markSource}, args[1:]...)
		}
		return append([]string{markBuiltin}, args...)
	}
	return args
}

// readsCut returns the failure of the lost command, if there is one, where the
// input of this command ends or will end. Its shell must not go on, nor what reads
// its output.
func (x *execution) readsCut(sh *shell, hc interp.HandlerContext) *verdict {
	if !x.hunter.anyCut() {
		return nil
	}
	lost := x.hunter.cutBy(x.victimOf(sh, hc, nil))
	if lost != nil {
		_ = sh.failed(lost)
		x.cutOff(sh, hc, lost)
	}
	return lost
}

// goneReader reports whether nobody will read what a command writes to stdout.
func goneReader(hc interp.HandlerContext) bool {
	f := fileOf(hc, 1)
	return f != nil && noReader(f)
}

// exitWith returns the command that ends a shell.
func exitWith(status int) []string { return []string{"exit", strconv.Itoa(status)} }

// exec is the interpreter's ExecHandler: it runs what is neither a function nor a
// builtin.
func (x *execution) exec(ctx context.Context, args []string) error {
	sh, hc := shellOf(ctx), handlerContext(ctx)
	if isMark(args[0]) {
		return x.mark(ctx, sh, hc, args)
	}
	if !x.commands.enter() {
		return errScriptEnded
	}
	defer x.commands.leave()
	defer x.fifos.let(args)
	if isAddress(args[0]) {
		return x.runRemote(ctx, sh, hc, args)
	}
	return x.runLocal(ctx, sh, hc, args)
}

// mark runs one of the commands that a plan has put into a script.
func (x *execution) mark(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	switch args[0] {
	case markPipeline, markShell:
		if !x.commands.enter() {
			return errScriptEnded
		}
		defer x.commands.leave()
		return x.runHeld(ctx, sh, hc, args[0], x.plan.script(index(args[1])), index(args[2]))
	case markRefuse:
		return x.refuse(veiled(hc), x.plan.script(index(args[1])).refusals[index(args[2])])
	case markExpand:
		return x.expand(ctx, hc, x.plan.script(index(args[1])), index(args[2]), args[3])
	case markPerform:
		return x.perform(ctx, hc, x.plan.script(index(args[1])), index(args[2]))
	case markNoLoop:
		return noLoop(hc, args[1])
	case markRetain:
		return keepStatus(hc, args[1:])
	case markFunction:
		return x.define(hc, x.plan.script(index(args[1])).functions[index(args[2])])
	case markDeclare:
		return x.runDeclaration(ctx, sh, hc, x.plan.script(index(args[1])).declarations[index(args[2])])
	case markOption:
		if !x.shellOption(hc, args[1]) {
			return failure(1)
		}
		return nil
	case markWritable:
		for _, name := range args[1:] {
			if v := hc.Env.Get(name); v.ReadOnly || name == "PPID" {
				fmt.Fprintf(veiled(hc), "rpipe: line %d: %s: readonly variable\n", hc.Pos.Line(), name)
				if args[1] == "" {
					return failure(1)
				}
				return hc.Builtin(ctx, exitWith(1))
			}
		}
	case markTrace:
		x.traceMark(hc, args[1:])
	case markDescend:
		x.descend(runnerOf(hc))
	case markEnter:
		x.enter(hc, args[1])
	case markKeep:
		if args[1] == "end" {
			x.restoreOptions(ctx, hc)
		} else {
			_ = variablesOf(runnerOf(hc)).Set(hiddenKept, expand.Variable{Set: true, Local: true, Kind: expand.String})
		}
	case markCommand:
		if !handlesTrap(runnerOf(hc)) && len(x.stateOf(sh, hc).running) == 0 {
			_ = variablesOf(runnerOf(hc)).Set("BASH_COMMAND", stringValue(args[1]))
		}
	case markBuiltin:
		return x.runBuiltin(ctx, sh, hc, args[1:])
	case markProgram:
		return x.exec(ctx, args[1:])
	case markEval:
		t := x.plan.prepare(strings.Join(args[1:], " "))
		defer x.plan.release(t)
		if t.refused != nil {
			return x.refuse(veiled(hc), t.refused)
		}
		err := hc.Builtin(ctx, []string{"eval", t.printed})
		x.ranText(sh, hc)
		return err
	case markSource:
		err := x.source(ctx, sh, hc, args[1:])
		x.ranText(sh, hc)
		if ends, returned := x.returned(ctx, sh, hc, err); ends {
			return returned
		}
		return err
	case markJob:
		return x.startJob(ctx, sh, hc, x.plan.script(index(args[1])).jobs[index(args[2])])
	case markTrap:
		return x.markTrap(ctx, sh, hc, args[1:])
	case markArm:
		x.armERR(ctx, hc, true)
	case markTime:
		if args[1] == timeBegins {
			x.times.begin(args[2])
		} else {
			x.times.end(args[2]).tell(veiled(hc), hc.Env, args[1])
		}
	case markFree:
		number := 10
		if t := descriptorsOf(hc); t != nil {
			number = t.free()
		}
		_, _ = io.WriteString(hc.Stdout, strconv.Itoa(number))
		return nil
	case markName:
		setName(runnerOf(hc), x.opts.Name)
	case markPlain:
		if len(args) > 1 && args[1] != "" || !x.shellOption(hc, "inherit_errexit") {
			_ = hc.Builtin(internal(ctx), []string{"set", "+e"})
			if x.plan.main.uses.special {
				x.noteShellOptions(hc, with(x.shellOptionsOf(hc), "errexit", false))
			}
		}
	case markStatuses:
		runner := runnerOf(hc)
		if args[1] != fresh || x.statuses.isStale(runner) {
			sh.setStatuses(ctx, hc, hc.LastExitStatus)
			x.statuses.written(runner)
		}
	}
	status := hc.LastExitStatus
	if args[0] == markEnds {
		status = index(args[1])
	}
	if args[0] == markLoop && hc.LastExitStatus == 0 {
		var err error
		if status, err = strconv.Atoi(args[1]); err != nil {
			return err
		}
	}
	if args[0] == markKept {
		var err error
		if status, err = kept(hc, args[1]); err != nil {
			return err
		}
	}
	if v := sh.last.Load(); v != nil && v.status == status {
		return v
	}
	return failure(status)
}

// runHeld runs what a script holds for a mark: a pipeline, or a list in a shell of its
// own.
func (x *execution) runHeld(ctx context.Context, sh *shell, hc interp.HandlerContext, name string, sc *script, i int) error {
	runner := runnerOf(hc)
	inside, now := x.inside(sh, hc), situationOf(runner)
	if x.plan.jobs {
		defer inside.state.sweep()
	}
	if name == markPipeline {
		err := x.runPipeline(ctx, inside, hc, sc.pipelines[i].in(now))
		sh.takeOver(inside)
		if x.plan.statuses {
			x.statuses.written(runner)
		}
		return err
	}
	planned := sc.shells[i]
	own := x.subshell(sh, hc, planned.substitution)
	if planned.whole {
		own.job.whole(own.state)
	}
	stdout, collect, err := x.collecting(own, hc, planned.jobs)
	if err != nil {
		return x.cannotRun(hc, err)
	}
	if err := interp.StdIO(hc.Stdin, stdout, own.inherits(&x.ownership, veiled(hc)))(own.runner); err != nil {
		return err // not for files
	}
	defer own.closeDescriptors()
	err = x.runShell(ctx, own, planned.in(now))
	own.closeDescriptors()
	collect(ctx)
	sh.takeOver(own)
	return err
}

// collecting returns the output for a shell of ours that may start jobs: where it is that
// of $( ), <( ) or >( ), it is complete when they have ended too. The function returned
// waits for that.
func (x *execution) collecting(own *shell, hc interp.HandlerContext, jobs bool) (stdout io.Writer, collect func(context.Context), err error) {
	if !jobs {
		return hc.Stdout, func(context.Context) {}, nil
	}
	own.custody = &custody{outer: own.custody}
	if _, ok := hc.Stdout.(*os.File); ok || hc.Stdout == nil || same(hc.Stdout, io.Discard) {
		return hc.Stdout, func(context.Context) {}, nil // jobs have it for themselves
	}
	c, err := newCapture(hc.Stdout, &x.capturing)
	if err != nil {
		return nil, nil, err
	}
	return c.file, func(ctx context.Context) {
		// A job has its own.
		c.file.Close()
		_ = c.wait(ctx)
	}, nil
}

// withTraps returns the command that is called instead of args because of traps, or nil.
func (x *execution) withTraps(sh *shell, hc interp.HandlerContext, args []string) []string {
	if !x.plan.errs && !x.plan.traps && !x.pending.Load() {
		return nil
	}
	st := x.stateOf(sh, hc)
	st.called = true
	st.last.Store(int64(hc.LastExitStatus))
	switch args[0] {
	case "exit", "return":
		if n := len(st.running); n > 0 && len(args) == 1 {
			if t := st.running[n-1]; t.name == trapEXIT || args[0] == "return" {
				return append(args, strconv.Itoa(t.status))
			}
		}
		// It is no failure of its own.
		st.called = false
		if x.plan.errs {
			st.depth = functionDepth(runnerOf(hc))
		}
		st.ending = st.ending || args[0] == "exit" && len(st.running) == 0
	case "exec":
		st.execing = len(args) > 1
		return nil
	}
	if x.pending.Load() && !x.plan.marksTraps(hc.Pos) && st.hasDue() {
		return append([]string{markTrap, trapCalled}, args...)
	}
	return nil
}

// index returns the number that a mark has as a word.
func index(word string) int {
	i, _ := strconv.Atoi(word)
	return i
}

// A veil is the stderr of a mark: it takes what the interpreter traces of it, and
// knows the stderr that the shell has.
type veil struct{ stderr io.Writer }

// veiled returns the stderr that the shell of a mark has.
func veiled(hc interp.HandlerContext) io.Writer {
	if v, ok := hc.Stderr.(*veil); ok {
		return v.stderr
	}
	return hc.Stderr
}

// unveil opens the stderr that is behind a veil.
func unveil(hc interp.HandlerContext) (io.ReadWriteCloser, error) {
	hc.Stderr = veiled(hc)
	if t := descriptorsOf(hc); t != nil {
		return t.with(t.stderr), nil
	}
	if f, ok, err := openSpecial(hc, "/dev/stderr", asItIs); ok {
		return f, err
	}
	return stream{Writer: hc.Stderr}, nil
}

func (v *veil) Read([]byte) (int, error)    { return 0, io.EOF }
func (v *veil) Write(p []byte) (int, error) { return len(p), nil }
func (v *veil) Close() error                { return nil }

// open is the interpreter's OpenHandler, for redirections and sourced files.
func (x *execution) open(ctx context.Context, path string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	hc := handlerContext(ctx)
	path = x.plan.unmaskedPath(path)
	if r, ok := readRedirection(path); ok {
		return x.redirect(ctx, hc, r)
	}
	switch path {
	case markVeil:
		return &veil{veiled(hc)}, nil
	case markUnveil:
		return unveil(hc)
	case markOutput:
		if out, ok := ctx.Value(outputKey{}).(io.Writer); ok {
			return stream{Writer: out}, nil
		}
	}
	file := x.sources.take(runnerOf(hc))
	if file != nil && file.content != nil {
		return x.openSource(file, file.content), nil
	}
	// The interpreter's permissions are stricter than POSIX has them.
	f, err := x.openPath(ctx, hc, path, flag, newFileMode)
	if err != nil && file == nil {
		return nil, redirectionError(hc, 0, err)
	}
	if err != nil || file == nil {
		return f, err
	}
	return x.openSource(file, f), nil
}

// openPath opens a file that is no mark.
func (x *execution) openPath(ctx context.Context, hc interp.HandlerContext, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if f, ok, err := openSpecial(hc, path, flag); ok {
		return f, err
	}
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(hc.Dir, path)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		// To open it may take until another stage opens its other side.
		if sh := shellOf(ctx); sh.job != nil {
			sh.job.know(nil)
		}
		for s := shellOf(ctx).stage; s != nil; s = s.parent {
			s.ticket.leave()
		}
		if info.Mode()&os.ModeNamedPipe != 0 {
			return openFIFO(ctx, path, flag, perm, func(f *os.File) {
				if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
					x.opens(shellOf(ctx).stage, f)
				}
			})
		}
	}
	return x.openFile(ctx, path, flag, perm)
}
