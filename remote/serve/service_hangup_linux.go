package serve

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// hangups tells of connections that fail while nobody reads or writes them: an
// epoll(7) of its own for all of them, without a thread.
type hangups struct {
	epoll *os.File
	done  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	last    uint64
	watched map[uint64]func(failed bool)
}

// newHangups starts a goroutine, which close ends.
func newHangups() (*hangups, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	h := &hangups{epoll: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{}), watched: make(map[uint64]func(bool))}
	raw, err := h.epoll.SyscallConn()
	if err != nil {
		h.epoll.Close()
		return nil, err
	}
	go func() {
		defer close(h.done)
		h.run(raw)
	}()
	return h, nil
}

// close ends it. No connection may be watched any more.
func (h *hangups) close() {
	h.epoll.Close()
	<-h.done
}

func (h *hangups) run(raw syscall.RawConn) {
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		if err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		}); err != nil {
			return
		}
		for _, e := range events[:n] {
			h.mu.Lock()
			f := h.watched[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]
			h.mu.Unlock()
			if f != nil {
				f(e.Events&unix.EPOLLERR != 0)
			}
		}
	}
}

// watch calls f, once, when conn has an error that nobody has taken yet, or when
// both of its directions are over. After the function that it returns, which must be
// called before conn is closed, f is not begun any more.
func (h *hangups) watch(conn syscall.Conn, f func(failed bool)) (unwatch func()) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return func() {}
	}
	h.mu.Lock()
	h.last++
	id := h.last
	h.watched[id] = f
	h.mu.Unlock()
	h.control(raw, unix.EPOLL_CTL_ADD, &unix.EpollEvent{
		Events: unix.EPOLLET | unix.EPOLLONESHOT, // errors and hang-ups come unasked
		Fd:     int32(uint32(id)),
		Pad:    int32(uint32(id >> 32)),
	})
	return func() {
		h.control(raw, unix.EPOLL_CTL_DEL, nil)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watched, id)
	}
}

// control changes what is watched. Where it fails, a failure shows with the next byte.
func (h *hangups) control(raw syscall.RawConn, op int, event *unix.EpollEvent) {
	epoll, err := h.epoll.SyscallConn()
	if err != nil {
		return
	}
	_ = epoll.Control(func(epfd uintptr) {
		_ = raw.Control(func(fd uintptr) { _ = unix.EpollCtl(int(epfd), op, int(fd), event) })
	})
}
