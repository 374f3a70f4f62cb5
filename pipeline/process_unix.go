//go:build unix

package pipeline

import (
	"errors"
	"os"
	"syscall"
)

// processAttributes are those of a local program.
func processAttributes(grouped bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: grouped}
}

// processStatus returns the status that a shell has for a process that ended.
func processStatus(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return statusSignal + int(ws.Signal())
	}
	return state.ExitCode()
}

// signalProcess sends a signal to a process that was not waited for, and to its
// group if it leads one.
func signalProcess(pid int, grouped bool, sig syscall.Signal) {
	if grouped {
		pid = -pid
	}
	_ = syscall.Kill(pid, sig)
}

// signalOne sends a signal to a process that was not waited for, and to nothing else.
func signalOne(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// freezeProcess stops a process that was not waited for, with its group, or else
// with what is found of its descendants.
func freezeProcess(pid int, grouped bool) {
	if grouped {
		signalProcess(pid, grouped, syscall.SIGSTOP)
	} else {
		stopTree(pid)
	}
}

// killProcess kills what freezeProcess stops.
func killProcess(pid int, grouped bool) {
	if grouped {
		signalProcess(pid, grouped, syscall.SIGKILL)
		return
	}
	for _, p := range stopTree(pid) {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
}

// groupExists reports whether a process group has members, living ones or others
// that nobody has waited for.
func groupExists(id int) bool {
	err := syscall.Kill(-id, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// The errors of execve(2) that a shell tells apart.
const (
	errNotExecutable = syscall.ENOEXEC // no format that the kernel knows: a script without "#!"
	errTooLong       = syscall.E2BIG
	errBusy          = syscall.ETXTBSY // open for writing, maybe by a process being forked right now
)
