//go:build unix && !linux

package serve

import (
	"os/exec"
	"syscall"
)

// maxRSSUnit is the unit of ru_maxrss in bytes (getrusage(2)).
const maxRSSUnit = 1

// exitNotice is how the exit of a process is noticed: it is reaped.
type exitNotice struct{}

// prepare does nothing.
func (exitNotice) prepare(*exec.Cmd) {}

// await returns when cmd's process has exited and is reaped.
func (exitNotice) await(cmd *exec.Cmd) { _ = cmd.Wait() }

// dieWithParent does nothing: this system cannot.
func dieWithParent(*syscall.SysProcAttr) {}
