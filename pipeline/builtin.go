package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/expand"
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
	case "echo":
		return echo
	case "printf":
		return printf
	case "test":
		return test
	case "[":
		return bracket
	case "read":
		return read
	case "mapfile", "readarray":
		return mapfile
	case "break", "continue", "return", "exit":
		return leave
	case "pwd":
		return pwd
	case "exec":
		return execProgram
	case "umask":
		return umask
	case "ulimit":
		return ulimit
	case "declare", "typeset", "local", "export", "readonly":
		return declareWords
	case "unset":
		return unset
	case "set":
		return set
	case "shopt":
		return shopt
	case "caller":
		return caller
	case "cd":
		return cd
	case "pushd", "popd":
		return pushDirectory
	case "dirs":
		return dirs
	case "shift":
		return shift
	case "let":
		return let
	case "type":
		return typeOf
	case "command":
		return command
	case "builtin":
		return onlyBuiltin
	case "hash":
		return hash
	case "enable":
		return enable
	case "getopts":
		return getopts
	case "compgen":
		return compgen
	case "times":
		return timesUsed
	case "eval":
		return wrongEval
	case "source", ".":
		return wrongSource
	case "logout", "newgrp":
		return misplaced
	case "bg":
		return resume
	case "disown":
		return disown
	case "fg":
		return foreground
	case "jobs":
		return jobs
	case "kill":
		return kill
	case "suspend":
		return suspend
	case "trap":
		return trap
	case "wait":
		return wait
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

	quick bool // it is run by the call handler, in which the interpreter's builtins cannot be
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

// usageOf is usage with the synopsis of the builtin behind it.
func (c *builtinCall) usageOf(synopsis, format string, args ...any) error {
	if format != "" {
		c.errorf(format, args...)
	}
	fmt.Fprintf(c.hc.Stderr, "%s: usage: %s\n", c.name, synopsis)
	return failure(statusUsage)
}

// fails is errorf with the status 1.
func (c *builtinCall) fails(format string, args ...any) error {
	c.errorf(format, args...)
	return failure(1)
}

// options takes the options off the words of the call, as getopt(3) does: letters of
// known, with a word behind those that a colon follows. What has been read is told to
// set. err is that of a call that was wrong, with the synopsis told.
func (c *builtinCall) options(known, synopsis string, set func(letter byte, word string) error) (args []string, err error) {
	args = c.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		letters := args[0][1:]
		args = args[1:]
		if letters == "-" {
			break
		}
		for len(letters) > 0 {
			letter := letters[0]
			letters = letters[1:]
			at := strings.IndexByte(known, letter)
			if at < 0 || letter == ':' {
				return nil, c.usageOf(synopsis, "-%c: invalid option", letter)
			}
			word := ""
			if at+1 < len(known) && known[at+1] == ':' {
				switch {
				case letters != "":
					word, letters = letters, ""
				case len(args) > 0:
					word, args = args[0], args[1:]
				default:
					return nil, c.usageOf(synopsis, "-%c: option requires an argument", letter)
				}
			}
			if err := set(letter, word); err != nil {
				return nil, err
			}
		}
	}
	return args, nil
}

// writeSlice is how much is written to a pipe that was found ready: so much surely
// fits, or nobody reads it (POSIX, PIPE_BUF).
const writeSlice = 4096

// write writes what the builtin puts out. An error of it is the end of the builtin:
// where nobody reads, that of SIGPIPE; where the context is done, that of the shell.
func (c *builtinCall) write(ctx context.Context, out []byte) error {
	f, isFile := c.hc.Stdout.(*os.File)
	for len(out) > 0 {
		slice := out
		if isFile {
			slice = out[:min(len(out), writeSlice)]
			if readerGone(ctx, f) {
				return c.end(exitWith(statusPipe)...)
			}
			if ctx.Err() != nil {
				return c.end(exitWith(causeStatus(context.Cause(ctx)))...)
			}
		}
		n, err := c.hc.Stdout.Write(slice)
		out = out[n:]
		switch {
		case err == nil:
		case errors.Is(err, syscall.EPIPE):
			return c.end(exitWith(statusPipe)...)
		default:
			return c.fails("write error: %s", reason(err))
		}
	}
	return nil
}

// writeString is write for a string.
func (c *builtinCall) writeString(ctx context.Context, out string) error {
	return c.write(ctx, []byte(out))
}

// isQuick reports whether the call of a builtin of ours needs nothing that only an exec
// handler has: so are most of those that loops are made of.
func isQuick(args []string) bool {
	switch args[0] {
	case "echo", "test", "[":
		return true
	case "printf":
		return len(args) > 1 && !strings.HasPrefix(args[1], "-") && !strings.Contains(args[1], "n")
	}
	return false
}

// runQuick runs such a builtin in the call handler, and returns the command that has its
// status.
func (x *execution) runQuick(ctx context.Context, sh *shell, hc interp.HandlerContext, b builtin, args []string) []string {
	err := b(ctx, &builtinCall{x: x, sh: sh, hc: hc, name: args[0], args: args[1:], quick: true})
	if last := (lastly)(nil); errors.As(err, &last) {
		return last
	}
	status := 0
	if err != nil {
		status = 1
		if code, ok := statusOf(err); ok {
			status = code
		} else if code := (interp.ExitStatus)(0); errors.As(err, &code) {
			status = int(code)
		}
	}
	switch {
	case status == 0 && !isFunction(hc, ":"):
		return []string{":"}
	case status == 1 && !isFunction(hc, "false"):
		return []string{"false"}
	}
	return []string{markEnds, strconv.Itoa(status)}
}

// lastly is the command that a quick builtin ends with.
type lastly []string

func (l lastly) Error() string { return strings.Join(l, " ") }

// end lets the interpreter run one of its builtins, such as exit or return, as the
// last thing that this one does.
func (c *builtinCall) end(args ...string) error {
	if c.quick {
		return lastly(args)
	}
	return c.hc.Builtin(internal(context.Background()), args)
}

// assign gives a variable, or an element of an array as "name[subscript]", a value, by
// the rules of the shell: of scopes, attributes and read-only variables, which it
// reports. The value is cut at its first NUL, which no variable can hold.
func (c *builtinCall) assign(ctx context.Context, name, value string) error {
	if done := c.assignPlain(name, value); done {
		return nil
	}
	quoted, err := quote(value)
	if err != nil {
		return err
	}
	return c.hc.Builtin(internal(ctx), []string{"eval", name + "=" + quoted})
}

// assignPlain is assign for a string in a variable without attributes. It returns false
// where the rules of the shell have more to say.
func (c *builtinCall) assignPlain(name, value string) bool {
	runner := runnerOf(c.hc)
	if !syntax.ValidName(name) || name == "RANDOM" || optionOf(runner, "allexport") {
		return false
	}
	variables := variablesOf(runner)
	v := variables.Get(name)
	if v.ReadOnly || v.Kind != expand.String && v.Kind != expand.Unknown {
		return false
	}
	if i := strings.IndexByte(value, 0); i >= 0 {
		value = value[:i]
	}
	v.Set, v.Local, v.Kind, v.Str = true, false, expand.String, value
	return variables.Set(name, v) == nil
}

// array returns the name of the array that is meant, where it may be by a nameref, with
// its elements, to be given new ones by setArray. It tells what keeps the array from
// being an indexed one that can be written.
func (c *builtinCall) array(name string) (target string, v expand.Variable, err error) {
	v = c.hc.Env.Get(name)
	if to, real := v.Resolve(c.hc.Env); to != "" {
		name, v = to, real
	}
	switch {
	case v.ReadOnly:
		fmt.Fprintf(c.hc.Stderr, "rpipe: line %d: %s: readonly variable\n", c.hc.Pos.Line(), printable(name))
		return "", v, failure(1)
	case v.Kind == expand.Associative:
		return "", v, c.fails("%s: not an indexed array", name)
	}
	return name, v, nil
}

// setArray gives an indexed array its elements, which become its own; indexes is nil
// where they have no gaps. The values are cut at NULs.
func (c *builtinCall) setArray(name string, v expand.Variable, values []string, indexes []int) error {
	for i, value := range values {
		if end := strings.IndexByte(value, 0); end >= 0 {
			values[i] = value[:end]
		}
	}
	runner := runnerOf(c.hc)
	v.Set, v.Local, v.Kind, v.List, v.Indexes, v.Str = true, false, expand.Indexed, values, indexes, ""
	v.Exported = v.Exported || optionOf(runner, "allexport")
	return variablesOf(runner).Set(name, v)
}

// isVariable reports whether a word is the name of a variable, or of an element.
func isVariable(word string) bool {
	if name, subscript, ok := strings.Cut(word, "["); ok {
		return syntax.ValidName(name) && len(subscript) > 1 && strings.HasSuffix(subscript, "]")
	}
	return syntax.ValidName(word)
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
