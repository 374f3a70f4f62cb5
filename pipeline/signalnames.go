package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
)

// The conditions of "trap" that are no signals.
const (
	trapEXIT   = "EXIT"
	trapERR    = "ERR"
	trapDEBUG  = "DEBUG"
	trapRETURN = "RETURN"
)

// lastSignal is the greatest number of a signal.
const lastSignal = 64

// signalNumber returns the signal that a word names: by its name, with or without
// "SIG", in any case, or by its number. 0 is the one that only asks.
func signalNumber(word string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(word); err == nil {
		return syscall.Signal(n), n == 0 || n > 0 && n <= lastSignal && signalName(n) != ""
	}
	name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
	for n := 1; n <= lastSignal && name != ""; n++ {
		if signalName(n) == name {
			return syscall.Signal(n), true
		}
	}
	return 0, false
}

// conditionOf returns what "trap" calls the condition that a word names.
func conditionOf(word string) (string, bool) {
	switch upper := strings.ToUpper(word); upper {
	case "0", trapEXIT, trapERR, trapDEBUG, trapRETURN:
		if upper == "0" {
			upper = trapEXIT
		}
		return upper, true
	}
	sig, ok := signalNumber(word)
	return conditionOfSignal(sig), ok && sig != 0
}

func conditionOfSignal(sig syscall.Signal) string { return "SIG" + signalName(int(sig)) }

// conditions returns all conditions in the order in which bash prints them.
func conditions() []string {
	all := []string{trapEXIT}
	for n := 1; n <= lastSignal; n++ {
		if signalName(n) != "" {
			all = append(all, conditionOfSignal(syscall.Signal(n)))
		}
	}
	return append(all, trapDEBUG, trapERR, trapRETURN)
}

// signalTable lists all signals as "kill -l" and "trap -l" do.
func signalTable() string {
	var b strings.Builder
	column := 0
	for n := 1; n <= lastSignal; n++ {
		name := signalName(n)
		if name == "" {
			continue
		}
		fmt.Fprintf(&b, "%2d) SIG%s", n, name)
		if column++; column < 5 {
			b.WriteByte('\t')
		} else {
			b.WriteByte('\n')
			column = 0
		}
	}
	if column > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}
