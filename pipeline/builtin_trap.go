package pipeline

import (
	"context"
	"strings"
	"syscall"
)

const trapUsage = "usage: trap [-lp] [[arg] signal_spec ...]"

// trap sets, prints and takes away what runs on a condition: POSIX, 2.14, trap, and
// the manual of bash.
func trap(ctx context.Context, c *builtinCall) error {
	st, args, print := c.x.stateOf(c.sh, c.hc), c.args, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		if rest := strings.Trim(word[1:], "lp"); rest != "" {
			return c.usage("-%c: invalid option; %s", rest[0], trapUsage)
		}
		if strings.Contains(word, "l") {
			return c.writeString(ctx, signalTable())
		}
		print = true
	}
	if print || len(args) == 0 {
		return c.printTraps(ctx, st, args)
	}
	command, names := args[0], args[1:]
	if len(names) == 0 {
		// A condition by itself is reset.
		if _, ok := conditionOf(command); !ok {
			return c.usage("%s", trapUsage)
		}
		command, names = "-", args
	} else if _, numeric := signalNumber(command); numeric && command[0] >= '0' && command[0] <= '9' {
		command, names = "-", args // POSIX: an unsigned integer is no command
	}
	status := 0
	for _, word := range names {
		name, ok := conditionOf(word)
		if !ok {
			c.errorf("%s: invalid signal specification", word)
			status = 1
			continue
		}
		if err := c.x.setTrap(ctx, c, st, name, command); err != nil {
			return err
		}
	}
	return failure(status)
}

// printTraps prints those of the conditions, or all, as commands that set them.
func (c *builtinCall) printTraps(ctx context.Context, st *shellState, words []string) error {
	names, status := conditions(), 0
	if len(words) > 0 {
		names = nil
		for _, w := range words {
			name, ok := conditionOf(w)
			if !ok {
				c.errorf("%s: invalid signal specification", w)
				status = 1
				continue
			}
			names = append(names, name)
		}
	}
	st.mu.Lock()
	traps := st.traps
	if st.shown != nil {
		traps = st.shown
	}
	st.mu.Unlock()
	var b strings.Builder
	for _, name := range names {
		if command, is := traps[name]; is {
			b.WriteString("trap -- '" + strings.ReplaceAll(command, "'", `'\''`) + "' " + name + "\n")
		}
	}
	if err := c.writeString(ctx, b.String()); err != nil {
		return err
	}
	return failure(status)
}

// setTrap gives a condition its command in the shell of a call; "-" is none.
func (x *execution) setTrap(ctx context.Context, c *builtinCall, st *shellState, name, command string) error {
	situation := situationOf(runnerOf(c.hc))
	if name == trapRETURN && command != "-" && command != "" && situation.returns {
		return c.usage("RETURN in a function: not supported; call what it runs before each return")
	}
	st.mu.Lock()
	st.shown = nil // from here on they are its own
	if command == "-" {
		st.reset(name)
	} else {
		st.set(name, command)
	}
	st.mu.Unlock()
	switch name {
	case trapEXIT, trapDEBUG, trapRETURN:
		return nil
	case trapERR:
		st.armed = inFunction(runnerOf(c.hc))
		x.armERR(ctx, c.hc, command != "-" && command != "")
		return nil
	}
	if sig, ok := signalNumber(name); ok && st == x.main {
		x.catch(sig, command != "-")
	}
	return nil
}

// catch asks for a signal of this process, or leaves it to whoever had it before.
func (x *execution) catch(sig syscall.Signal, on bool) {
	switch {
	case x.opts.Signals == nil, sig == signalChild:
	case on:
		x.opts.Signals.Catch(sig, func() {
			x.main.deliver(sig)
			if x.opts.Terminal && (sig == syscall.SIGINT || isQuit(sig)) {
				x.interruptible.typed(sig)
			}
		})
	default:
		x.opts.Signals.Catch(sig, nil)
	}
}

// releaseSignals leaves all signals to whoever had them before.
func (x *execution) releaseSignals() {
	x.main.mu.Lock()
	defer x.main.mu.Unlock()
	for name := range x.main.traps {
		if sig, ok := signalNumber(name); ok {
			x.catch(sig, false)
		}
	}
}

// ignored returns the signals that the shell of a handler ignores, and that programs
// which it starts have to ignore: POSIX, 2.12.
func (x *execution) ignored(st *shellState) []syscall.Signal {
	st.mu.Lock()
	defer st.mu.Unlock()
	var all []syscall.Signal
	for name, command := range st.traps {
		if sig, ok := signalNumber(name); ok && command == "" {
			all = append(all, sig)
		}
	}
	return all
}
