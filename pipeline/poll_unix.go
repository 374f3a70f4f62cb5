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

// awaitInput waits until a file can be read, or is at its end, or the context is
// done.
func awaitInput(ctx context.Context, f *os.File) { poll(ctx, f, unix.POLLIN) }

// usageNow returns what this process and its children have used until now.
func usageNow() usage {
	now := usage{at: time.Now()}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			now.user += time.Duration(r.Utime.Nano())
			now.system += time.Duration(r.Stime.Nano())
		}
	}
	return now
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
