//go:build unix

package pipeline

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestTextsThatMayHoldJobsAreFound(t *testing.T) {
	for text, want := range map[string]bool{
		"a & b": true, "a &": true, "a&": true, "echo $!": true, "echo ${!}": true, "a && b & c": true, "a 2>&1 &": true,
		"a && b": false, "a >&2": false, "a &>f": false, "a <&3": false, "a 2>&1": false, "": false, "a &>>f": false, "a && b && c": false,
	} {
		if got := mayNeedJobs(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestProgramsLearnWhichSignalsTheirShellIgnores(t *testing.T) {
	x := &execution{}
	x.main = x.newState(nil, false)
	x.main.set(conditionOfSignal(syscall.SIGHUP), "")
	x.main.set(conditionOfSignal(syscall.SIGTERM), "echo")
	inner := x.newState(x.main, false)
	for _, st := range []*shellState{x.main, inner} {
		if got := x.ignored(st); !slices.Equal(got, []syscall.Signal{syscall.SIGHUP}) {
			t.Error(got)
		}
	}
	if len(inner.shown) != 2 || len(inner.traps) != 1 {
		t.Errorf("%v %v", inner.shown, inner.traps)
	}
}

func TestEverySignalHasANameThatLeadsBackToIt(t *testing.T) {
	for n := 1; n <= lastSignal; n++ {
		name := signalName(n)
		if name == "" {
			continue
		}
		for _, word := range []string{name, "SIG" + name, strings.ToLower(name)} {
			if sig, ok := signalNumber(word); !ok || int(sig) != n {
				t.Errorf("%s: %d %v", word, sig, ok)
			}
		}
	}
}

func TestTheNumberOfAJobIsItsProcessIDInItsShell(t *testing.T) {
	x := &execution{}
	j := &job{plan: &plannedJob{}, known: make(chan struct{})}
	j.know(nil)
	if got := x.shellPID(&shell{job: j}); got != j.pid || got <= firstNumber {
		t.Error(got)
	}
	if got := x.shellPID(&shell{}); got != syscall.Getpid() {
		t.Error(got)
	}
}
