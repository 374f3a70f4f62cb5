package pipeline

import (
	"context"
	"reflect"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const waitUsage = "usage: wait [-fn] [-p var] [id ...]"

// wait waits for commands in the background: POSIX, wait, and the manual of bash. A
// signal that the shell traps ends it.
func wait(ctx context.Context, c *builtinCall) error {
	w := waiter{call: c, st: c.x.stateOf(c.sh, c.hc)}
	args, next, name := c.args, false, ""
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for i := 1; i < len(word); i++ {
			switch word[i] {
			case 'n':
				next = true
			case 'f': // until it has ended: so it is without job control
			case 'p':
				switch {
				case i+1 < len(word):
					name = word[i+1:]
				case len(args) > 0:
					name, args = args[0], args[1:]
				default:
					return c.usage("-p: option requires an argument; %s", waitUsage)
				}
				i = len(word)
			default:
				return c.usage("-%c: invalid option; %s", word[i], waitUsage)
			}
		}
	}
	if name != "" {
		if base, _, _ := strings.Cut(name, "["); !syntax.ValidName(base) {
			c.errorf("`%s': not a valid identifier", name)
			return failure(1)
		}
		_ = c.hc.Builtin(internal(ctx), []string{"unset", name})
	}
	switch {
	case next:
		return w.next(ctx, args, name)
	case len(args) == 0:
		return w.all(ctx)
	}
	var err error
	for _, word := range args {
		var j *job
		j, err = w.one(ctx, word)
		if w.interrupted {
			return err
		}
		if j != nil && name != "" {
			if failed := c.assign(ctx, name, strconv.Itoa(j.id())); failed != nil {
				return failed
			}
		}
	}
	return w.result(ctx, err)
}

// A waiter is a call of "wait".
type waiter struct {
	call        *builtinCall
	st          *shellState
	interrupted bool
}

// result ends the builtin. What it has run for itself has left a status behind.
func (w *waiter) result(ctx context.Context, err error) error {
	_ = w.call.hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"eval", ":"})
	return err
}

// all waits for all jobs.
func (w *waiter) all(ctx context.Context) error {
	for {
		w.st.mu.Lock()
		var j *job
		if len(w.st.jobs) > 0 {
			j = w.st.jobs[0]
		}
		w.st.mu.Unlock()
		if j == nil {
			break
		}
		if err := w.until(ctx, j); err != nil {
			return err
		}
		w.st.forget(j, true)
	}
	w.st.mu.Lock()
	clear(w.st.ended)
	w.st.mu.Unlock()
	if w.call.hc.Pos.Offset() < positionShift {
		// In a text that could not be prepared jobs are the interpreter's.
		return w.call.hc.Builtin(internal(ctx), []string{"wait"})
	}
	return nil
}

// until waits for one job. Its error is the end of the builtin before that.
func (w *waiter) until(ctx context.Context, jobs ...*job) error {
	for _, j := range jobs {
		if j.over() {
			return nil
		}
	}
	sig, woken := w.st.awaken()
	if sig == 0 {
		cases := []reflect.SelectCase{receive(ctx.Done()), receive(woken)}
		for _, j := range jobs {
			cases = append(cases, receive(j.done))
		}
		switch chosen, _, _ := reflect.Select(cases); chosen {
		case 0:
			w.interrupted = true
			return context.Cause(ctx)
		case 1:
			sig, _ = w.st.awaken()
		default:
			return nil
		}
	}
	w.interrupted = true
	return failure(statusSignal + int(sig))
}

func receive[T any](c <-chan T) reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
}

// one waits for the job that a word names and returns it with its status; nil where it
// is in no list any more.
func (w *waiter) one(ctx context.Context, word string) (*job, error) {
	c := w.call
	j, status, ok := w.find(word)
	if !ok {
		return nil, failure(status)
	}
	if j == nil {
		return nil, failure(status)
	}
	if err := w.until(ctx, j); err != nil {
		return nil, err
	}
	w.st.forget(j, false)
	return j, c.jobEnd(j)
}

// jobEnd returns the status of a job that has ended as an error of a handler. One that
// was lost stays the reason of its status.
func (c *builtinCall) jobEnd(j *job) error {
	if v, ok := j.err.(*verdict); ok {
		return c.sh.failed(v)
	}
	return failure(j.status)
}

// find returns the job that a word names, or the status of one that is in no list any
// more. If ok is false it has told that there is none, and the status is that of the
// call.
func (w *waiter) find(word string) (j *job, status int, ok bool) {
	c := w.call
	if strings.HasPrefix(word, "%") {
		if j := c.jobSpec(w.st, word); j != nil {
			return j, 0, true
		}
		c.errorf("%s: no such job", word)
		return nil, statusNotFound, false
	}
	pid, err := strconv.Atoi(word)
	if err != nil || pid < 0 || word[0] == '+' {
		c.errorf("`%s': not a pid or valid job spec", word)
		return nil, 1, false
	}
	if j := w.st.byID(pid); j != nil {
		return j, 0, true
	}
	if status, is := w.st.status(pid); is {
		return nil, status, true
	}
	c.errorf("pid %s is not a child of this shell", word)
	return nil, statusNotFound, false
}

// next waits for the first job to end, of those that words name, or of all.
func (w *waiter) next(ctx context.Context, words []string, name string) error {
	c := w.call
	var jobs []*job
	for _, word := range words {
		j := (*job)(nil)
		if pid, err := strconv.Atoi(word); err == nil {
			j = w.st.byID(pid)
		} else {
			j = c.jobSpec(w.st, word)
		}
		if j == nil {
			c.errorf("%s: no such job", word)
			continue
		}
		jobs = append(jobs, j)
	}
	if len(words) == 0 {
		w.st.mu.Lock()
		jobs = append(jobs, w.st.jobs...)
		w.st.mu.Unlock()
	}
	if len(jobs) == 0 {
		return w.result(ctx, failure(statusNotFound))
	}
	if err := w.until(ctx, jobs...); err != nil {
		return err
	}
	for _, j := range jobs {
		if !j.over() {
			continue
		}
		w.st.forget(j, false)
		if name != "" {
			if err := c.assign(ctx, name, strconv.Itoa(j.id())); err != nil {
				return err
			}
		}
		return w.result(ctx, c.jobEnd(j))
	}
	return failure(statusNotFound)
}

// jobSpec returns the job that a word with "%" names, or nil: by its number, "%%" and
// "%+" the current one, "%-" the one before, "%text" one that begins so, "%?text" one
// that holds it.
func (c *builtinCall) jobSpec(st *shellState, word string) *job {
	all, current, previous := st.visible()
	spec := strings.TrimPrefix(word, "%")
	switch {
	case spec == "", spec == "%", spec == "+":
		return current
	case spec == "-":
		if previous == nil {
			return nil
		}
		return previous
	}
	if n, err := strconv.Atoi(spec); err == nil {
		for _, j := range all {
			if j.number == n {
				return j
			}
		}
		return nil
	}
	text, anywhere := strings.CutPrefix(spec, "?")
	var found *job
	for _, j := range all {
		if strings.HasPrefix(j.plan.text, text) || anywhere && strings.Contains(j.plan.text, text) {
			if found != nil {
				c.errorf("%s: ambiguous job spec", spec)
				return nil
			}
			found = j
		}
	}
	return found
}
