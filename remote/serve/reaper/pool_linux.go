package reaper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How many reapers wait for a session: as soon as there are fewer than minIdle,
// one is started ahead; those above maxIdle end.
const (
	minIdle = 1
	maxIdle = 4
)

// reaperEnviron makes the Go runtime of a reaper small: no descriptors for what bounds GOMAXPROCS,
// and no collection every two minutes, which touches twice the memory, but as soon as there is
// much garbage. Programs do not get it.
var reaperEnviron = []string{"GOMAXPROCS=1", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GOGC=off", "GOMEMLIMIT=16MiB"}

// socketFD is the reaper's end of the connection, in the reaper.
const socketFD = 3

var (
	errClosed = errors.New("the pool of reapers is closed")
	errNested = errors.New("a reaper starts no reapers: its main has to call reaper.Main before all else")
)

// Options are those of a Pool.
type Options struct {
	// Alone says that this process starts no children but the pool's. It is then a
	// subreaper too, and kills what a reaper that was killed leaves behind.
	// It has no effect where this process has children already, or is the init of
	// its PID namespace (pid_namespaces(7)): then there may be others.
	Alone bool
}

// Pool starts reapers, lends them, and uses them again. Its methods may be called
// concurrently.
type Pool struct {
	alone bool
	wg    sync.WaitGroup // of starts and of processes
	exits *exits         // nil: a thread waits for each process

	mu       sync.Mutex
	idle     []*Reaper
	waiting  []chan<- lent
	starting int
	closed   error // why there are no more reapers

	forks sync.Mutex   // held where a child that alive does not have may be a reaper
	alive map[int]bool // the processes, until they are waited for
}

// lent is what Take waits for.
type lent struct {
	reaper *Reaper
	err    error
}

// NewPool starts a first reaper ahead. Close must follow.
//
// The program's main must call Main where Asked says so. One that does not is started
// once, in vain, and not for ever: in such a process the pool has no reapers.
func NewPool(o Options) *Pool {
	p := &Pool{alive: make(map[int]bool)}
	if Asked() {
		p.closed = errNested
		return p
	}
	if o.Alone && os.Getpid() != 1 && len(children(os.Getpid())) == 0 {
		p.alone = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil
	}
	if e, err := newExits(); err == nil {
		p.exits = e
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startMore()
	return p
}

// Take lends a reaper, which is the caller's until it calls Close. It blocks while
// one is started, for some seconds at most; the error says why there is none.
func (p *Pool) Take() (*Reaper, error) {
	p.mu.Lock()
	if err := p.closed; err != nil {
		p.mu.Unlock()
		return nil, err
	}
	for len(p.idle) > 0 {
		r := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if r.Lost() {
			p.retire(r)
			continue
		}
		p.startMore()
		p.mu.Unlock()
		return r, nil
	}
	ready := make(chan lent, 1)
	p.waiting = append(p.waiting, ready)
	p.startMore()
	p.mu.Unlock()
	l := <-ready
	return l.reaper, l.err
}

// Close ends the reapers and waits until they are gone. Those that are lent must be
// given back: it waits for that too.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = errClosed
	idle := p.idle
	p.idle = nil
	for _, r := range idle {
		p.retire(r)
	}
	p.refuse(errClosed)
	p.mu.Unlock()
	p.wg.Wait()
	if p.exits != nil {
		p.exits.close()
	}
}

// startMore starts as many reapers as are waited for, and those ahead, though not
// more at a time than make sense: meanwhile one may come back. p.mu is held.
func (p *Pool) startMore() {
	for p.starting < min(len(p.waiting)+minIdle-len(p.idle), runtime.GOMAXPROCS(0)) {
		p.starting++
		p.wg.Go(func() {
			r, err := p.start()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.starting--
			if err != nil {
				p.refuse(err)
				return
			}
			p.add(r)
		})
	}
}

// put takes a reaper back; one that is not clean ends.
func (p *Pool) put(r *Reaper, clean bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !clean {
		p.retire(r)
		return
	}
	p.add(r)
}

// add takes a reaper that can be used. p.mu is held.
func (p *Pool) add(r *Reaper) {
	switch {
	case p.closed != nil:
		p.retire(r)
		return
	case len(p.waiting) > 0:
		p.waiting[0] <- lent{reaper: r}
		p.waiting = p.waiting[1:]
	case len(p.idle) < maxIdle:
		p.idle = append(p.idle, r)
	default:
		p.retire(r)
	}
	p.startMore()
}

// refuse tells all who wait that there is none. p.mu is held.
func (p *Pool) refuse(err error) {
	for _, w := range p.waiting {
		w <- lent{err: err}
	}
	p.waiting = nil
}

// retire makes a reaper end, which it is given some time for. p.mu is held.
func (p *Pool) retire(r *Reaper) {
	r.conn.Close()
	select {
	case <-r.exited:
		return
	default:
	}
	p.wg.Go(func() {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-r.exited:
		case <-late.C:
			_ = r.cmd.Process.Kill()
		}
	})
}

// start starts a reaper, and returns it when it is ready.
func (p *Pool) start() (*Reaper, error) {
	r, err := p.spawn()
	if err != nil {
		return nil, fmt.Errorf("cannot start a reaper: %w", err)
	}
	_ = r.conn.SetReadDeadline(time.Now().Add(patience))
	m, err := receive(r.conn)
	if err == nil && m.kind == kindReady {
		var numbers []uint32
		if numbers, err = decodeNumbers(m.body, 1); err == nil {
			r.thread = int(numbers[0])
		}
	}
	if err != nil || r.thread == 0 {
		_ = r.fail(errDied)
		r.conn.Close()
		return nil, errors.New("cannot start a reaper: it does not answer")
	}
	_ = r.conn.SetReadDeadline(time.Time{})
	return r, nil
}

func (p *Pool) spawn() (*Reaper, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "reaper"), os.NewFile(uintptr(fds[1]), "daemon")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	r := &Reaper{pool: p, conn: conn.(*net.UnixConn), exited: make(chan struct{})}
	r.cmd = &exec.Cmd{
		Path:       "/proc/self/exe", // also where the file has been replaced since
		Args:       []string{Name},
		Env:        reaperEnviron,
		Stderr:     os.Stderr, // for the Go runtime
		ExtraFiles: []*os.File{theirs},
		// No terminal's signals, and no process of its session that is not below it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	p.forks.Lock()
	defer p.forks.Unlock()
	if err := r.cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	p.alive[r.cmd.Process.Pid] = true
	p.wg.Go(func() { p.bury(r) })
	return r, nil
}

// bury waits for a reaper's process, and kills what it may have left: the kernel
// has killed the programs.
func (p *Pool) bury(r *Reaper) {
	if p.exits != nil {
		p.exits.await(r.cmd.Process)
	}
	_ = r.cmd.Wait() // however it ended
	r.mu.Lock()
	group := r.group
	r.mu.Unlock()
	p.forks.Lock()
	delete(p.alive, r.cmd.Process.Pid)
	// As long as others of the group live, its number is theirs.
	if group != 0 {
		_ = unix.Kill(-group, unix.SIGSTOP)
	}
	if p.alone {
		freeze(p.alive)
	}
	if group != 0 {
		_ = unix.Kill(-group, unix.SIGKILL)
	}
	if p.alone {
		sweep(p.alive)
	}
	p.forks.Unlock()
	close(r.exited)
}
