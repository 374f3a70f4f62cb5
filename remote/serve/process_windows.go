package serve

import (
	"os"
	"os/exec"

	"rpipe/remote/wire"
)

// joinGroup does nothing: a session has one process here.
func joinGroup(*exec.Cmd, int) {}

// signalGroup ends the process: this system has no signals.
func signalGroup(id int, _ string) {
	if p, err := os.FindProcess(id); err == nil {
		_ = p.Kill()
		_ = p.Release()
	}
}

// killGroup ends the process.
func killGroup(id int) { signalGroup(id, "KILL") }

// exitNotice is how the exit of a process is noticed: it is reaped.
type exitNotice struct{}

// prepare does nothing.
func (exitNotice) prepare(*exec.Cmd) {}

// await returns when cmd's process has exited and is reaped.
func (exitNotice) await(cmd *exec.Cmd) { _ = cmd.Wait() }

// endOf says how a process that was waited for has ended.
func endOf(program int, state *os.ProcessState) wire.End {
	return wire.End{
		Program: program,
		Status:  uint8(state.ExitCode()),
		User:    state.UserTime(),
		System:  state.SystemTime(),
	}
}
