package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

const (
	statusBug      = 2
	statusUsage    = 2
	statusTimeout  = 124 // as of timeout(1)
	statusRefused  = 126
	statusNotFound = 127
	statusSignal   = 128
	statusKilled   = statusSignal + 9
	statusPipe     = statusSignal + 13
	statusLost     = 76

	statusUnreachable = 69
	statusIdentity    = 77
)

// causeStatus returns the status of what a cancelled context has ended: the one
// that its cause carries; 124 for a deadline; else that of death by the signal
// which was sent.
func causeStatus(cause error) int {
	if status, ok := statusOf(cause); ok {
		return status
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return statusTimeout
	}
	return statusSignal + int(signalOf(cause))
}

// failure returns err as what an exec handler returns for a status: nil for 0.
func failure(status int) error {
	if status == 0 {
		return nil
	}
	return interp.ExitStatus(status)
}

// decide returns the index of the stage whose status is that of the pipeline, or
// -1 for success. A lost stage decides whatever comes after it, which this
// package has killed. A stage that SIGPIPE has ended because its reader had left is
// no failure. Stages that this package killed decide nothing.
func decide(stages []*stageRun, pipefail bool) int {
	for i := len(stages) - 1; i >= 0; i-- {
		if stages[i].lost {
			return i
		}
	}
	last := len(stages) - 1
	if stages[last].status != 0 {
		return last
	}
	if !pipefail {
		return -1
	}
	for i := last - 1; i >= 0; i-- {
		if s := stages[i].status; s != 0 && !stages[i].left {
			return i
		}
	}
	return -1
}

// option asks the shell of hc whether an option is on. It leaves a status behind in
// it, which an exec handler that then returns nil must remove by another "eval". "set
// -e" does not act on the question.
func option(ctx context.Context, hc interp.HandlerContext, name string) bool {
	return hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"eval", "! [[ -o " + name + " ]]"}) != nil
}

// setStatuses sets PIPESTATUS in the shell of hc. A declaration is not traced.
func (sh *shell) setStatuses(ctx context.Context, hc interp.HandlerContext, statuses ...int) {
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = strconv.Itoa(s)
	}
	assign := fmt.Sprintf("declare -g -a PIPESTATUS=(%s); :", strings.Join(words, " "))
	// It fails only where the script made PIPESTATUS read-only.
	_ = hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"eval", assign})
}
