package pipeline

import (
	"context"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// shift is bash's: what is too far is 1, and shifts nothing.
func shift(_ context.Context, c *builtinCall) error {
	runner := runnerOf(c.hc)
	args, n := c.args, int64(1)
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) > 0 {
		var ok bool
		if n, ok = number(args[0]); !ok {
			return c.fails("%s: numeric argument required", args[0])
		}
	}
	switch {
	case len(args) > 1:
		return c.fails("too many arguments")
	case n < 0:
		return c.fails("%s: shift count out of range", args[0])
	case n > int64(len(runner.Params)):
		return failure(1)
	}
	runner.Params = runner.Params[n:]
	return nil
}

// let evaluates each of its words as arithmetic, and ends with what the last one is.
func let(ctx context.Context, c *builtinCall) error {
	args := c.args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return c.fails("expression expected")
	}
	var err error
	for _, expr := range args {
		if strings.TrimSpace(expr) == "" {
			expr = "0"
		}
		err = c.eval(ctx, "(("+expr+"))")
	}
	if err == nil {
		_ = c.hc.Builtin(internal(ctx), []string{"true"})
	}
	return err
}

// letsCalled makes every "let" whose words are quoted the call of a builtin: what is in
// such a word is known when it has been expanded.
func letsCalled(sc *script) {
	tree.Walk(sc.file, func(n syntax.Node) bool {
		s, ok := n.(*syntax.Stmt)
		if !ok {
			return true
		}
		clause, ok := s.Cmd.(*syntax.LetClause)
		if !ok {
			return true
		}
		words := []*syntax.Word{quoted(s.Position, markBuiltin), quoted(s.Position, "let")}
		for _, e := range clause.Exprs {
			w, ok := e.(*syntax.Word)
			if !ok || w.Lit() != "" {
				return true
			}
			words = append(words, w)
		}
		m := mark(s.Position)
		m.Cmd.(*syntax.CallExpr).Args = words
		s.Cmd, s.Redirs = m.Cmd, append(s.Redirs, m.Redirs...)
		sc.changed = true
		return true
	})
}

// eval runs a text in the shell of the call, as the builtin of that name does.
func (c *builtinCall) eval(ctx context.Context, text string) error {
	t := c.x.plan.prepare(text)
	defer c.x.plan.release(t)
	return c.hc.Builtin(ctx, []string{"eval", t.printed})
}

// timesUsed is times: what the shell, which is this process, and its children have used.
func timesUsed(ctx context.Context, c *builtinCall) error {
	own, children := usedNow()
	return c.writeString(ctx, fmt.Sprintf("%s %s\n%s %s\n",
		minutes(own.user), minutes(own.system), minutes(children.user), minutes(children.system)))
}

// misplaced refuses what only an interactive or a login shell does, in bash's way.
func misplaced(ctx context.Context, c *builtinCall) error {
	switch c.name {
	case "logout":
		return c.fails("not login shell: use `exit'")
	case "suspend":
		return c.fails("cannot suspend: no job control")
	case "newgrp":
		return c.x.exec(ctx, append([]string{c.name}, c.args...)) // a program to bash
	}
	return c.usage("not supported; keep what calls a function in a variable of your own")
}

// wrongEval refuses an option of eval; it has none.
func wrongEval(_ context.Context, c *builtinCall) error {
	return c.usageOf("eval [arg ...]", "%s: invalid option", firstOption(c.args))
}

// wrongSource refuses a source that has no file, or an option.
func wrongSource(_ context.Context, c *builtinCall) error {
	synopsis := c.name + " filename [arguments]"
	if len(c.args) == 0 || c.args[0] == "--" {
		return c.usageOf(synopsis, "filename argument required")
	}
	return c.usageOf(synopsis, "%s: invalid option", firstOption(c.args))
}

func firstOption(args []string) string {
	if len(args) > 0 && len(args[0]) > 1 {
		return args[0][:2]
	}
	return ""
}
