package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"rpipe/cmd/internal/commandline"
	"rpipe/parser"
	"rpipe/pipeline"
	"rpipe/pipeline/keeper"
	"rpipe/remote"
)

// syntaxError is a script that cannot be run.
type syntaxError struct{ err error }

func (e *syntaxError) Error() string   { return e.err.Error() }
func (e *syntaxError) Unwrap() error   { return e.err }
func (e *syntaxError) ExitStatus() int { return commandline.ExitUsage }

// script runs the script.
func (c *command) script(ctx context.Context) error {
	name, zero, params, source, err := c.source()
	if err != nil {
		return err
	}
	prog, err := parser.Parse(name, source)
	if err != nil {
		return &syntaxError{err}
	}
	if c.arguments.check {
		return nil
	}
	if !c.Loopback && (c.Config != "" || len(prog.Hosts()) > 0) {
		// What is wrong is told before anything runs.
		if _, err := c.loadConfig(); err != nil {
			return err
		}
	}
	dialer, end, err := c.scriptDialer()
	if err != nil {
		return err
	}
	defer end()
	keeper := keeper.New(c.stdout, c.stderr)
	defer keeper.Close()
	terminal := hasTerminal()
	var settle func()
	if terminal {
		defer suspendable(dialer)()
		settle = c.signals.settle
	}
	opts := pipeline.Options{
		Stdin:    c.stdin,
		Stdout:   c.stdout,
		Stderr:   c.stderr,
		Name:     zero,
		Params:   params,
		Command:  !c.File,
		Dialer:   dialer,
		Keeper:   keeper,
		Launcher: true,

		RequireStatus: c.RequireStatus,

		Replaceable: !c.Verbose && c.Timeout == 0 && !c.Loopback,

		Terminal: terminal,
		Settle:   settle,
		Signals:  c.signals,
		Diagnose: func(e *pipeline.StageError) { commandline.Report(c.stderr, "rpipe", e) },
	}
	if c.readsInput() {
		opts.Input = c.stdin
	}
	opts.Set = c.arguments.set
	opts.Shopt = c.arguments.shopt
	if self, err := os.Executable(); err == nil {
		opts.Shell = slices.Concat([]string{self}, c.arguments.long, []string{"-f"})
	}
	if c.Verbose {
		opts.StageDone = c.tell
	}
	return pipeline.Run(ctx, prog, opts)
}

// source returns the script, its name for messages, $0 and its parameters.
func (c *command) source() (name, zero string, params []string, text []byte, err error) {
	if c.readsInput() && c.arguments.check {
		text, err = readAll(c.stdin, "standard input")
		return "standard input", "rpipe", nil, text, err
	}
	if c.readsInput() {
		params = c.Words
		if c.File {
			params = params[1:]
		}
		return "standard input", "rpipe", params, nil, nil
	}
	script, params := c.Words[0], c.Words[1:]
	switch {
	case c.File:
		text, err = readScript(script)
		return script, script, params, text, err
	case c.Command && len(params) > 0:
		return "script", params[0], params[1:], []byte(script), nil
	}
	return "script", "rpipe", params, []byte(script), nil
}

// readsInput reports whether the script comes from standard input, where it is read
// command by command.
func (c *command) readsInput() bool {
	return c.Stdin || len(c.Words) == 0 && !c.Command || c.File && c.Words[0] == "-"
}

func readScript(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, &noScript{file, innermost(err)}
	}
	defer f.Close()
	text, err := readAll(f, file)
	if err != nil {
		return nil, &noScript{file, innermost(err)}
	}
	return text, nil
}

// noScript is a file that cannot be read: 127 if there is none, else 126, as for
// sh (POSIX, sh, EXIT STATUS).
type noScript struct {
	file string
	err  error
}

func (e *noScript) Error() string { return fmt.Sprintf("cannot read the script %q: %v", e.file, e.err) }
func (e *noScript) Unwrap() error { return e.err }
func (e *noScript) ExitStatus() int {
	if errors.Is(e.err, os.ErrNotExist) {
		return 127
	}
	return 126
}

// scriptDialer returns the dialer, and the function that ends it.
func (c *command) scriptDialer() (*remote.Dialer, func(), error) {
	if !c.Loopback {
		d := c.dialer()
		return d, func() {
			d.Close()
			if d.Key != nil {
				d.Key.Close()
			}
		}, nil
	}
	hosts, err := newLoopback()
	if err != nil {
		return nil, nil, err
	}
	d := hosts.dialer()
	c.setUp(d)
	return d, func() {
		d.Close()
		hosts.close()
	}, nil
}

// tell is the report of a stage that --verbose asks for.
func (c *command) tell(r pipeline.StageReport) {
	end := fmt.Sprintf("status %d", r.Status)
	switch {
	case !r.Ran:
		end = "did not run"
	case r.Service != nil && r.Service.EOF && r.Status == 0:
		end = "eof"
	}
	fmt.Fprintf(c.stderr, "rpipe: line %d: stage %d %s: %s, %v", r.Line, r.Stage, r.Text, end, r.Elapsed.Round(time.Millisecond))
	if result := r.Result; result != nil {
		if result.In > 0 {
			fmt.Fprintf(c.stderr, ", %d bytes in", result.In)
		}
		if r.Link.How != remote.Fused {
			fmt.Fprintf(c.stderr, ", %d bytes out", result.Out)
		}
		fmt.Fprintf(c.stderr, ", %v cpu", (result.User + result.System).Round(time.Millisecond))
	}
	if s := r.Service; s != nil {
		fmt.Fprintf(c.stderr, ", %d bytes in, %d bytes out", s.In, s.Out)
		if s.InputLeft {
			fmt.Fprint(c.stderr, ", ended before its input")
		}
	}
	switch r.Link.How {
	case remote.Fused:
		fmt.Fprint(c.stderr, ", output piped there")
	case remote.Hop:
		fmt.Fprint(c.stderr, ", output direct to the next host")
	case remote.Relay:
		fmt.Fprintf(c.stderr, ", output relayed through here: %s", commandline.Harmless(r.Link.Why.Error()))
	}
	fmt.Fprintln(c.stderr)
}

// exitStatus tells what was not told yet of why a run failed, and returns its
// status.
func (c *command) exitStatus(err error) int {
	var stage *pipeline.StageError
	var exit *pipeline.ExitError
	var sig signalCause
	switch {
	case errors.As(err, &exit) && exit.Err == nil: // a command's own status
	case errors.As(err, &sig): // whoever sent it knows
	case errors.As(err, &exit) && errors.As(err, &stage): // Diagnose told
	default:
		commandline.Report(c.stderr, "rpipe", err)
	}
	status := pipeline.ExitStatus(err)
	if (status == 127 || status == 126) && !c.File && !c.Stdin && isFile(c.Words) {
		fmt.Fprintf(c.stderr, "rpipe: to run the script in that file: rpipe -f %s\n", c.Words[0])
	}
	return status
}

// isFile reports whether what was taken for a script is the name of one.
func isFile(words []string) bool {
	if len(words) == 0 || strings.ContainsAny(words[0], " \t\n") {
		return false
	}
	info, err := os.Stat(words[0])
	return err == nil && info.Mode().IsRegular()
}
