package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"rpipe/remote/pollfd"
	"rpipe/remote/wire"
)

// maxPending bounds the signals that are kept for a group that has not started.
const maxPending = 16

// command is what a program of a session comes to on this host.
type command struct {
	name    string // as the caller knows it
	argv    []string
	environ []string
}

// group is the processes of a session: programs joined by pipes, in one process
// group and one private folder.
type group struct {
	commands []command
	folder   string
	waker    *pollfd.Waker // for waits on stdin
	socket   *os.File      // is stdin and stdout of a single command; nil: pipes are. It stays its owner's.

	// Our ends of the pipes, from start on. stdin is closed with closeStdin,
	// the others by who reads them.
	stdin          *os.File
	stdout, stderr *outputPipe

	processes []process // by command
	ends      []wire.End

	mu      sync.Mutex
	id      int // of the process group; 0 before the first process and after the last
	pending []string
	killed  bool
}

// process is a program that was started, or could not be: then cmd is nil.
type process struct {
	cmd    *exec.Cmd
	notice exitNotice
}

// newGroup takes a folder over. Nothing runs before start; close must follow.
func newGroup(commands []command, folder string) (*group, error) {
	waker, err := pollfd.NewWaker()
	if err != nil {
		return nil, err
	}
	return &group{commands: commands, folder: folder, waker: waker}, nil
}

// close removes the folder, and what was left in it.
func (g *group) close() error {
	g.waker.Close()
	return os.RemoveAll(g.folder)
}

// start makes the pipes and starts the programs. A program that cannot be started
// has ended, with 127 or 126 and a word on stderr, and the others run, as in a
// shell. The error is a lack of pipes: then nothing runs.
func (g *group) start() error {
	n := len(g.commands)
	readers, writers := make([]*os.File, n+1), make([]*os.File, n+1)
	errReader, errWriter, err := os.Pipe()
	for i := 0; i <= n && err == nil; i++ {
		readers[i], writers[i], err = os.Pipe()
	}
	if err != nil {
		closeAll(append(append(readers, writers...), errReader, errWriter))
		return err
	}
	g.stdin, g.stdout, g.stderr = writers[0], &outputPipe{File: readers[n]}, &outputPipe{File: errReader}
	for i, c := range g.commands {
		cmd := &exec.Cmd{
			Path:   c.argv[0],
			Args:   append([]string{filepath.Base(c.argv[0])}, c.argv[1:]...),
			Env:    c.environ,
			Dir:    g.folder,
			Stdin:  readers[i],
			Stdout: writers[i+1],
			Stderr: errWriter,
		}
		if g.socket != nil {
			cmd.Stdin, cmd.Stdout = g.socket, g.socket
		}
		end := wire.End{Program: i}
		p, err := g.startOne(cmd)
		if err != nil {
			end.Status = startStatus(err)
			fmt.Fprintf(errWriter, "rpiped: %s: %v\n", c.name, startProblem(err))
		}
		g.processes = append(g.processes, p)
		g.ends = append(g.ends, end)
	}
	closeAll(readers[:n])
	closeAll(writers[1:])
	errWriter.Close()
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

var errKilled = errors.New("killed before it started")

func (g *group) startOne(cmd *exec.Cmd) (process, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.killed {
		return process{}, errKilled
	}
	joinGroup(cmd, g.id)
	p := process{cmd: cmd}
	p.notice.prepare(cmd)
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	if g.id == 0 {
		g.id = cmd.Process.Pid
		for _, name := range g.pending {
			signalGroup(g.id, name)
		}
		g.pending = nil
	}
	return p, nil
}

// startStatus is POSIX's for a command that is not found, and for one that cannot
// be executed (XCU, 2.8.2).
func startStatus(err error) uint8 {
	if errors.Is(err, fs.ErrNotExist) {
		return uint8(StatusNotFound)
	}
	return uint8(StatusDenied)
}

// startProblem leaves out of os/exec's error what the caller need not know: the
// path on this host.
func startProblem(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// signal sends a signal to the group, or keeps it for when there is one. Names
// that this system does not have are passed over.
func (g *group) signal(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.id != 0:
		signalGroup(g.id, name)
	case len(g.pending) < maxPending:
		g.pending = append(g.pending, name)
	}
}

// kill ends every process of the group, and keeps others from starting.
func (g *group) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.killed = true
	if g.id != 0 {
		signalGroup(g.id, "KILL")
	}
}

// awaitExits returns when every program has exited. They stay zombies, so that
// the group keeps its number.
func (g *group) awaitExits() {
	for _, p := range g.processes {
		if p.cmd != nil {
			p.notice.await(p.cmd)
		}
	}
}

// end kills what is left of the group, frees its number, and returns how the
// programs ended. It is called after awaitExits.
func (g *group) end() []wire.End {
	g.kill()
	for i, p := range g.processes {
		if p.cmd == nil {
			continue
		}
		_ = p.cmd.Wait() // the status is in ProcessState
		g.ends[i] = endOf(i, p.cmd.ProcessState)
	}
	g.mu.Lock()
	g.id = 0
	g.mu.Unlock()
	return g.ends
}

// closeStdin ends the first program's input. It may be called again.
func (g *group) closeStdin() {
	g.waker.Wake()
	g.stdin.Close()
}
