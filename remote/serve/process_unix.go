//go:build unix

package serve

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"rpipe/remote/wire"
)

// joinGroup makes cmd start in the process group id, or, for 0, in one of its own.
func joinGroup(cmd *exec.Cmd, id int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: id}
	dieWithParent(cmd.SysProcAttr)
}

// signalGroup sends a signal by its name without SIG. The group may be empty.
func signalGroup(id int, name string) {
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		_ = unix.Kill(-id, sig)
	}
}

// killGroup kills the group, which is stopped first: no process of it acts on what
// the death of another does.
func killGroup(id int) {
	_ = unix.Kill(-id, unix.SIGSTOP)
	_ = unix.Kill(-id, unix.SIGKILL)
}

// endOf says how a process that was waited for has ended.
func endOf(program int, state *os.ProcessState) wire.End {
	e := wire.End{Program: program, User: state.UserTime(), System: state.SystemTime()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		e.MaxRSS = uint64(usage.Maxrss) * maxRSSUnit
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok {
		setStatus(&e, status)
	}
	return e
}

// setStatus sets what wait(2) says of the end.
func setStatus(e *wire.End, status syscall.WaitStatus) {
	if status.Signaled() {
		e.Signal = signalName(status.Signal())
	} else {
		e.Status = uint8(status.ExitStatus())
	}
}

// signalName returns a signal's name without SIG. Real-time signals have none
// there; they get their number's.
func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); len(name) > 3 {
		return name[3:]
	}
	return "RT" + strconv.Itoa(int(sig))
}
