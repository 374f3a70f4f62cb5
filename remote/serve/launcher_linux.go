package serve

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rpipe/remote/serve/reaper"
	"rpipe/remote/wire"
)

// newLauncher takes a reaper, or makes one of this process where there are none.
func newLauncher(reapers *reaper.Pool) (launcher, error) {
	if reapers == nil {
		return &children{}, nil
	}
	r, err := reapers.Take()
	if err != nil {
		return nil, err
	}
	return reaped{r}, nil
}

// reaped is a launcher whose programs are children of a reaper.
type reaped struct {
	reaper *reaper.Reaper
}

func (r reaped) start(l launch) ([]error, error) {
	p := &reaper.Pipeline{Dir: l.folder, Stdin: l.stdin, Input: l.input, Stdout: l.stdout, Stderr: l.stderr}
	for _, c := range l.commands {
		p.Programs = append(p.Programs, reaper.Program{Path: c.argv[0], Args: argv(c), Env: c.environ})
	}
	return r.reaper.Start(p)
}

func (r reaped) signal(name string) {
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		r.reaper.Signal(sig)
	}
}

func (r reaped) kill()       { r.reaper.Kill() }
func (r reaped) closeInput() { r.reaper.CloseInput() }
func (r reaped) awaitExits() { r.reaper.AwaitExits() }

func (r reaped) end(ends []wire.End) error {
	exits, err := r.reaper.End()
	if err != nil {
		return err
	}
	for i, e := range exits {
		if e != (reaper.Exit{}) {
			setStatus(&ends[i], syscall.WaitStatus(e.Status))
		}
		ends[i].User, ends[i].System, ends[i].MaxRSS = e.User, e.System, e.MaxRSS
	}
	return nil
}

func (r reaped) lost() bool { return r.reaper.Lost() }
func (r reaped) close()     { r.reaper.Close() }
