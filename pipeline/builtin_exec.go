package pipeline

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"

	"mvdan.cc/sh/v3/interp"
)

// execProgram is the "exec" of a program: -a, -c and -l are those of bash. The shell does
// not go on after it; where the program was started, no trap for its end runs.
func execProgram(ctx context.Context, c *builtinCall) error {
	in := invocation{args: c.args}
	login := false
	for len(in.args) > 0 && len(in.args[0]) > 1 && in.args[0][0] == '-' {
		flags := in.args[0][1:]
		in.args = in.args[1:]
		if flags == "-" {
			break
		}
		for flags != "" {
			switch flags[0] {
			case 'c':
				in.bare = true
			case 'l':
				login = true
			case 'a':
				in.name, flags = flags[1:], "a"
				if in.name == "" {
					if len(in.args) == 0 {
						return c.usage("-a: option requires an argument; write exec -a NAME PROGRAM")
					}
					in.name, in.args = in.args[0], in.args[1:]
				}
			default:
				return c.usage("-%c: invalid option; it knows -a NAME, -c and -l", flags[0])
			}
			flags = flags[1:]
		}
	}
	if len(in.args) == 0 {
		return c.end("exec")
	}
	if login {
		if in.name == "" {
			in.name = in.args[0]
		}
		in.name = "-" + filepath.Base(in.name)
	}
	if !isAddress(in.args[0]) && c.x.replaces(c.sh, c.hc) {
		if r := c.x.replacement(c.hc, &in); r != nil {
			c.x.becomes = r
			c.dropEXIT()
			return c.end("exit", "0")
		}
	}
	var err error
	if isAddress(in.args[0]) {
		err, in.started = c.x.runRemote(ctx, c.sh, c.hc, in.args), true
	} else {
		err = c.x.runProgram(ctx, c.sh, c.hc, &in)
	}
	if in.started {
		c.dropEXIT()
	}
	var status interp.ExitStatus
	if err != nil && !errors.As(err, &status) {
		return err
	}
	return c.end("exit", strconv.Itoa(int(status)))
}

// dropEXIT makes the shell end without its EXIT trap: another program has its place.
func (c *builtinCall) dropEXIT() {
	st := c.x.stateOf(c.sh, c.hc)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.reset(trapEXIT)
}

// An invocation is how a program is called.
type invocation struct {
	args    []string // the first one is looked up
	name    string   // its argument zero, if not ""
	bare    bool     // without any variables
	started bool     // set where it was
}

// argv returns the arguments of the program.
func (in *invocation) argv() []string {
	if in.name == "" {
		return in.args
	}
	return append([]string{in.name}, in.args[1:]...)
}
