package pollfd

import "golang.org/x/sys/unix"

// readNow reads without waiting, where the file can do that: although poll(2) said
// that there is something, another reader may have been faster. It returns EAGAIN
// then. A terminal may wait (preadv2(2), RWF_NOWAIT).
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := unix.Preadv2(int(fd), [][]byte{p}, -1, unix.RWF_NOWAIT)
		switch err {
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL:
			return read(fd, p)
		default:
			return max(n, 0), err
		}
	}
}
