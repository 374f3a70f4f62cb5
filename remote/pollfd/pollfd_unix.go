//go:build unix

package pollfd

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Waker ends waits that are under way, once and for all. Its methods may be
// called concurrently, except Close.
type Waker struct {
	r, w *os.File // a pipe, whose hang-up ends poll(2)

	mu     sync.Mutex
	woken  bool
	parked []*os.File // whose read deadline is how they are woken
}

// NewWaker returns a Waker. It fails where no descriptor can be had.
func NewWaker() (*Waker, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &Waker{r: r, w: w}, nil
}

// past is a deadline that ends every wait.
var past = time.Unix(1, 0)

// Wake ends all waits with w, also later ones. A second Wake does nothing.
func (w *Waker) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.woken {
		return
	}
	w.woken = true
	w.w.Close()
	for _, f := range w.parked {
		_ = f.SetReadDeadline(past)
	}
}

// Close frees w, after the last wait has returned, and leaves the files without a
// deadline.
func (w *Waker) Close() {
	w.Wake()
	w.r.Close()
	for _, f := range w.parked {
		_ = f.SetReadDeadline(time.Time{})
	}
	w.parked = nil
}

func (w *Waker) isWoken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.woken
}

// park makes Wake end waits for f in the runtime's poller. It returns false for
// a file that is not there.
func (w *Waker) park(f *os.File) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	deadline := time.Time{}
	if w.woken {
		deadline = past
	}
	if f.SetReadDeadline(deadline) != nil {
		return false
	}
	w.parked = append(w.parked, f)
	return true
}

// Reader returns r in a form whose Read returns ErrWoken after Wake, if r is an
// *os.File; else it returns r itself.
func (w *Waker) Reader(r io.Reader) io.Reader {
	f, ok := r.(*os.File)
	if !ok {
		return r
	}
	return &reader{file: f, waker: w, parks: w.park(f)}
}

// reader reads a file only when a read will not block.
type reader struct {
	file  *os.File
	waker *Waker
	parks bool
}

func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	raw, err := r.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	n, err := 0, errBlocking
	if r.parks {
		n, err = r.readParked(raw, p)
	}
	if err == errBlocking {
		n, err = r.readPolled(raw, p)
	}
	var errno unix.Errno
	switch {
	case errors.As(err, &errno):
		return 0, &os.PathError{Op: "read", Path: r.file.Name(), Err: errno}
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// errBlocking is a file that cannot be waited for in the runtime's poller: its
// description does not have O_NONBLOCK, since it was handed to a child by its
// number, or somebody else's deadline for it has passed.
var errBlocking = errors.New("blocking file")

func (r *reader) readParked(raw syscall.RawConn, p []byte) (n int, err error) {
	waitErr := raw.Read(func(fd uintptr) bool {
		if r.waker.isWoken() {
			err = ErrWoken
			return true
		}
		if flags, ferr := unix.FcntlInt(fd, unix.F_GETFL, 0); ferr != nil || flags&unix.O_NONBLOCK == 0 {
			err = errBlocking
			return true
		}
		n, err = read(fd, p)
		return err != unix.EAGAIN
	})
	switch {
	case errors.Is(waitErr, os.ErrDeadlineExceeded) && r.waker.isWoken():
		return 0, ErrWoken
	case errors.Is(waitErr, os.ErrDeadlineExceeded):
		return 0, errBlocking
	case waitErr != nil:
		return 0, waitErr
	}
	return n, err
}

func (r *reader) readPolled(raw syscall.RawConn, p []byte) (n int, err error) {
	for {
		if err := r.waker.poll(r.file, unix.POLLIN); err != nil {
			return 0, err
		}
		if cerr := raw.Control(func(fd uintptr) { n, err = readNow(fd, p) }); cerr != nil {
			return 0, cerr
		}
		switch err {
		case unix.EAGAIN: // another reader was faster
		case errTaken:
			if !r.waker.pause(takenInterval) {
				return 0, ErrWoken
			}
		default:
			return n, err
		}
	}
}

// errTaken is a terminal that another program reads.
var errTaken = errors.New("another program reads the terminal")

// takenInterval is how often is asked whether a terminal is still another program's.
const takenInterval = 100 * time.Millisecond

// pause waits for a time. It returns false when woken first.
func (w *Waker) pause(d time.Duration) bool {
	wake, err := w.r.SyscallConn()
	if err != nil {
		return false
	}
	passed := false
	err = wake.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, _ = unix.Poll(fds, int(d.Milliseconds()))
		passed = fds[0].Revents == 0
	})
	return err == nil && passed
}

func read(fd uintptr, p []byte) (int, error) {
	for {
		n, err := unix.Read(int(fd), p)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// AwaitReaderGone waits until nobody reads what is written to out any more, and
// returns true; false when woken first, and at once when out is not a pipe or a
// socket.
func (w *Waker) AwaitReaderGone(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return false
	}
	if info.Mode()&os.ModeSocket != 0 || !w.park(f) {
		return w.poll(f, 0) == nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	// The writing end of a pipe is never readable, so that what ends this wait is
	// an error of the pipe: its last reader has gone.
	err = raw.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		_, perr := unix.Poll(fds, 0)
		gone = perr == nil && fds[0].Revents != 0
		return gone || w.isWoken()
	})
	if errors.Is(err, os.ErrDeadlineExceeded) && !w.isWoken() { // somebody else's
		return w.poll(f, 0) == nil
	}
	return err == nil && gone
}

// poll waits until one of events, or an error or hang-up, is there for f. It
// returns ErrWoken when the waker woke first.
func (w *Waker) poll(f *os.File, events int16) error {
	if w.isWoken() {
		return ErrWoken
	}
	file, err := f.SyscallConn()
	if err != nil {
		return err
	}
	wake, err := w.r.SyscallConn()
	if err != nil {
		return ErrWoken
	}
	result := ErrWoken
	var fileErr error
	if err := wake.Control(func(wakeFD uintptr) {
		fileErr = file.Control(func(fd uintptr) { result = pollBoth(int32(fd), events, int32(wakeFD)) })
	}); err != nil {
		return ErrWoken
	}
	if fileErr != nil {
		return fileErr
	}
	return result
}

func pollBoth(fd int32, events int16, wake int32) error {
	fds := []unix.PollFd{{Fd: fd, Events: events}, {Fd: wake, Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
		case err != nil:
			return os.NewSyscallError("poll", err)
		case fds[1].Revents != 0:
			return ErrWoken
		case fds[0].Revents != 0:
			return nil
		}
	}
}
