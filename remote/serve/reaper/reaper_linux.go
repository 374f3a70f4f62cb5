package reaper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// patience is how long a reaper may take for what it can do at once: to take a
// message, to kill, to exit.
const patience = 5 * time.Second

var (
	// ErrKilled is why a program did not start: Kill came first.
	ErrKilled = errors.New("killed before it started")

	errDied  = errors.New("the reaper of its programs has died")
	errStuck = fmt.Errorf("its programs could not be killed in %v", patience)
	errOrder = errors.New("the reaper of its programs is out of step")
)

// Program is one program of a pipeline. Args holds argument zero too; Env is all of
// its environment.
type Program struct {
	Path      string
	Args, Env []string
}

// Pipeline is programs joined by pipes.
type Pipeline struct {
	Programs []Program // one at least
	Dir      string    // where they run

	// Stdin is the first program's, Stdout the last one's, Stderr that of all.
	// Input is the end of Stdin's pipe that is written to. All stay the caller's
	// to close, which may be done when Start returns.
	Stdin, Input, Stdout, Stderr *os.File
}

// Exit is how a program ended; the zero value for one that was not started.
type Exit struct {
	Status       syscall.WaitStatus
	User, System time.Duration
	MaxRSS       uint64 // in bytes
}

// Reaper is the parent of a session's programs. Start, AwaitExits, End and Close
// are called one after another; the other methods at any time before Close returns,
// concurrently too.
type Reaper struct {
	pool   *Pool
	cmd    *exec.Cmd
	conn   *net.UnixConn
	exited chan struct{} // closed when its process is gone, and the programs with it
	thread int           // the programs' parent, in the sense of PR_SET_PDEATHSIG(2const)

	exits []Exit // of the programs, started or not

	mu       sync.Mutex
	group    int  // of the programs, while running
	running  bool // from the message that starts to the one that nothing is left
	released bool
	killed   bool
	err      error // why it cannot be used any more
}

// Start starts the programs as one process group. It returns an error, or nil, for
// each of them: a system call's errno, or ErrKilled; the others run. The last
// result is why nothing runs.
func (r *Reaper) Start(p *Pipeline) ([]error, error) {
	errs := make([]error, len(p.Programs))
	r.exits = make([]Exit, len(p.Programs))
	body, err := p.encode()
	if err != nil {
		return nil, err
	}
	files, err := descriptors(p)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	if r.killed {
		r.mu.Unlock()
		for i := range errs {
			errs[i] = ErrKilled
		}
		return errs, nil
	}
	r.running = true
	r.write(message{kind: kindStart, body: body, files: files})
	r.mu.Unlock()
	m, err := r.receive(kindStarted, kindRefused)
	if err != nil {
		return nil, err
	}
	count := 1
	if m.kind == kindStarted {
		count += len(errs)
	}
	numbers, err := decodeNumbers(m.body, count)
	switch {
	case err != nil:
		return nil, r.fail(err)
	case m.kind == kindRefused:
		r.mu.Lock()
		r.running = false
		r.mu.Unlock()
		return nil, os.NewSyscallError("pipe2", syscall.Errno(numbers[0]))
	}
	r.mu.Lock()
	r.group = int(numbers[0])
	r.mu.Unlock()
	for i, errno := range numbers[1:] {
		if errno != 0 {
			errs[i] = syscall.Errno(errno)
		}
	}
	return errs, nil
}

// descriptors returns those of the files, the programs' own in blocking mode, as
// programs expect them.
func descriptors(p *Pipeline) ([]int, error) {
	input, err := p.Input.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if err := input.Control(func(f uintptr) { fd = int(f) }); err != nil {
		return nil, err
	}
	return []int{int(p.Stdin.Fd()), fd, int(p.Stdout.Fd()), int(p.Stderr.Fd())}, nil
}

// Signal sends a signal to the programs' group, if there is one. SIGKILL is Kill.
func (r *Reaper) Signal(sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		r.Kill()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running {
		r.write(message{kind: kindSignal, body: []byte{byte(sig)}})
	}
}

// Kill kills the programs and all that they have started, and keeps others from
// starting: all are stopped before the first is killed, so that none acts on the
// end of another. It does not wait. If they resist, AwaitExits returns all
// the same, after some seconds.
func (r *Reaper) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return
	}
	r.killed = true
	if r.running {
		r.write(message{kind: kindKill})
		_ = r.conn.SetReadDeadline(time.Now().Add(patience))
	}
}

// CloseInput closes the reaper's duplicate of Input: the input has ended, or nobody
// reads it. A second call does nothing.
func (r *Reaper) CloseInput() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running && !r.released {
		r.released = true
		r.write(message{kind: kindRelease})
	}
}

// AwaitExits returns when every program has exited, or the reaper is lost.
func (r *Reaper) AwaitExits() {
	if !r.isRunning() {
		return
	}
	if m, err := r.receive(kindExited, kindEnded); err == nil && m.kind == kindEnded {
		_ = r.ended(m)
	}
}

// End kills all that the programs have left behind, and returns how they ended.
// The error says that this cannot be known, since the reaper died or did not
// manage: then it was killed, and with it the programs as far as they can be.
func (r *Reaper) End() ([]Exit, error) {
	if r.isRunning() {
		r.mu.Lock()
		_ = r.conn.SetReadDeadline(time.Now().Add(patience))
		r.write(message{kind: kindEnd})
		r.mu.Unlock()
		m, err := r.receive(kindEnded)
		if err == nil {
			err = r.ended(m)
		}
		if err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exits, r.err
}

func (r *Reaper) isRunning() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

// ended takes the last message of a session.
func (r *Reaper) ended(m message) error {
	exits, err := decodeExits(m.body, len(r.exits))
	if err != nil {
		return r.fail(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running, r.group, r.exits = false, 0, exits
	return nil
}

// Lost reports whether the reaper is dead or about to be. When a program was killed
// by its death, it is true before anything else shows of that.
func (r *Reaper) Lost() bool {
	select {
	case <-r.exited:
		return true
	default:
	}
	// The kernel marks a thread before it kills the thread's children. The process
	// may live on for a moment, and its descriptors with it.
	f, err := statOf(r.cmd.Process.Pid, r.thread)
	return err != nil || f.flags&exiting != 0
}

// Close gives the reaper back to its pool. Programs that run are killed.
func (r *Reaper) Close() {
	r.mu.Lock()
	clean := !r.running && r.err == nil
	r.released, r.killed = false, false
	_ = r.conn.SetReadDeadline(time.Time{})
	r.mu.Unlock()
	r.pool.put(r, clean)
}

// write sends a message. Where that fails, a receive fails too. r.mu is held.
func (r *Reaper) write(m message) {
	if r.err != nil {
		return
	}
	_ = r.conn.SetWriteDeadline(time.Now().Add(patience))
	if send(r.conn, m) != nil {
		_ = r.cmd.Process.Kill()
	}
}

// receive reads a message, of one of the kinds given. After an error the reaper
// and its programs are gone.
func (r *Reaper) receive(kinds ...kind) (message, error) {
	r.mu.Lock()
	err := r.err
	r.mu.Unlock()
	if err != nil {
		return message{}, err
	}
	m, err := receive(r.conn)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return message{}, r.fail(errStuck)
	case err != nil:
		return message{}, r.fail(errDied)
	}
	for _, k := range kinds {
		if m.kind == k {
			return m, nil
		}
	}
	return message{}, r.fail(errOrder)
}

// fail ends the reaper, waits until it has gone, and returns the reason.
func (r *Reaper) fail(err error) error {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	err = r.err
	r.mu.Unlock()
	_ = r.cmd.Process.Kill()
	<-r.exited
	return err
}
