package pollfd

import (
	"os"

	"golang.org/x/sys/unix"
)

// AwaitExit returns when the child process whose pidfd (pidfd_open(2)) is given
// has exited, and leaves it a zombie. It closes pidfd. It returns false at once
// where the system cannot wait so: the caller waits in another way.
func AwaitExit(pidfd int) bool {
	if pidfd < 0 || unix.SetNonblock(pidfd, true) != nil {
		return false
	}
	f := os.NewFile(uintptr(pidfd), "pidfd")
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	exited := false
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			_, err := unix.Poll(fds, 0)
			if err != unix.EINTR {
				break
			}
		}
		exited = fds[0].Revents != 0
		return exited
	})
	return err == nil && exited
}
