package serve

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"rpipe/remote/pollfd"
)

// maxRSSUnit is the unit of ru_maxrss in bytes (getrusage(2)).
const maxRSSUnit = 1024

// exitNotice is how the exit of a process is noticed: by its pidfd.
type exitNotice struct {
	pidfd int
}

// prepare makes cmd, which has its SysProcAttr, start with a pidfd.
func (n *exitNotice) prepare(cmd *exec.Cmd) {
	n.pidfd = -1
	cmd.SysProcAttr.PidFD = &n.pidfd
}

// await returns when cmd's process has exited, and leaves it a zombie.
func (n *exitNotice) await(cmd *exec.Cmd) {
	if pollfd.AwaitExit(n.pidfd) {
		return
	}
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

// dieWithParent makes the kernel kill the process when the thread that started it
// ends (PR_SET_PDEATHSIG(2const)); the Go runtime ends threads only with the
// process, as no goroutine here is locked to one.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
