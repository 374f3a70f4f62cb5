package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"rpipe/remote/pollfd"
	"rpipe/remote/serve/reaper"
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

// launch is what a group needs to run: its programs, where, and the files of all of
// them together. input is the end of stdin's pipe that is written to. The files
// stay the group's.
type launch struct {
	commands              []command
	folder                string
	stdin, stdout, stderr *os.File
	input                 *os.File
}

// launcher starts the programs of one group, joined by pipes and as one process
// group, and kills what they leave behind. Its start, awaitExits, end and close are
// called one after another, its other methods at any time.
type launcher interface {
	// start returns for each program nil, or why it could not be started: then
	// the others run. The last result is why nothing runs.
	start(launch) ([]error, error)
	// signal sends a signal to the process group, by its name without SIG. It does
	// nothing for a name that this system does not have.
	signal(name string)
	// kill kills all, and keeps others from starting. It does not wait.
	kill()
	// closeInput lets go of the launch's input, if that was duplicated.
	closeInput()
	// awaitExits returns when every program has exited, or lost is true.
	awaitExits()
	// end kills what is left, and sets for each program that was started how it
	// ended. An error says that this is not known; nothing is left all the same.
	end(ends []wire.End) error
	// lost reports whether programs may have been killed since whoever looks after
	// them has died. It is exact at the end of their output.
	lost() bool
	// close frees it. It kills what was not ended.
	close()
}

// group is the processes of a session: programs joined by pipes, in one process
// group and one private folder.
type group struct {
	commands []command
	folder   string
	launcher launcher
	waker    *pollfd.Waker // for awaitReaderGone; nil: it is not called
	socket   *os.File      // is stdin and stdout of a single command; nil: pipes are. It stays its owner's.

	// Our ends of the pipes, from start on. stdin is closed with closeStdin,
	// the others by who reads them.
	stdin          *os.File
	stdout, stderr *outputPipe

	ends []wire.End // by command

	mu      sync.Mutex
	running bool // all were started
	pending []string
}

// newGroup takes a folder over. The reapers may be nil. Nothing runs before start;
// close must follow.
func newGroup(commands []command, folder string, reapers *reaper.Pool) (*group, error) {
	l, err := newLauncher(reapers)
	if err != nil {
		return nil, err
	}
	return &group{commands: commands, folder: folder, launcher: l}, nil
}

// watchable makes awaitReaderGone possible, which takes two descriptors. It is called
// before start.
func (g *group) watchable() (err error) {
	g.waker, err = pollfd.NewWaker()
	return err
}

// awaitReaderGone returns true when nobody reads the first program's input any more, and
// false after closeStdin.
func (g *group) awaitReaderGone() bool { return g.waker.AwaitReaderGone(g.stdin) }

// close gives back all but the folder.
func (g *group) close() {
	if g.waker != nil {
		g.waker.Close()
	}
	g.launcher.close()
}

// start makes the pipes and starts the programs. A program that cannot be started
// has ended, with 127 or 126 and a word on stderr, and the others run, as in a
// shell. The error is a lack of pipes: then nothing runs.
func (g *group) start() error {
	var readers, writers [3]*os.File
	var err error
	for i := 0; i < len(readers) && err == nil; i++ {
		readers[i], writers[i], err = os.Pipe()
	}
	stdin, stdout := readers[0], writers[1]
	if g.socket != nil {
		stdin, stdout = g.socket, g.socket
	}
	var errs []error
	if err == nil {
		errs, err = g.launcher.start(launch{
			commands: g.commands,
			folder:   g.folder,
			stdin:    stdin,
			input:    writers[0],
			stdout:   stdout,
			stderr:   writers[2],
		})
	}
	if err != nil {
		closeAll(readers[:]...)
		closeAll(writers[:]...)
		return err
	}
	closeAll(readers[0], writers[1], writers[2])
	g.stdin = writers[0]
	g.stdout = &outputPipe{File: readers[1], lost: g.launcher.lost}
	g.stderr = &outputPipe{File: readers[2]} // nobody takes its end for anything
	g.ends = make([]wire.End, len(g.commands))
	for i, err := range errs {
		g.ends[i].Program = i
		if err != nil {
			g.ends[i].Status = startStatus(err)
			g.stderr.first = fmt.Appendf(g.stderr.first, "rpiped: %s: %v\n", g.commands[i].name, startProblem(err))
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = true
	for _, name := range g.pending {
		g.launcher.signal(name)
	}
	g.pending = nil
	return nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
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

// signal sends a signal to the group, or keeps it for when all have started. Names
// that this system does not have are passed over.
func (g *group) signal(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.running:
		g.launcher.signal(name)
	case len(g.pending) < maxPending:
		g.pending = append(g.pending, name)
	}
}

// kill ends every process of the group, and keeps others from starting.
func (g *group) kill() { g.launcher.kill() }

// awaitExits returns when every program has exited.
func (g *group) awaitExits() { g.launcher.awaitExits() }

// end kills what is left of the programs, and returns how they ended. It is called
// after awaitExits. The error says that this is not known.
func (g *group) end() ([]wire.End, error) {
	err := g.launcher.end(g.ends)
	return g.ends, err
}

// closeStdin ends the first program's input. It may be called again.
func (g *group) closeStdin() {
	if g.waker != nil {
		g.waker.Wake()
	}
	g.stdin.Close()
	g.launcher.closeInput()
}
