package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A builtin is one of the shell's that this package has made itself, because the
// interpreter's own is not the one of bash. It returns its status in the way of an exec
// handler.
type builtin func(ctx context.Context, c *builtinCall) error

// builtinOf returns the builtin of a name, or nil where it is the interpreter's, or none.
func builtinOf(name string) builtin {
	switch name {
	case "break", "continue", "return", "exit":
		return leave
	case "pwd":
		return pwd
	}
	return nil
}

// A builtinCall is the call of a builtin, with its words expanded.
type builtinCall struct {
	x    *execution
	sh   *shell
	hc   interp.HandlerContext // its streams are those of the call
	name string
	args []string // without the name
}

// runBuiltin runs one of our own builtins: args are its name and its words.
func (x *execution) runBuiltin(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	return builtinOf(args[0])(ctx, &builtinCall{x: x, sh: sh, hc: hc, name: args[0], args: args[1:]})
}

// errorf tells on the command's stderr what is wrong, with its line and its name.
func (c *builtinCall) errorf(format string, args ...any) {
	fmt.Fprintf(c.hc.Stderr, "rpipe: line %d: %s: %s\n", c.hc.Pos.Line(), c.name, printable(fmt.Sprintf(format, args...)))
}

// usage is errorf with the status of a call that was wrong.
func (c *builtinCall) usage(format string, args ...any) error {
	c.errorf(format, args...)
	return failure(statusUsage)
}

// write writes what the builtin puts out. An error of it is the end of the builtin:
// where nobody reads, that of SIGPIPE.
func (c *builtinCall) write(out string) error {
	_, err := io.WriteString(c.hc.Stdout, out)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE):
		return c.end(exitWith(statusPipe)...)
	}
	c.errorf("write error: %s", reason(err))
	return failure(1)
}

// end lets the interpreter run one of its builtins, such as exit or return, as the
// last thing that this one does.
func (c *builtinCall) end(args ...string) error {
	return c.hc.Builtin(internal(context.Background()), args)
}

// assign gives a variable, or an element of an array as "name[subscript]", a value, by
// the rules of the shell: of scopes, attributes and read-only variables, which it
// reports. The value is cut at its first NUL, which no variable can hold.
func (c *builtinCall) assign(ctx context.Context, name, value string) error {
	quoted, err := quote(value)
	if err != nil {
		return err
	}
	return c.hc.Builtin(internal(ctx), []string{"eval", name + "=" + quoted})
}

// quote returns a word that expands to value, without what follows its first NUL.
func quote(value string) (string, error) {
	for i := range len(value) {
		if value[i] == 0 {
			value = value[:i]
			break
		}
	}
	return syntax.Quote(value, syntax.LangBash)
}

// pwd prints the working directory as the shell knows it (-L), or without symbolic
// links (-P): POSIX, pwd. PWD has no say in it.
func pwd(_ context.Context, c *builtinCall) error {
	dir := c.hc.Dir
	for _, a := range c.args {
		switch a {
		case "-L", "--":
			dir = c.hc.Dir
		case "-P":
			physical, err := filepath.EvalSymlinks(c.hc.Dir)
			if err != nil {
				c.errorf("%s", reason(err))
				return failure(1)
			}
			dir = physical
		default:
			if strings.HasPrefix(a, "-") && a != "-" {
				return c.usage("%s: invalid option; it knows -L and -P", a)
			}
			return c.write(dir + "\n")
		}
	}
	return c.write(dir + "\n")
}
