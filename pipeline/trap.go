package pipeline

import (
	"context"
	"fmt"
	"io"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// trap returns what the interpreter gets as the command of a trap: an "eval", so that
// the text is prepared when it is run.
func (p *plan) trap(written string) string {
	t := p.prepare(written)
	quoted, err := syntax.Quote(written, syntax.LangBash)
	if t.script == nil && t.refused == nil || err != nil {
		p.release(t)
		return written
	}
	command := "eval " + quoted + " #" + p.texts.secret
	p.mu.Lock()
	defer p.mu.Unlock()
	p.texts.traps[printedTrap(command)] = printedTrap(written)
	return command
}

// printedTrap returns how the interpreter prints the command of a trap.
func printedTrap(command string) string { return fmt.Sprintf("%q", command) }

type outputKey struct{}

// printTraps prints the traps of the shell of a mark as the user has written them.
func (x *execution) printTraps(ctx context.Context, hc interp.HandlerContext) error {
	var out strings.Builder
	to := context.WithValue(internal(ctx), outputKey{}, &out)
	err := hc.Builtin(to, []string{"eval", "trap >" + x.plan.texts.secret + markOutput[1:]})
	text := out.String()
	x.plan.mu.RLock()
	for command, written := range x.plan.texts.traps {
		text = strings.ReplaceAll(text, command, written)
	}
	x.plan.mu.RUnlock()
	if _, failed := io.WriteString(hc.Stdout, text); failed != nil {
		return failure(1)
	}
	return err
}
