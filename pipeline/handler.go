package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// call is the interpreter's CallHandler: it sees every simple command after its
// expansion.
func (x *execution) call(ctx context.Context, args []string) ([]string, error) {
	if isInternal(ctx) {
		return args, nil
	}
	sh, hc := shellOf(ctx), interp.HandlerCtx(ctx)
	if isMark(args[0]) {
		if x.plan.endsRemote(args) && goneReader(hc) {
			return exitWith(statusPipe), nil
		}
		return args, nil
	}
	sh.at.Store(packPlace(hc.Pos))
	sh.commands.Add(1)
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
	case "echo", "printf", "pwd", "type", "dirs", "times", "help":
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
	}
	return args, nil
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

// endsRemote reports whether the words of a mark are those of a pipeline whose last
// stage may be a remote one that writes to the pipeline's output.
func (p *plan) endsRemote(args []string) bool {
	if args[0] != markPipeline {
		return false
	}
	i, err := strconv.Atoi(args[1])
	if err != nil {
		return false
	}
	stages := p.pipelines[i].stages
	last := stages[len(stages)-1]
	return last.Kind == parser.Remote && !last.redirected
}

// exitWith returns the command that ends a shell.
func exitWith(status int) []string { return []string{"exit", strconv.Itoa(status)} }

func isMark(name string) bool { return name != "" && name[0] == 0 }

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
	var err error
	if isAddress(args[0]) {
		err = x.runRemote(ctx, sh, hc, args)
	} else {
		err = x.runLocal(ctx, sh, hc, args)
	}
	var es interp.ExitStatus
	if errors.As(err, &es) && es == statusPipe && x.plan.leaves(hc.Pos) && left(hc) {
		return nil
	}
	return err
}

// left reports whether nobody reads the output of a command of the interpreter's
// own pipelines, which is open still; true where that cannot be known.
func left(hc interp.HandlerContext) bool {
	f, ok := hc.Stdout.(*os.File)
	return !canPoll || !ok || noReader(f)
}

// feeds reports whether the command at pos is a stage with a stage behind it. It
// runs, as in bash, though that one has gone already.
func (p *plan) feeds(pos syntax.Pos) bool {
	s := p.stages[pos]
	return s != nil && !s.last
}

// leaves reports whether the command at pos is a stage of a pipeline of the
// interpreter with a stage behind it. When SIGPIPE ends it, its reader has left,
// which pipefail there must not take for a failure.
func (p *plan) leaves(pos syntax.Pos) bool {
	s := p.stages[pos]
	return s != nil && s.file == nil && !s.last
}

// mark runs one of the commands that a plan has put into the script.
func (x *execution) mark(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	switch args[0] {
	case markPipeline:
		i, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return x.runPipeline(ctx, sh, hc, x.plan.pipelines[i])
	case markTime:
		if args[1] == timeBegins {
			x.times.begin(args[2])
		} else {
			x.times.end(args[2], args[1], veiled(hc))
		}
	case markStatuses:
		if args[1] != fresh || sh.fresh.Load() != sh.commands.Load() {
			status := hc.LastExitStatus
			if args[1] == negated {
				status = 0
				if hc.LastExitStatus == 0 {
					status = 1
				}
			}
			sh.setStatuses(ctx, hc, status)
		}
	}
	status := hc.LastExitStatus
	if args[0] == markLoop {
		var err error
		if status, err = strconv.Atoi(args[1]); err != nil {
			return err
		}
		if status != 0 && option(ctx, hc, "errexit") {
			// What failed was part of a condition; the status would end the shell.
			_ = hc.Builtin(internal(ctx), []string{"eval", ":"})
			return nil
		}
	}
	if v := sh.last.Load(); v != nil && v.status == status {
		return v
	}
	return failure(status)
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

func (v *veil) Read([]byte) (int, error)    { return 0, io.EOF }
func (v *veil) Write(p []byte) (int, error) { return len(p), nil }
func (v *veil) Close() error                { return nil }

// open is the interpreter's OpenHandler, for redirections and sourced files.
func (x *execution) open(ctx context.Context, path string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	hc := interp.HandlerCtx(ctx)
	if path == markVeil {
		return &veil{hc.Stderr}, nil
	}
	if f, ok, err := openSpecial(hc, path); ok {
		return f, err
	}
	if path != "" && !filepath.IsAbs(path) {
		path = filepath.Join(hc.Dir, path)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		// To open it may take until another stage opens its other side.
		if s := shellOf(ctx).stage; s != nil {
			s.ticket.leave()
		}
		if info.Mode()&os.ModeNamedPipe != 0 {
			return openFIFO(ctx, path, flag, perm)
		}
	}
	return x.openFile(ctx, path, flag, perm)
}
