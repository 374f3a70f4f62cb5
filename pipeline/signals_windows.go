package pipeline

import (
	"errors"
	"syscall"
)

func isQuit(s syscall.Signal) bool         { return s == syscall.SIGQUIT }
func isContinue(syscall.Signal) bool       { return false }
func isStop(syscall.Signal) bool           { return false }
func ignoredByDefault(syscall.Signal) bool { return false }

const (
	signalChild    = syscall.Signal(0)
	continueSignal = syscall.Signal(0)
	lastRealTime   = 0
)

func sendSignal(int, syscall.Signal) error { return errors.ErrUnsupported }
func ownGroup() int                        { return 0 }
func stopSelf(syscall.Signal) error        { return errors.ErrUnsupported }

func signalName(n int) string {
	switch syscall.Signal(n) {
	case syscall.SIGHUP:
		return "HUP"
	case syscall.SIGINT:
		return "INT"
	case syscall.SIGQUIT:
		return "QUIT"
	case syscall.SIGILL:
		return "ILL"
	case syscall.SIGTRAP:
		return "TRAP"
	case syscall.SIGABRT:
		return "ABRT"
	case syscall.SIGBUS:
		return "BUS"
	case syscall.SIGFPE:
		return "FPE"
	case syscall.SIGKILL:
		return "KILL"
	case syscall.SIGSEGV:
		return "SEGV"
	case syscall.SIGPIPE:
		return "PIPE"
	case syscall.SIGALRM:
		return "ALRM"
	case syscall.SIGTERM:
		return "TERM"
	}
	return ""
}
