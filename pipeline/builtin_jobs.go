package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

const jobsUsage = "usage: jobs [-lnprs] [jobspec ...] or jobs -x command [args]"

// jobs lists the commands in the background: POSIX, jobs, in the form of bash.
func jobs(ctx context.Context, c *builtinCall) error {
	st, args := c.x.stateOf(c.sh, c.hc), c.args
	var long, ids, running, stopped bool
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for _, o := range word[1:] {
			switch o {
			case 'l':
				long = true
			case 'p':
				ids = true
			case 'r':
				running = true
			case 's':
				stopped = true
			case 'n':
			case 'x':
				return c.substituted(ctx, st, args)
			default:
				return c.usage("-%c: invalid option; %s", o, jobsUsage)
			}
		}
	}
	all, current, previous := st.visible()
	if len(args) > 0 {
		all = nil
		for _, word := range args {
			j := c.jobSpec(st, "%"+strings.TrimPrefix(word, "%"))
			if j == nil {
				c.errorf("%s: no such job", word)
				return failure(1)
			}
			all = append(all, j)
		}
	}
	var b strings.Builder
	for _, j := range all {
		switch {
		case running && (j.over() || j.isStopped()), stopped && !j.isStopped():
		case ids:
			fmt.Fprintln(&b, j.id())
		default:
			mark := byte(' ')
			if j == current {
				mark = '+'
			} else if j == previous {
				mark = '-'
			}
			b.WriteString(j.line(mark, long))
		}
		if j.over() && !ids {
			st.forget(j, false)
		}
	}
	return c.writeString(ctx, b.String())
}

// line returns the line of a job in the list.
func (j *job) line(mark byte, long bool) string {
	state, amp := "Running", " &"
	switch {
	case j.isStopped():
		state, amp = "Stopped", ""
	case !j.over():
	case j.status == 0:
		state, amp = "Done", ""
	default:
		state, amp = fmt.Sprintf("Exit %d", j.status), ""
		if j.status > statusSignal && signalName(j.status-statusSignal) != "" {
			state = sentence(syscall.Signal(j.status - statusSignal).String())
		}
	}
	id := " "
	if long {
		id = fmt.Sprintf("%5d ", j.id())
	}
	if long {
		return fmt.Sprintf("[%d]%c %s%-24s%s%s\n", j.number, mark, id, state, j.plan.text, amp)
	}
	return fmt.Sprintf("[%d]%c%s %-24s%s%s\n", j.number, mark, id, state, j.plan.text, amp)
}

// substituted runs a command in whose words the jobs are replaced by their process ids.
func (c *builtinCall) substituted(ctx context.Context, st *shellState, words []string) error {
	if len(words) == 0 {
		return c.usage("-x: option requires an argument; %s", jobsUsage)
	}
	replaced := make([]string, len(words))
	for i, w := range words {
		replaced[i] = w
		if strings.HasPrefix(w, "%") {
			if j := c.jobSpec(st, w); j != nil {
				replaced[i] = strconv.Itoa(j.id())
			}
		}
	}
	return c.hc.Builtin(ctx, []string{"eval", quoteAll(replaced)})
}

// disown takes jobs off the list: the manual of bash.
func disown(_ context.Context, c *builtinCall) error {
	st, args := c.x.stateOf(c.sh, c.hc), c.args
	var everything, running, keep bool
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for _, o := range word[1:] {
			switch o {
			case 'a':
				everything = true
			case 'r':
				running = true
			case 'h': // HUP is sent to none at the end of a script
				keep = true
			default:
				return c.usage("-%c: invalid option; usage: disown [-h] [-ar] [jobspec ... | pid ...]", o)
			}
		}
	}
	all, current, _ := st.visible()
	switch {
	case len(args) > 0:
		all = nil
	case everything || running:
	case current == nil:
		c.errorf("current: no such job")
		return failure(1)
	default:
		all = []*job{current}
	}
	status := 0
	for _, word := range args {
		j := (*job)(nil)
		if pid, err := strconv.Atoi(word); err == nil {
			j = st.byID(pid)
		} else {
			j = c.jobSpec(st, word)
		}
		if j == nil {
			c.errorf("%s: no such job", word)
			status = 1
			continue
		}
		all = append(all, j)
	}
	for _, j := range all {
		if !keep && !(running && (j.over() || j.isStopped())) {
			st.forget(j, true)
		}
	}
	return failure(status)
}

// foreground waits for a job that was in the background: "fg".
func foreground(ctx context.Context, c *builtinCall) error {
	st := c.x.stateOf(c.sh, c.hc)
	j, err := c.controlled(st)
	if j == nil {
		return err
	}
	if err := c.writeString(ctx, j.plan.text+"\n"); err != nil {
		return err
	}
	if j.isStopped() {
		j.signal(continueSignal)
	}
	w := waiter{call: c, st: st}
	if err := w.until(ctx, j); err != nil {
		return err
	}
	st.forget(j, true)
	return c.jobEnd(j)
}

// controlled returns the job that "fg" or "bg" is about, or an error that was told.
func (c *builtinCall) controlled(st *shellState) (*job, error) {
	if !st.monitoring() {
		c.errorf("no job control; set -m switches it on")
		return nil, failure(1)
	}
	word := "%%"
	if len(c.args) > 0 && c.args[0] != "--" {
		word = "%" + strings.TrimPrefix(c.args[0], "%")
	}
	j := c.jobSpec(st, word)
	if j == nil {
		if word == "%%" {
			word = "current"
		}
		c.errorf("%s: no such job", strings.TrimPrefix(word, "%"))
		return nil, failure(1)
	}
	return j, nil
}

// resume lets a stopped job go on in the background: "bg".
func resume(ctx context.Context, c *builtinCall) error {
	st := c.x.stateOf(c.sh, c.hc)
	j, err := c.controlled(st)
	switch {
	case j == nil:
		return err
	case j.over():
		c.errorf("job has terminated")
		return failure(1)
	case !j.isStopped():
		c.errorf("job %d already in background", j.number)
		return nil
	}
	_, current, previous := st.visible()
	mark := byte(' ')
	if j == current {
		mark = '+'
	} else if j == previous {
		mark = '-'
	}
	j.signal(continueSignal)
	return c.writeString(ctx, fmt.Sprintf("[%d]%c %s &\n", j.number, mark, j.plan.text))
}

// suspend refuses, as a shell without a terminal of its own does.
func suspend(_ context.Context, c *builtinCall) error {
	c.errorf("cannot suspend: no job control; kill -STOP $$ stops this process")
	return failure(1)
}
