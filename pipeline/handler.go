package pipeline

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"

	"rpipe/parser"
)

// call is the interpreter's CallHandler: it sees every simple command after its
// expansion.
func (x *execution) call(ctx context.Context, args []string) ([]string, error) {
	if isInternal(ctx) {
		return args, nil
	}
	sh, hc := shellOf(ctx), interp.HandlerCtx(ctx)
	if args[0] = x.plan.unmasked(args[0]); isMark(args[0]) {
		return x.callMark(sh, hc, args), nil
	}
	sh.at.Store(packPlace(hc.Pos))
	if x.plan.statuses && !runsText(args[0]) && !isFunction(hc, args[0]) {
		x.statuses.called(runnerOf(hc))
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
	switch args[0] {
	case "echo", "printf", "type", "dirs", "times", "help":
		// The interpreter ignores the errors of its writes.
		if f, ok := hc.Stdout.(*os.File); ok && readerGone(ctx, f) {
			return exitWith(statusPipe), nil
		}
	case "read", "mapfile", "readarray":
		// Its reads cannot be ended where the file is a blocking one.
		if f, ok := hc.Stdin.(*os.File); ok {
			awaitInput(ctx, f)
			if lost := x.readsCut(sh, hc); lost != nil {
				return exitWith(lost.status), nil
			}
		}
	case "break", "continue", "return", "exit":
		if !isFunction(hc, args[0]) {
			return x.control(hc, args), nil
		}
	case "eval", "source", ".", "trap", "command", "builtin":
		if !isFunction(hc, args[0]) {
			return x.withText(args), nil
		}
	}
	if builtinOf(args[0]) != nil && !isFunction(hc, args[0]) {
		return append([]string{markBuiltin}, args...), nil
	}
	return args, nil
}

// isFunction reports whether a command is a function of its shell.
func isFunction(hc interp.HandlerContext, name string) bool { return runnerOf(hc).Funcs[name] != nil }

// callMark is call for a mark.
func (x *execution) callMark(sh *shell, hc interp.HandlerContext, args []string) []string {
	if sh.stage != nil && (args[0] == markPipeline || args[0] == markShell) {
		// It stands in the words of the stage, or in a function that it has
		// called after its point.
		sh.stage.ticket.leaveSoon()
	}
	if args[0] == markPipeline {
		stages := x.plan.script(index(args[1])).pipelines[index(args[2])].stages
		last := stages[len(stages)-1]
		if last.Kind == parser.Remote && !last.redirected && goneReader(hc) {
			return exitWith(statusPipe)
		}
	}
	return args
}

// withText returns the mark for a builtin that has to do with a text.
func (x *execution) withText(args []string) []string {
	if len(args) > 1 && (args[0] == "command" || args[0] == "builtin") && (runsText(args[1]) || args[1] == "trap") {
		args = args[1:]
	}
	switch args[0] {
	case "eval":
		if mayNeedMarks(strings.Join(args[1:], " ")) {
			return append([]string{markEval}, args[1:]...)
		}
	case "source", ".":
		if len(args) > 1 {
			return append([]string{markSource}, args[1:]...)
		}
	case "trap":
		if len(args) == 1 || len(args) == 2 && args[1] == "--" {
			return []string{markTraps}
		}
		i := 1
		switch args[1] {
		case "--":
			i = 2
		case "-":
			return append([]string{"trap", "--"}, args[1:]...) // it takes the next word for the command
		}
		if len(args) > i+1 {
			args[i] = x.plan.trap(args[i])
		}
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
	f, ok := hc.Stdout.(*os.File)
	return ok && noReader(f)
}

// exitWith returns the command that ends a shell.
func exitWith(status int) []string { return []string{"exit", strconv.Itoa(status)} }

// exec is the interpreter's ExecHandler: it runs what is neither a function nor a
// builtin.
func (x *execution) exec(ctx context.Context, args []string) error {
	sh, hc := shellOf(ctx), interp.HandlerCtx(ctx)
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
	case markExpand:
		return x.expand(ctx, hc, x.plan.script(index(args[1])), index(args[2]), args[3])
	case markPerform:
		return x.perform(ctx, hc, x.plan.script(index(args[1])), index(args[2]))
	case markNoLoop:
		return noLoop(hc, args[1])
	case markKeep:
		return keepStatus(hc, args[1:])
	case markFunction:
		define(hc, x.plan.script(index(args[1])).functions[index(args[2])])
		return nil
	case markDeclare:
		return x.declare(hc, args[1:])
	case markBuiltin:
		return x.runBuiltin(ctx, sh, hc, args[1:])
	case markEval:
		t := x.plan.prepare(strings.Join(args[1:], " "))
		defer x.plan.release(t)
		return hc.Builtin(ctx, []string{"eval", t.printed})
	case markSource:
		return x.source(ctx, sh, hc, args[1:])
	case markTraps:
		return x.printTraps(ctx, hc)
	case markTime:
		if args[1] == timeBegins {
			x.times.begin(args[2])
		} else {
			x.times.end(args[2], args[1], veiled(hc))
		}
	case markPlain:
		_ = hc.Builtin(internal(ctx), []string{"set", "+e"})
	case markStatuses:
		runner := runnerOf(hc)
		if args[1] != fresh || x.statuses.isStale(runner) {
			status := hc.LastExitStatus
			if args[1] == negated {
				status = 0
				if hc.LastExitStatus == 0 {
					status = 1
				}
			}
			sh.setStatuses(ctx, hc, status)
			x.statuses.written(runner)
		}
	}
	status := hc.LastExitStatus
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
	inside, now := sh.inside(runner), situationOf(runner)
	if name == markPipeline {
		err := x.runPipeline(ctx, inside, hc, sc.pipelines[i].in(now))
		sh.takeOver(inside)
		if x.plan.statuses {
			x.statuses.written(runner)
		}
		return err
	}
	own := &shell{runner: runner.Subshell(), stage: sh.stage}
	if err := interp.StdIO(hc.Stdin, hc.Stdout, veiled(hc))(own.runner); err != nil {
		return err // not for files
	}
	err := runGuarded(ctx, own, sc.shells[i].in(now))
	sh.takeOver(own)
	return err
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
	if f, ok, err := openSpecial(hc, "/dev/stderr"); ok {
		return f, err
	}
	return stream{Writer: hc.Stderr}, nil
}

func (v *veil) Read([]byte) (int, error)    { return 0, io.EOF }
func (v *veil) Write(p []byte) (int, error) { return len(p), nil }
func (v *veil) Close() error                { return nil }

// open is the interpreter's OpenHandler, for redirections and sourced files.
func (x *execution) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	switch path = x.plan.unmasked(path); path {
	case markVeil:
		return &veil{hc.Stderr}, nil
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
	f, err := x.openPath(ctx, hc, path, flag, perm)
	if err != nil || file == nil {
		return f, err
	}
	return x.openSource(file, f), nil
}

// openPath opens a file that is no mark.
func (x *execution) openPath(ctx context.Context, hc interp.HandlerContext, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if f, ok, err := openSpecial(hc, path); ok {
		return f, err
	}
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(hc.Dir, path)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		// To open it may take until another stage opens its other side.
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
