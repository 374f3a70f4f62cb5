package pollfd

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// readNow reads without waiting, where the file can do that: although poll(2) said
// that there is something, another reader may have been faster. It returns EAGAIN
// then (preadv2(2), RWF_NOWAIT), and errTaken for a terminal that another program has
// taken.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := unix.Preadv2(int(fd), [][]byte{p}, -1, unix.RWF_NOWAIT)
		switch err {
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS, unix.EINVAL:
			return readTerminal(fd, p)
		default:
			return max(n, 0), err
		}
	}
}

// readTerminal is readNow for a terminal, which does not know RWF_NOWAIT: it is opened
// once more, without waiting. One that does not give whole lines any more is another
// program's, as less(1), which reads keys (termios(3), ICANON). What is no terminal
// is read as it is.
func readTerminal(fd uintptr, p []byte) (int, error) {
	state, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
	if err != nil {
		return read(fd, p)
	}
	if state.Lflag&unix.ICANON == 0 {
		return 0, errTaken
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(fd)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return read(fd, p)
	}
	defer unix.Close(again)
	return read(uintptr(again), p)
}
