package reaper

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// exits tells when processes have exited: an epoll(7) of their pidfds for all of
// them, where os.Process.Wait would keep a thread for each.
type exits struct {
	epoll *os.File
	raw   syscall.RawConn
	done  chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan<- struct{}
}

// newExits starts a goroutine, which close ends.
func newExits() (*exits, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime's poller waits for it
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	e := &exits{epoll: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{}), waiting: make(map[uint64]chan<- struct{})}
	if e.raw, err = e.epoll.SyscallConn(); err != nil {
		e.epoll.Close()
		return nil, err
	}
	go func() {
		defer close(e.done)
		e.run()
	}()
	return e, nil
}

// close ends it. Nobody may wait any more. It may be called again.
func (e *exits) close() {
	e.epoll.Close()
	<-e.done
}

func (e *exits) run() {
	events := make([]unix.EpollEvent, 64)
	for {
		n := 0
		if err := e.raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0)
			return n > 0
		}); err != nil {
			return
		}
		for _, event := range events[:n] {
			id := uint64(uint32(event.Fd)) | uint64(uint32(event.Pad))<<32
			e.mu.Lock()
			if c := e.waiting[id]; c != nil {
				close(c)
				delete(e.waiting, id)
			}
			e.mu.Unlock()
		}
	}
}

// await returns when a child has exited, which nobody may have waited for, or at
// once where the system cannot tell in this way: Wait knows in any case.
func (e *exits) await(p *os.Process) {
	exited := make(chan struct{})
	e.mu.Lock()
	e.last++
	id := e.last
	e.waiting[id] = exited
	e.mu.Unlock()
	added := false
	_ = p.WithHandle(func(pidfd uintptr) {
		_ = e.raw.Control(func(epoll uintptr) {
			event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
			added = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, int(pidfd), &event) == nil
		})
	})
	if added {
		<-exited
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, id)
}
