//go:build unix

package pipeline

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// The signals that a shell treats apart.
func isQuit(s syscall.Signal) bool     { return s == syscall.SIGQUIT }
func isContinue(s syscall.Signal) bool { return s == syscall.SIGCONT }

func isStop(s syscall.Signal) bool {
	return s == syscall.SIGSTOP || s == syscall.SIGTSTP || s == syscall.SIGTTIN || s == syscall.SIGTTOU
}

func ignoredByDefault(s syscall.Signal) bool {
	return s == syscall.SIGCHLD || s == syscall.SIGURG || s == syscall.SIGWINCH || s == syscall.SIGCONT
}

// continueSignal lets a stopped process go on.
const continueSignal = syscall.SIGCONT

// signalChild is what tells a shell that a child has ended.
const signalChild = syscall.SIGCHLD

// sendSignal sends a signal to a process, or to a group if pid is below 0.
func sendSignal(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// ownGroup is the process group of this process.
func ownGroup() int { return syscall.Getpgrp() }

// stopSelf stops this process as the signal does.
func stopSelf(sig syscall.Signal) error { return syscall.Kill(os.Getpid(), sig) }

// signalName returns the name of a signal without "SIG", or "" if there is none. The
// real-time signals have the names that bash gives them.
func signalName(n int) string {
	if name := unix.SignalName(syscall.Signal(n)); len(name) > 3 {
		return name[3:]
	}
	switch {
	case lastRealTime == 0 || n < firstRealTime || n > lastRealTime:
		return ""
	case n == firstRealTime:
		return "RTMIN"
	case n == lastRealTime:
		return "RTMAX"
	case n <= (firstRealTime+lastRealTime)/2:
		return "RTMIN+" + strconv.Itoa(n-firstRealTime)
	}
	return "RTMAX-" + strconv.Itoa(lastRealTime-n)
}
