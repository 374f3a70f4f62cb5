package reaper

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	ossignal "os/signal"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Name is argument zero of a reaper, and the name of its process. The daemon's is no
// part of it: who kills the daemon by name must not kill both.
const Name = "session-reaper"

// Asked reports whether this process is to be a reaper: then main does nothing but
// call Main and exit with what it returns.
func Asked() bool { return len(os.Args) == 1 && os.Args[0] == Name }

// Main is what a reaper does. It returns when the daemon that started it has closed the
// connection or died, and no descendant is left; the result is the exit status: 0,
// or 2 where this is no process that a Pool started.
func Main() int {
	// Children die with the thread that has started them: it must be one that lives
	// as long as the process.
	runtime.LockOSThread()
	conn, err := prepare()
	if err == nil {
		err = (&keeper{conn: conn, held: -1}).run()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", Name, err)
		return 2
	}
	return 0
}

// prepare makes this process what a reaper is, and returns the connection.
func prepare() (*net.UnixConn, error) {
	f := os.NewFile(socketFD, "daemon")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("started by hand: %w", err)
	}
	daemon, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("started by hand")
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	// Nothing that the daemon itself was given goes on to programs. An old kernel
	// cannot say it so.
	_ = unix.CloseRange(socketFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	// What would end or stop it is the daemon's business: it is taken and dropped, for
	// programs inherit what is ignored. KILL and STOP cannot be.
	ossignal.Notify(make(chan os.Signal, 1),
		unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGTRAP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE,
		unix.SIGALRM, unix.SIGTERM, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGXFSZ,
		unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR, unix.SIGSYS)
	// For people: it would be "exe".
	_ = os.WriteFile("/proc/self/comm", []byte(Name), 0)
	return daemon, nil
}

// keeper is the work of a reaper. It has one thread, which waits in poll(2) alone:
// each change of thread would cost a session time.
type keeper struct {
	conn *net.UnixConn

	programs []child // nil: no session is under way
	running  int     // of them
	group    int     // of the programs; 0: none
	held     int     // the end of standard input that is written to; -1: none
}

// child is a program. The leader of the group is the first that could be started.
type child struct {
	pid    int // 0: it could not be started
	pidfd  int // -1: it has exited, or the system has none
	exited bool
	waited bool // its number may be another's
	exit   Exit
}

// How long run waits, in ms, for what nothing tells it.
const (
	tidyInterval = 1000  // until it waits for descendants that have died, at first
	tidyMost     = 16000 // while there are none
	lookInterval = 10    // until it looks for programs that have exited, without pidfds
)

// run does what is asked for until the connection ends, and kills what the session
// that was under way has left.
func (k *keeper) run() error {
	defer func() {
		k.kill()
		k.end()
	}()
	raw, err := k.conn.SyscallConn()
	if err != nil {
		return err
	}
	socket := unix.PollFd{Events: unix.POLLIN}
	if err := raw.Control(func(fd uintptr) { socket.Fd = int32(fd) }); err != nil {
		return err
	}
	k.send(message{kind: kindReady, body: encodeNumbers(uint32(unix.Gettid()))})
	for tidy := tidyInterval; ; {
		fds, timeout := []unix.PollFd{socket}, -1
		if k.programs != nil {
			timeout = tidy
		}
		for _, c := range k.programs {
			if c.exited {
				continue
			}
			if c.pidfd < 0 {
				timeout = lookInterval
			}
			fds = append(fds, unix.PollFd{Fd: int32(c.pidfd), Events: unix.POLLIN})
		}
		n, err := unix.Poll(fds, timeout)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return os.NewSyscallError("poll", err)
		}
		if fds[0].Revents != 0 {
			m, err := receive(k.conn)
			if err != nil || !k.do(m) {
				return nil
			}
			tidy = tidyInterval
			continue // the set may be another
		}
		k.notice()
		if n > 0 || k.tidy() {
			tidy = tidyInterval
		} else {
			tidy = min(2*tidy, tidyMost)
		}
	}
}

// do answers a message. It returns false for one that makes no sense.
func (k *keeper) do(m message) bool {
	switch m.kind {
	case kindStart:
		return k.start(m)
	case kindSignal:
		if len(m.body) == 1 {
			k.signal(unix.Signal(m.body[0]))
		}
	case kindRelease:
		k.release()
	case kindKill:
		k.kill()
	case kindEnd:
		k.end()
	default:
		return false
	}
	return true
}

// send tells the daemon. One that is dead is noticed by the end of the connection.
func (k *keeper) send(m message) { _ = send(k.conn, m) }

func (k *keeper) release() {
	if k.held >= 0 {
		_ = unix.Close(k.held)
		k.held = -1
	}
}

// notice finds out which programs have exited.
func (k *keeper) notice() {
	before := k.running
	for i := range k.programs {
		c := &k.programs[i]
		switch {
		case c.exited:
		case c.pid != k.group:
			k.wait(c.pid, unix.WNOHANG)
		case exited(c.pid):
			// It stays a zombie until the others have exited, so that the group
			// keeps its number.
			k.gone(c)
		}
	}
	if before > 0 && k.running == 0 {
		k.finish()
	}
}

// tidy waits for other descendants that have become children and are dead. It reports
// whether there were any.
func (k *keeper) tidy() bool {
	found := false
	for _, pid := range children(os.Getpid()) {
		if (k.running == 0 || !k.has(pid)) && k.wait(pid, unix.WNOHANG) > 0 {
			found = true
		}
	}
	return found
}

// has reports whether a process that was not waited for is a program.
func (k *keeper) has(pid int) bool {
	for _, c := range k.programs {
		if c.pid == pid && !c.waited {
			return true
		}
	}
	return false
}

// gone marks a program as exited.
func (k *keeper) gone(c *child) {
	if !c.exited {
		c.exited = true
		k.running--
		if c.pidfd >= 0 {
			_ = unix.Close(c.pidfd)
			c.pidfd = -1
		}
	}
}

// finish ends the session where the programs, which have exited, have left nothing
// behind, and tells the daemon either way.
func (k *keeper) finish() {
	for {
		switch got := k.wait(-1, unix.WNOHANG); {
		case got > 0:
			continue
		case got < 0:
			k.end()
		default:
			k.send(message{kind: kindExited})
		}
		return
	}
}

// exited reports whether a child is a zombie.
func exited(pid int) bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err != unix.EINTR {
			return err != nil || info.Signo != 0
		}
	}
}

// wait waits for a child as wait4(2) does, and keeps how a program ended. It returns
// the child's number, 0 if there is none to be waited for yet, or -1 if there is none.
func (k *keeper) wait(pid, options int) int {
	var status unix.WaitStatus
	var usage unix.Rusage
	for {
		got, err := unix.Wait4(pid, &status, options, &usage)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1
		}
		for i := range k.programs {
			if c := &k.programs[i]; got > 0 && c.pid == got && !c.waited {
				k.gone(c)
				c.waited = true
				c.exit = exitOf(status, usage)
			}
		}
		return got
	}
}

// signal sends a signal to the group.
func (k *keeper) signal(sig unix.Signal) {
	if k.group != 0 && (k.running > 0 || k.hasMember()) {
		_ = unix.Kill(-k.group, sig)
	}
}

// hasMember reports whether a descendant is in the group: that has its number, also
// when its leader was waited for, as long as it has members.
func (k *keeper) hasMember() bool {
	found := false
	each(nil, func(pid, _ int) {
		group, err := unix.Getpgid(pid)
		found = found || err == nil && group == k.group
	})
	return found
}

// kill kills all descendants as they are now, who are stopped before the first of
// them dies: none sees what the death of another does.
func (k *keeper) kill() {
	k.signal(unix.SIGSTOP)
	freeze(nil)
	k.signal(unix.SIGKILL)
	strike(nil)
}

// maxPause is how often what does not die is struck again.
const maxPause = 16 * time.Millisecond

// end kills all descendants, waits for them, lets go of what the session had, and
// tells the daemon. It does nothing where no session is under way.
func (k *keeper) end() {
	if k.programs == nil {
		return
	}
	if k.running > 0 {
		k.signal(unix.SIGKILL)
	}
	pause := time.Millisecond
	for got := 1; got >= 0; {
		if got = k.wait(-1, unix.WNOHANG); got == 0 {
			strike(nil)
			time.Sleep(pause) // they have to die
			pause = min(2*pause, maxPause)
		}
	}
	k.release()
	exits := make([]Exit, len(k.programs))
	for i, c := range k.programs {
		exits[i] = c.exit
	}
	k.programs, k.group = nil, 0
	k.send(message{kind: kindEnded, body: encodeExits(exits)})
}
