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
// package has killed. A stage that SIGPIPE has ended is no failure, except as the
// last one: its reader left. Stages that this package killed decide nothing.
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
		if s := stages[i].status; s != 0 && s != statusPipe {
			return i
		}
	}
	return -1
}

// pipefail asks the shell of hc whether that option is on. It leaves a status
// behind in it, which setStatuses removes. "set -e" does not act on the question.
func pipefail(ctx context.Context, hc interp.HandlerContext) bool {
	return hc.Builtin(internal(ctx), []string{"eval", "! [[ -o pipefail ]]"}) != nil
}

// setStatuses sets PIPESTATUS in the shell of hc. A declaration is not traced.
func (sh *shell) setStatuses(ctx context.Context, hc interp.HandlerContext, statuses ...int) {
	words := make([]string, len(statuses))
	for i, s := range statuses {
		words[i] = strconv.Itoa(s)
	}
	assign := fmt.Sprintf("declare -g -a PIPESTATUS=(%s); :", strings.Join(words, " "))
	// It fails only where the script made PIPESTATUS read-only.
	_ = hc.Builtin(internal(ctx), []string{"eval", assign})
	sh.fresh.Store(sh.commands.Load())
}
