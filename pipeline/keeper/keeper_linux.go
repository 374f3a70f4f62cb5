package keeper

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long the process may take for what it can do at once: to take
	// a message, to kill, to exit.
	patience = 5 * time.Second

	// socketFD is the process's end of the connection, in the process.
	socketFD = 3
)

// Keeper holds pipes in another process. A nil one holds nothing. Its methods may be
// called concurrently.
type Keeper struct {
	spared []string // names of files, as in /proc/self/fd

	started chan struct{}  // closed when the process runs, or cannot
	process sync.WaitGroup // over when it has ended

	mu      sync.Mutex
	begun   bool          // it was started, or is not to be any more
	conn    *net.UnixConn // nil before, and where nothing can be held
	child   *os.Process   // nil before, and where there is none
	useless bool          // a message has not come through
	last    uint32        // name of a pipe
	held    int           // pipes
}

// New returns a Keeper, whose Close must follow. The readers of spared, the outputs of
// this process, do not die with it: what they get has always been its own. The
// program's main must call Main where Asked says so; a process of which it does not
// has no Keeper.
func New(spared ...*os.File) *Keeper {
	if Asked() {
		return nil
	}
	k := &Keeper{started: make(chan struct{})}
	for _, f := range spared {
		_ = control(f, func(fd int) {
			if name, err := os.Readlink(fdName(fd)); err == nil {
				k.spared = append(k.spared, name)
			}
		})
	}
	return k
}

// Hold holds the writing end of a pipe, which stays the caller's, until release is
// called, once or more often. Both return before the process has taken notice, and do
// nothing where there is none.
func (k *Keeper) Hold(w *os.File) (release func()) {
	if k == nil {
		return func() {}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.begun {
		k.begin()
	}
	k.last++
	name, sent := k.last, false
	err := control(w, func(fd int) { sent = k.send(name, unix.UnixRights(fd)) })
	if err != nil || !sent {
		return func() {}
	}
	k.held++
	return sync.OnceFunc(func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.held--
		k.send(name, nil)
	})
}

// Await returns when the death of this process is no end any more for who reads a
// pipe that is held, or this cannot be had: when the process of the keeper runs. What
// was held before is then held; what is held later is so at once.
func (k *Keeper) Await() {
	if k == nil {
		return
	}
	k.mu.Lock()
	begun := k.begun
	k.mu.Unlock()
	if begun {
		<-k.started
	}
}

// Close ends the process and waits until it is gone. If pipes are held still, their
// readers are killed.
func (k *Keeper) Close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	if !k.begun {
		k.begun = true
		close(k.started)
	}
	bound := 2 * patience
	if k.held == 0 || k.useless {
		bound = 0 // it need not even come up
	}
	k.drop()
	k.mu.Unlock()
	<-k.started
	late := time.AfterFunc(bound, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.end()
	})
	defer late.Stop()
	k.process.Wait()
}

// begin connects with the process, and starts it meanwhile. k.mu is held.
func (k *Keeper) begin() {
	k.begun = true
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		close(k.started)
		return
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "keeper"), os.NewFile(uintptr(fds[1]), "kept")
	defer ours.Close()
	if conn, err := net.FileConn(ours); err == nil {
		k.conn, _ = conn.(*net.UnixConn)
	}
	k.process.Go(func() { k.run(theirs) })
}

// run is the life of the process.
func (k *Keeper) run(socket *os.File) {
	cmd := &exec.Cmd{
		Path:       "/proc/self/exe", // also where the file has been replaced since
		Args:       append([]string{Name, strconv.Itoa(unix.Getpgrp())}, k.spared...),
		Dir:        "/",
		Env:        []string{"GOMAXPROCS=1"},
		ExtraFiles: []*os.File{socket},
		// No terminal's signals, nor those for the group of this process.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err := cmd.Start()
	socket.Close() // what it holds is closed with its last end
	if err == nil {
		k.mu.Lock()
		k.child = cmd.Process
		if k.useless {
			k.end()
		}
		k.mu.Unlock()
	}
	close(k.started)
	if err == nil {
		_ = cmd.Wait() // however it ended
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drop()
}

// send tells the process to hold what comes along, or else to release it. Where that
// fails it holds nothing any more: a pipe that it does not release would not end.
// k.mu is held.
func (k *Keeper) send(name uint32, rights []byte) bool {
	if k.conn == nil {
		return false
	}
	_ = k.conn.SetWriteDeadline(time.Now().Add(patience))
	_, _, err := k.conn.WriteMsgUnix(binary.BigEndian.AppendUint32(nil, name), rights, nil)
	if err != nil {
		k.useless = true
		k.drop()
		k.end()
	}
	return err == nil
}

// drop ends the connection. k.mu is held.
func (k *Keeper) drop() {
	if k.conn != nil {
		k.conn.Close()
		k.conn = nil
	}
}

// end kills the process, if there is one. k.mu is held.
func (k *Keeper) end() {
	if k.child != nil {
		_ = k.child.Kill()
	}
}

// control calls f with the descriptor of a file, which stays open meanwhile.
func control(file *os.File, f func(fd int)) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}

func fdName(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
