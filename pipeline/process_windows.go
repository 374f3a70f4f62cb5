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
func signalProcess(p *os.Process, _ bool, _ syscall.Signal) { _ = p.Kill() }

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
