package serve

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"rpipe/remote/wire"
)

// children is a launcher whose programs are children of this process. What leaves
// their group is not killed, and when this process dies the programs may see an
// end of input that is none, if they are killed at all. The zero value is ready.
type children struct {
	processes []process // by command

	mu     sync.Mutex
	id     int // of the process group; 0 before the first process and after the last
	killed bool
}

var _ launcher = (*children)(nil)

// process is a program that was started, or could not be: then cmd is nil.
type process struct {
	cmd    *exec.Cmd
	notice exitNotice
}

var errKilled = errors.New("killed before it started")

func (c *children) start(l launch) ([]error, error) {
	last := len(l.commands) - 1
	readers, writers := make([]*os.File, last), make([]*os.File, last)
	defer closeAll(readers...)
	defer closeAll(writers...)
	for i := range last {
		var err error
		if readers[i], writers[i], err = os.Pipe(); err != nil {
			return nil, err
		}
	}
	readers, writers = append([]*os.File{l.stdin}, readers...), append(writers, l.stdout)
	errs := make([]error, len(l.commands))
	for i, command := range l.commands {
		cmd := &exec.Cmd{
			Path:   command.argv[0],
			Args:   argv(command),
			Env:    command.environ,
			Dir:    l.folder,
			Stdin:  readers[i],
			Stdout: writers[i],
			Stderr: l.stderr,
		}
		var p process
		p, errs[i] = c.startOne(cmd)
		c.processes = append(c.processes, p)
	}
	return errs, nil
}

// argv returns a command's arguments behind the name that it is called by.
func argv(c command) []string {
	return append([]string{filepath.Base(c.argv[0])}, c.argv[1:]...)
}

func (c *children) startOne(cmd *exec.Cmd) (process, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.killed {
		return process{}, errKilled
	}
	joinGroup(cmd, c.id)
	p := process{cmd: cmd}
	p.notice.prepare(cmd)
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	if c.id == 0 {
		c.id = cmd.Process.Pid
	}
	return p, nil
}

func (c *children) signal(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != 0 {
		signalGroup(c.id, name)
	}
}

func (c *children) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.killed = true
	if c.id != 0 {
		killGroup(c.id)
	}
}

func (*children) closeInput() {}

// awaitExits leaves the programs zombies, so that the group keeps its number.
func (c *children) awaitExits() {
	for _, p := range c.processes {
		if p.cmd != nil {
			p.notice.await(p.cmd)
		}
	}
}

func (c *children) end(ends []wire.End) error {
	c.kill()
	for i, p := range c.processes {
		if p.cmd != nil {
			_ = p.cmd.Wait() // the status is in ProcessState
			ends[i] = endOf(i, p.cmd.ProcessState)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = 0
	return nil
}

func (*children) lost() bool { return false }

func (*children) close() {}
