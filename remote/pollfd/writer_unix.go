//go:build unix

package pollfd

import (
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Writer returns out in a form whose Write returns ErrWoken after Wake, with the
// number of bytes written by then, if out is an *os.File; else it returns out itself.
// A Write to a pipe or a socket that nobody reads fails with EPIPE, also where that is the
// standard output of this process. A terminal that has room for a part only, and a
// disk, may hold a Write back.
func (w *Waker) Writer(out io.Writer) io.Writer {
	f, ok := out.(*os.File)
	if !ok {
		return out
	}
	wr := &writer{file: f, waker: w, most: unlimited}
	info, err := f.Stat()
	if err != nil {
		return wr
	}
	switch mode := info.Mode(); {
	case mode&os.ModeSocket != 0:
		wr.socket = true
	case mode&os.ModeNamedPipe != 0, mode&os.ModeCharDevice != 0 && IsTerminal(f):
		wr.most = pipeBuf
	}
	return wr
}

const (
	// pipeBuf is what a pipe takes without blocking when poll(2) says that it
	// takes anything: POSIX's least PIPE_BUF.
	pipeBuf   = 512
	unlimited = 1 << 20
)

// writer writes to a file only when a write will not block.
type writer struct {
	file   *os.File
	waker  *Waker
	most   int // bytes for one write(2) to a blocking description
	socket bool
}

func (w *writer) Write(p []byte) (written int, err error) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	for len(p) > 0 {
		if err := w.waker.poll(w.file, unix.POLLOUT); err != nil {
			return written, err
		}
		n, err := 0, error(nil)
		if cerr := raw.Control(func(fd uintptr) { n, err = w.write(int(fd), p) }); cerr != nil {
			return written, cerr
		}
		written += n
		p = p[n:]
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return written, &os.PathError{Op: "write", Path: w.file.Name(), Err: err}
		}
	}
	return written, nil
}

func (w *writer) write(fd int, p []byte) (n int, err error) {
	switch flags, ferr := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); {
	case w.socket:
		n, err = unix.SendmsgN(fd, p, nil, nil, unix.MSG_DONTWAIT)
	case ferr == nil && flags&unix.O_NONBLOCK != 0:
		n, err = syscall.Write(fd, p)
	default:
		n, err = syscall.Write(fd, p[:min(len(p), w.most)])
	}
	return max(n, 0), err
}

// AwaitRoom waits until conn takes bytes, or has failed, so that none need be taken
// from an input before. It returns ErrWoken when woken first.
func (w *Waker) AwaitRoom(conn syscall.Conn) error {
	return w.control(conn, conn, func(fd, _, wake int) error {
		if w.isWoken() {
			return ErrWoken
		}
		return pollBoth(int32(fd), unix.POLLOUT, int32(wake))
	})
}

// control calls f with the descriptors of two files and of the waker, and keeps them
// from being closed meanwhile.
func (w *Waker) control(a, b syscall.Conn, f func(a, b, wake int) error) error {
	rawA, err := a.SyscallConn()
	if err != nil {
		return err
	}
	rawB, err := b.SyscallConn()
	if err != nil {
		return err
	}
	wake, err := w.r.SyscallConn()
	if err != nil {
		return ErrWoken
	}
	var errA, errB, result error
	err = wake.Control(func(wakeFD uintptr) {
		errA = rawA.Control(func(fdA uintptr) {
			errB = rawB.Control(func(fdB uintptr) { result = f(int(fdA), int(fdB), int(wakeFD)) })
		})
	})
	switch {
	case err != nil:
		return ErrWoken
	case errA != nil:
		return errA
	case errB != nil:
		return errB
	}
	return result
}
