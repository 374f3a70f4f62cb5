package pollfd

import (
	"os/exec"
	"syscall"
)

func preparePidfd(cmd *exec.Cmd, pidfd *int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: pidfd}
}

func awaitExit(pidfd int) bool { return AwaitExit(pidfd) }
