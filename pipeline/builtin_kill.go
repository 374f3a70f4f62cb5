package pipeline

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const killUsage = "usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l [sigspec]"

// kill sends signals to processes and jobs, or lists them: POSIX, kill, and the manual
// of bash.
func kill(ctx context.Context, c *builtinCall) error {
	sig, args := syscall.SIGTERM, c.args
	if len(args) == 0 {
		return c.usage("%s", killUsage)
	}
	named := func(word string) bool {
		var ok bool
		if sig, ok = signalNumber(word); !ok && !strings.EqualFold(word, trapEXIT) {
			c.errorf("%s: invalid signal specification", word)
			return false
		}
		return true
	}
	switch word := args[0]; {
	case word == "-l", word == "-L":
		return c.signalNames(ctx, args[1:])
	case word == "--":
		args = args[1:]
	case word == "-s", word == "-n":
		if len(args) < 2 {
			c.errorf("%s: option requires an argument", word)
			return failure(1)
		}
		if !named(args[1]) {
			return failure(1)
		}
		args = args[2:]
	case strings.HasPrefix(word, "-") && len(word) > 1:
		spec := word[1:]
		if len(word) > 2 && (word[1] == 's' || word[1] == 'n') {
			spec = word[2:]
		}
		if !named(spec) {
			return failure(1)
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return c.usage("%s", killUsage)
	}
	some := false
	for _, word := range args {
		some = c.killOne(word, sig) || some
	}
	if !some {
		return failure(1)
	}
	return nil
}

// signalNames prints the names of numbers, also of statuses, and the numbers of names;
// or all.
func (c *builtinCall) signalNames(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return c.writeString(ctx, signalTable())
	}
	var b strings.Builder
	status := 0
	for _, w := range words {
		n, err := strconv.Atoi(w)
		if err == nil && n > statusSignal {
			n -= statusSignal
		}
		sig, ok := signalNumber(w)
		switch {
		case err == nil && n == 0:
			b.WriteString(trapEXIT + "\n")
		case err == nil && n > 0 && n <= lastSignal && signalName(n) != "":
			b.WriteString(signalName(n) + "\n")
		case err != nil && ok:
			b.WriteString(strconv.Itoa(int(sig)) + "\n")
		case strings.EqualFold(w, trapEXIT):
			b.WriteString("0\n")
		default:
			c.errorf("%s: invalid signal specification", w)
			status = 1
		}
	}
	if err := c.writeString(ctx, b.String()); err != nil {
		return err
	}
	return failure(status)
}

// killOne sends a signal to what a word names. If it returns false it has told why.
func (c *builtinCall) killOne(word string, sig syscall.Signal) bool {
	st := c.x.stateOf(c.sh, c.hc)
	if strings.HasPrefix(word, "%") {
		j := c.jobSpec(st, word)
		if j == nil {
			c.errorf("%s: no such job", word)
			return false
		}
		if !j.signal(sig) {
			c.errorf("(%d) - No such process", j.id())
			return false
		}
		return true
	}
	pid, err := strconv.Atoi(word)
	if err != nil || strings.HasPrefix(word, "+") {
		c.errorf("%s: arguments must be process or job IDs", word)
		return false
	}
	if err := c.x.kill(st, pid, sig); err != nil {
		if errors.Is(err, syscall.ESRCH) {
			c.errorf("(%d) - No such process", pid)
		} else {
			c.errorf("(%d) - %s", pid, sentence(reason(err)))
		}
		return false
	}
	return true
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// kill sends a signal to a process, to a group as kill(2) names them, or to a job that
// is none.
func (x *execution) kill(st *shellState, pid int, sig syscall.Signal) error {
	switch {
	case pid == os.Getpid():
		return x.killSelf(sig)
	case pid > 0:
		if j := x.jobs.find(pid); j != nil {
			if !j.signal(sig) {
				return syscall.ESRCH
			}
			return nil
		}
		if pid > firstNumber {
			return syscall.ESRCH
		}
		return sendSignal(pid, sig)
	case pid == 0 || -pid == ownGroup():
		// Its programs may have groups of their own.
		x.jobs.each(func(j *job) { j.signal(sig) })
		if err := sendSignal(0, sig); err != nil {
			return err
		}
		x.settle()
		return nil
	}
	if j := x.jobs.find(-pid); j != nil {
		if !st.monitoring() {
			return syscall.ESRCH // bash has it in its own group
		}
		if j.over() {
			return syscall.ESRCH
		}
		j.mu.Lock()
		p := j.process
		j.mu.Unlock()
		if p == nil || !p.grouped {
			j.signal(sig)
			return nil
		}
	}
	return sendSignal(pid, sig)
}

// killSelf sends a signal to the shell of the script.
func (x *execution) killSelf(sig syscall.Signal) error {
	switch {
	case sig == 0, x.main.deliver(sig): // it runs the trap
	case sig == syscall.SIGKILL:
		return stopSelf(sig)
	case isStop(sig), isContinue(sig):
		return stopSelf(sig)
	case ignoredByDefault(sig):
	default:
		x.main.last.Store(0)
		x.end(&jobSignal{sig})
	}
	return nil
}

// settle returns when the signals that have come to this process have had their effect.
func (x *execution) settle() {
	if x.opts.Signals != nil {
		x.opts.Signals.Settle()
	}
}
