package pipeline

import (
	"os"
	"syscall"
)

// processAttributes are those of a local program.
func processAttributes(grouped bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{}
	if grouped {
		attr.CreationFlags = syscall.CREATE_NEW_PROCESS_GROUP
	}
	return attr
}

// processStatus returns the status that a shell has for a process that ended.
// Windows has 32 bits for it; what does not fit is 1, so that it stays a failure.
func processStatus(state *os.ProcessState) int {
	code := state.ExitCode()
	if code < 0 || code > 255 {
		return 1
	}
	return code
}

// signalProcess ends a process: Windows has no signals that it could take.
func signalProcess(pid int, grouped bool, _ syscall.Signal) { killProcess(pid, grouped) }

// signalOne ends a process, unless the signal only asks for it.
func signalOne(pid int, sig syscall.Signal) error {
	if sig != 0 {
		killProcess(pid, false)
	}
	return nil
}

// killProcess ends a process.
func killProcess(pid int, _ bool) {
	if p, err := os.FindProcess(pid); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// freezeProcess ends a process: it cannot be stopped.
func freezeProcess(pid int, grouped bool) { killProcess(pid, grouped) }

// dieWithParent does nothing: there is no such attribute here.
func dieWithParent(*syscall.SysProcAttr) {}

// A kin is what a process has started, which cannot be found here.
type kin struct{}

func kinOf(int, bool) *kin           { return &kin{} }
func (k *kin) signal(syscall.Signal) {}
func (k *kin) alive() bool           { return false }
func (k *kin) close()                {}

func awaitExit(int) bool { return false }

// The errors of CreateProcess that a shell tells apart.
const (
	errNotExecutable = syscall.Errno(193) // ERROR_BAD_EXE_FORMAT
	errTooLong       = syscall.Errno(206) // ERROR_FILENAME_EXCED_RANGE
	errBusy          = syscall.Errno(32)  // ERROR_SHARING_VIOLATION
)
