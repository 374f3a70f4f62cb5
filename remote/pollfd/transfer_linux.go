package pollfd

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Send moves in, a pipe or a regular file, to a stream socket without a copy in
// user space, until in ends: splice(2), sendfile(2). What the socket has no room
// for stays in the pipe, or behind the file's offset. sent is told of each step. in may be blocking or not; conn
// must be one of package net's.
//
// The error is nil at the end of in, ErrWoken after Wake, errors.ErrUnsupported
// where the kernel cannot do this with such files, after which the rest of in may be
// copied, and else that of the connection.
func (w *Waker) Send(conn syscall.Conn, in *os.File, sent func(n int64)) error {
	info, err := in.Stat()
	if err != nil {
		return errors.ErrUnsupported // a copy will tell
	}
	var step func(in, conn int) (int64, error)
	switch {
	case info.Mode()&os.ModeNamedPipe != 0:
		step = splice
	case info.Mode().IsRegular():
		step = sendfile
	default:
		return errors.ErrUnsupported
	}
	return w.transfer(in, conn, step, sent)
}

// Receive moves what comes from a stream socket to out, a pipe, without a copy in user
// space, until the socket is at its end. No more is taken from the socket than
// out has room for. received is told of each step. out may be blocking or not; conn must be one of package net's.
//
// The error is nil at the end, ErrWoken after Wake, errors.ErrUnsupported as for Send,
// an *fs.PathError with EPIPE where nobody reads out any more, and else that of
// the connection.
func (w *Waker) Receive(out *os.File, conn syscall.Conn, received func(n int64)) error {
	info, err := out.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return errors.ErrUnsupported
	}
	err = w.transfer(conn, out, splice, received)
	if errors.Is(err, unix.EPIPE) { // a socket that is read gives no such error
		return &os.PathError{Op: "write", Path: out.Name(), Err: unix.EPIPE}
	}
	return err
}

// AwaitHangup waits until the peer of conn takes nothing more and says nothing more,
// and returns true; false when woken first. It does not see that of a TCP peer
// that has only sent its FIN: that may still read. The socket's error stays for who
// reads or writes.
func (w *Waker) AwaitHangup(conn syscall.Conn) bool {
	err := w.control(conn, conn, func(fd, _, wake int) error { return pollBoth(int32(fd), 0, int32(wake)) })
	return err == nil
}

// transfer takes steps until one moves nothing, and waits where one would block.
func (w *Waker) transfer(from, to syscall.Conn, step func(from, to int) (int64, error), moved func(n int64)) error {
	return w.control(from, to, func(from, to, wake int) error {
		for blocked := 0; ; {
			if err := pollBoth(int32(from), unix.POLLIN, int32(wake)); err != nil {
				return err
			}
			n, err := step(from, to)
			switch {
			case n > 0:
				moved(n)
				blocked = 0
				continue
			case err == nil:
				return nil
			case err == unix.EINTR:
				continue
			case err != unix.EAGAIN:
				return err
			}
			if err := pollBoth(int32(to), unix.POLLOUT, int32(wake)); err != nil {
				return err
			}
			// Both are ready, and yet it may block: another reader was faster,
			// or the kernel is short of memory for sockets.
			if blocked++; blocked > 2 {
				fds := []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}
				_, _ = unix.Poll(fds, min(blocked, 10)) // ms
			}
		}
	})
}

// atOnce is the most that one step moves.
const atOnce = 1 << 20

// splice moves bytes between a pipe and a socket. The pipe does not block; the
// socket does not either, being one of package net's.
func splice(from, to int) (int64, error) {
	n, err := unix.Splice(from, nil, to, nil, atOnce, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP {
		return 0, errors.ErrUnsupported
	}
	return n, err
}

// sendfile moves bytes from a file to a socket. Errors that are not a socket's are left
// to a copy, which meets them again and can tell whose they are.
func sendfile(from, to int) (int64, error) {
	n, err := unix.Sendfile(to, from, nil, atOnce)
	switch err {
	case nil, unix.EAGAIN, unix.EINTR, unix.EPIPE, unix.ECONNRESET, unix.ECONNABORTED, unix.ETIMEDOUT,
		unix.ENOTCONN, unix.EHOSTUNREACH, unix.EHOSTDOWN, unix.ENETUNREACH, unix.ENETDOWN, unix.ENETRESET:
		return int64(n), err
	}
	return 0, errors.ErrUnsupported
}
