package serve

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// atOnce is the most that one splice(2) moves.
const atOnce = 1 << 20

// spliceStream is copyStream by splice(2). No thread waits: the runtime's poller
// does. It returns errors.ErrUnsupported, and has moved nothing since, where the
// kernel cannot do this with such files.
func spliceStream(to, from syscall.Conn, moved *atomic.Int64) error {
	in, err := from.SyscallConn()
	if err != nil {
		return err
	}
	out, err := to.SyscallConn()
	if err != nil {
		return err
	}
	for blocked := 0; ; {
		var n int64
		var serr error
		err := in.Read(func(fd uintptr) bool {
			if err := out.Control(func(outFD uintptr) {
				n, serr = unix.Splice(int(fd), nil, int(outFD), nil, atOnce, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			}); err != nil {
				serr = err
			}
			// Where there is something to read, it is the other one that has no room.
			return serr != unix.EAGAIN || isReady(fd, unix.POLLIN)
		})
		if err != nil {
			return err
		}
		switch {
		case n > 0:
			moved.Add(n)
			blocked = 0
			continue
		case serr == nil:
			return nil
		case serr == unix.EINTR:
			continue
		case serr == unix.EINVAL || serr == unix.ENOSYS || serr == unix.EOPNOTSUPP:
			return errors.ErrUnsupported
		case serr != unix.EAGAIN:
			return os.NewSyscallError("splice", serr)
		}
		if err := out.Write(func(fd uintptr) bool { return isReady(fd, unix.POLLOUT) }); err != nil {
			return err
		}
		// Both are ready, and yet it may block: the kernel is short of memory for
		// sockets, or part of a page is all the room there is.
		if blocked++; blocked > 2 {
			time.Sleep(time.Duration(min(blocked, 10)) * time.Millisecond)
		}
	}
}

// isReady reports whether one of events, an error or a hang-up is there now.
func isReady(fd uintptr, events int16) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}
