package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// control returns what the interpreter has to run for a "break", "continue", "return" or
// "exit": the same where it knows the operand, else the mark of the builtin.
func (x *execution) control(hc interp.HandlerContext, args []string) []string {
	name := args[0]
	if len(args) == 1 {
		if name == "return" {
			return []string{name, strconv.Itoa(hc.LastExitStatus)}
		}
		return args
	}
	leave := name == "break" || name == "continue"
	if len(args) == 2 {
		n, err := strconv.ParseInt(strings.TrimSpace(args[1]), 10, 64)
		switch {
		case err != nil:
		case !leave && (name == "exit" || situationOf(runnerOf(hc)).returns):
			return []string{name, strconv.Itoa(int(n & 255))}
		case leave && n > 0 && n < 1<<16:
			return args
		}
	}
	return append([]string{markBuiltin}, args...)
}

// leave is "break" and "continue", "return" and "exit" with operands that are wrong.
func leave(ctx context.Context, c *builtinCall) error {
	if len(c.args) > 1 && c.args[0] == "--" {
		c.args = c.args[1:]
		return c.end(append([]string{c.name}, c.args...)...)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(c.args[0]), 10, 64)
	loop := c.name == "break" || c.name == "continue"
	switch {
	case err != nil && loop:
		c.errorf("%s: numeric argument required; give a number of loops", c.args[0])
		return c.end("exit", "128")
	case err != nil && c.name == "exit":
		c.errorf("%s: numeric argument required; give a status from 0 to 255", c.args[0])
		return c.end("exit", "2")
	case c.name == "return" && !situationOf(runnerOf(c.hc)).returns:
		return c.usage("can only be used in a function or a sourced file")
	case err != nil:
		c.errorf("%s: numeric argument required; give a status from 0 to 255", c.args[0])
		return c.end("return", "2")
	case len(c.args) > 1:
		c.errorf("too many arguments; give one")
		return c.end("exit", "1")
	}
	c.errorf("%d: loop count out of range; give 1 or more", n)
	_ = c.end("break", "1")
	return failure(1)
}

// noLoop is a "break" or a "continue" with no loop around it in its function.
func noLoop(hc interp.HandlerContext, name string) error {
	fmt.Fprintf(hc.Stderr, "rpipe: line %d: %s: only meaningful in a loop\n", hc.Pos.Line(), name)
	return nil
}

// keepStatus keeps a status, or that of the latest command, for kept.
func keepStatus(hc interp.HandlerContext, args []string) error {
	status := strconv.Itoa(hc.LastExitStatus)
	if len(args) > 1 {
		status = args[1]
	}
	return variablesOf(runnerOf(hc)).Set(args[0], expand.Variable{Set: true, Kind: expand.String, Str: status})
}

// kept returns the status that was kept, once; else that of the latest command.
func kept(hc interp.HandlerContext, name string) (int, error) {
	env := variablesOf(runnerOf(hc))
	v := env.Get(name)
	if !v.IsSet() {
		return hc.LastExitStatus, nil
	}
	status, err := strconv.Atoi(v.Str)
	return status, errors.Join(err, env.Set(name, expand.Variable{}))
}
