//go:build unix

package pipeline

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollSlice bounds one poll(2), so that the end of the context is seen.
const pollSlice = 50 * time.Millisecond

// poll waits until a file is ready for events, or has an error or a hang-up, or
// the context is done, and returns what it is ready for; 0 if that cannot be
// known.
func poll(ctx context.Context, f *os.File, events int16) (ready int16) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	for again := true; again && ctx.Err() == nil; {
		err := conn.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
			n, err := unix.Poll(fds, int(pollSlice.Milliseconds()))
			ready = fds[0].Revents
			again = err == unix.EINTR || err == unix.EAGAIN || err == nil && n == 0
		})
		if err != nil {
			return 0
		}
	}
	return ready
}

// readerGone waits until a file can be written to, or the context is done, and
// reports whether nobody will read what is written.
func readerGone(ctx context.Context, f *os.File) bool {
	return poll(ctx, f, unix.POLLOUT)&unix.POLLERR != 0
}

// usageNow returns what this process and its children have used until now.
func usageNow() usage {
	own, children := usedNow()
	return usage{at: time.Now(), user: own.user + children.user, system: own.system + children.system}
}

// usedNow returns what this process has used, and what its children that have ended.
func usedNow() (own, children usage) {
	for who, u := range map[int]*usage{unix.RUSAGE_SELF: &own, unix.RUSAGE_CHILDREN: &children} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			u.user, u.system = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
		}
	}
	return own, children
}

// noReader reports whether nobody will read what is written to a file, without
// waiting.
func noReader(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	err = conn.Control(func(fd uintptr) { gone = hasNoReader(int(fd)) })
	return err == nil && gone
}

func hasNoReader(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
		}
	}
}

// A pipeID is the identity of a pipe that several files are the ends of; zero
// for none.
type pipeID struct {
	device, inode uint64
	path          string // of a FIFO of the script, whose inode another one may get
}

// pipeOf returns the identity of a pipe, zero for anything else.
func pipeOf(stream any) pipeID {
	f, ok := stream.(*os.File)
	if !ok || f == nil {
		return pipeID{}
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return pipeID{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return pipeID{}
	}
	return pipeID{device: uint64(st.Dev), inode: uint64(st.Ino)}
}

// unblock lets a blocked open of a FIFO return, by being its other side for a
// moment.
func unblock(path string) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	syscall.Close(fd)
}

// isReader reports whether a stream is a file that can be read.
func isReader(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok || f == nil {
		return false
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	reads := false
	err = conn.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		reads = err == nil && flags&unix.O_ACCMODE != unix.O_WRONLY
	})
	return err == nil && reads
}

// awaitInputUntil waits until a file can be read, or is at its end, but no longer than to
// a deadline; zero is none. The error is errTimeout, or that of the context.
func awaitInputUntil(ctx context.Context, f *os.File, deadline time.Time) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil // a read will tell
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		slice := pollSlice
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return errTimeout
			}
			slice = min(slice, left+time.Millisecond)
		}
		n := 0
		if err := conn.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err = unix.Poll(fds, int(slice.Milliseconds())); err == unix.EINTR || err == unix.EAGAIN {
				n, err = 0, nil
			}
		}); err != nil || n > 0 {
			return nil
		}
		if err != nil {
			return nil
		}
	}
}

// available returns how many bytes of a file can be read without waiting, 0 if that
// cannot be known.
func available(f *os.File) int {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), fionread) }) != nil || err != nil {
		return 0
	}
	return n
}

// readyNow reports whether a read of a file would not wait: also at its end.
func readyNow(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	ready := false
	err = conn.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		ready = err == nil && n > 0
	})
	return err == nil && ready
}

// isTerminal reports whether a file is a terminal.
func isTerminal(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = conn.Control(func(fd uintptr) {
		_, err := unix.IoctlGetTermios(int(fd), getTermios)
		is = err == nil
	})
	return err == nil && is
}

// quiet makes a terminal echo what is typed, or not, and give lines, or each byte. It
// returns what makes it as it was.
func quiet(f *os.File, echo, lines bool) (restore func()) {
	conn, err := f.SyscallConn()
	if err != nil {
		return func() {}
	}
	var was *unix.Termios
	set := func(t *unix.Termios) {
		_ = conn.Control(func(fd uintptr) { _ = unix.IoctlSetTermios(int(fd), setTermios, t) })
	}
	_ = conn.Control(func(fd uintptr) { was, _ = unix.IoctlGetTermios(int(fd), getTermios) })
	if was == nil {
		return func() {}
	}
	now := *was
	if !echo {
		now.Lflag &^= unix.ECHO
	}
	if !lines {
		now.Lflag &^= unix.ICANON
		now.Cc[unix.VMIN], now.Cc[unix.VTIME] = 1, 0
	}
	set(&now)
	return func() { set(was) }
}
