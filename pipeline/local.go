package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
)

// shellPath runs scripts without "#!", as execvp(3) has it, where Options.Shell names
// nothing else.
const shellPath = "/bin/sh"

// busyRetries bounds the tries to run a file that is busy: one that another
// process writes to, maybe only a copy of this process on its way to execve(2),
// which is over in no time (https://go.dev/issue/22315).
const busyRetries = 9

// runLocal runs a local program and returns its status in the way of an exec
// handler.
func (x *execution) runLocal(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	return x.runProgram(ctx, sh, hc, &invocation{args: args})
}

// runProgram is runLocal for a program that may be called in another way.
func (x *execution) runProgram(ctx context.Context, sh *shell, hc interp.HandlerContext, in *invocation) error {
	args := in.args
	path, err := lookup(hc.Dir, hc.Env, args[0])
	if err != nil {
		return x.cannotRun(hc, err)
	}
	out, err := x.outputsFor(hc)
	if err != nil {
		return x.cannotRun(hc, &lookupError{args[0], reason(err), statusRefused})
	}
	cmd := &exec.Cmd{
		Path: path, Args: in.argv(), Dir: hc.Dir, Env: environment(hc.Env, x.plan.texts.secret),
		Stdin: out.stdin, Stdout: out.stdout, Stderr: out.stderr, ExtraFiles: out.above,
	}
	if in.bare {
		cmd.Env = []string{}
	}
	if err := x.launch(sh, hc, cmd); err != nil {
		out.started()
		_ = out.wait(ctx)
		return x.cannotRun(hc, err)
	}
	var p *process
	outlives := x.plan.outlives(hc.Pos) && len(out.captures) == 0
	v := x.victimOf(sh, hc, args)
	ok, err := x.hunter.begin(v, func() (lethal, error) {
		defer sh.stage.keepEnds()()
		p, err = x.start(ctx, cmd, outlives)
		if err != nil {
			return lethal{}, err
		}
		return lethal{p.freeze, p.kill}, nil
	})
	out.started()
	descriptorsOf(hc).started()
	if !ok || err != nil {
		_ = out.wait(ctx)
		if err != nil {
			return x.cannotRun(hc, startError(args[0], err))
		}
		return x.killedStatus(sh, v)
	}
	in.started = true
	if sh.stage.runs(hc.Pos) && !sh.stage.plan.substitutes {
		defer sh.stage.handOver(p)()
	}
	var status int
	sh.job.begin(p, hc.Pos)
	if outlives {
		status = x.remnant.await(p, func() { x.hunter.remove(v) })
	} else {
		status = p.wait()
		x.hunter.remove(v)
	}
	sh.job.end(p)
	x.ranProgram(x.stateOf(sh, hc))
	if err := out.wait(ctx); err != nil && status == 0 {
		status = 1
	}
	if status == statusKilled {
		return x.killedStatus(sh, v)
	}
	return failure(status)
}

// ranProgram does what a shell does when a program in the foreground has ended.
func (x *execution) ranProgram(st *shellState) {
	if x.plan.jobs {
		st.sweep()
	}
	if x.plan.signals {
		x.settle()
		st.childEnded()
	}
	if st.execing {
		// It took the place of the shell.
		st.mu.Lock()
		st.reset(trapEXIT)
		st.mu.Unlock()
	}
}

// killedStatus returns the status of a process that was killed, or that was not
// started for the reason why it would be.
func (x *execution) killedStatus(sh *shell, v *victim) error {
	if lost := x.hunter.cutBy(v); lost != nil {
		return sh.failed(lost)
	}
	return failure(statusKilled)
}

// start starts cmd, or the shell with it where it is a script without "#!". Unless it
// outlives the script it does not outlive this process either.
func (x *execution) start(ctx context.Context, cmd *exec.Cmd, outlives bool) (*process, error) {
	attempt := func(cmd exec.Cmd) (*process, error) {
		cmd.SysProcAttr = processAttributes(!x.opts.Terminal)
		if !outlives {
			dieWithParent(cmd.SysProcAttr)
		}
		return startProcess(ctx, &cmd, !x.opts.Terminal, x.opts.Grace)
	}
	p, err := attempt(*cmd)
	for i := 0; errors.Is(err, errBusy) && i < busyRetries && ctx.Err() == nil; i++ {
		time.Sleep(time.Millisecond << i)
		p, err = attempt(*cmd)
	}
	if errors.Is(err, errNotExecutable) && isText(cmd.Path) {
		script := *cmd
		shell := x.opts.Shell
		if len(shell) == 0 {
			shell = []string{shellPath}
		}
		script.Path = shell[0]
		name := cmd.Path
		if strings.Contains(cmd.Args[0], "/") {
			name = cmd.Args[0] // as it was called: $0
		}
		script.Args = slices.Concat(shell, []string{name}, cmd.Args[1:])
		return attempt(script)
	}
	return p, err
}

// isText reports whether a file can be a script: like bash, one that has no NUL
// byte in its first line.
func isText(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	buf := make([]byte, 128)
	n, _ := io.ReadFull(f, buf)
	for _, c := range buf[:n] {
		if c == 0 {
			return false
		}
		if c == '\n' {
			break
		}
	}
	return true
}

// startError is the failure of execve(2) for a file that was found.
func startError(name string, err error) error {
	switch {
	case errors.Is(err, errTooLong):
		return &lookupError{name, "Argument list too long", statusRefused}
	case errors.Is(err, errNotExecutable):
		return &lookupError{name, "cannot execute binary file: Exec format error", statusRefused}
	}
	return &lookupError{name, reason(err), statusRefused}
}

// cannotRun tells on the command's own stderr why it was not run.
func (x *execution) cannotRun(hc interp.HandlerContext, err error) error {
	place := ""
	if line := hc.Pos.Line(); line > 0 {
		place = fmt.Sprintf("line %d: ", line)
	}
	fmt.Fprintf(stderrOf(hc), "rpipe: %s%s\n", place, printable(err.Error()))
	status, _ := statusOf(err)
	return failure(status)
}

// outputs are the outputs of one command as files for a process. Those that are
// none, as in $( ), are captured.
type outputs struct {
	stdin          *os.File  // nil: closed
	stdout, stderr io.Writer // *os.File, which is nil if it is closed, or nil for nowhere
	above          []*os.File
	captures       []*capture
	captured       []io.Writer // by captures
}

func (x *execution) outputsFor(hc interp.HandlerContext) (*outputs, error) {
	o := &outputs{}
	o.stdin, _ = hc.Stdin.(*os.File)
	var err error
	if o.stdout, err = o.file(x, hc.Stdout); err == nil {
		o.stderr, err = o.file(x, stderrOf(hc))
	}
	if err == nil {
		o.above, err = o.inherited(x, descriptorsOf(hc))
	}
	if err != nil {
		o.started()
		_ = o.wait(context.Background()) // at its end: nobody has the file
		return nil, err
	}
	return o, nil
}

// file returns an output as a file: the same one for the same writer.
func (o *outputs) file(x *execution, w io.Writer) (io.Writer, error) {
	switch w.(type) {
	case *os.File:
		return w, nil
	case closedStream:
		return (*os.File)(nil), nil
	}
	if w == nil || same(w, io.Discard) {
		return nil, nil
	}
	for i, c := range o.captured {
		if same(c, w) {
			return o.captures[i].file, nil
		}
	}
	c, err := newCapture(w, &x.capturing)
	if err != nil {
		return nil, err
	}
	o.captures, o.captured = append(o.captures, c), append(o.captured, w)
	return c.file, nil
}

// started closes our copies of what the process has got, or did not get.
func (o *outputs) started() {
	for _, c := range o.captures {
		c.file.Close()
	}
}

// wait waits for the captures, as capture.wait.
func (o *outputs) wait(ctx context.Context) error {
	var first error
	for _, c := range o.captures {
		if err := c.wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// same reports whether two writers are one.
func same(a, b any) bool {
	defer func() { _ = recover() }() // of types that cannot be compared
	return a == b
}
