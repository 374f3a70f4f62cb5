package pipeline

import (
	"sync"
	"syscall"
)

// An interruptible knows the remote commands that run in the foreground: what is typed at
// the terminal to end commands (termios(3), ISIG) ends local ones without us, also where
// the script traps it, and must end these as well.
type interruptible struct {
	mu     sync.Mutex
	runs   map[*remoteRun]func(syscall.Signal)
	count  int            // of what was typed
	latest syscall.Signal // of it
}

// typedSoFar returns what a command that begins now gives to enter.
func (f *interruptible) typedSoFar() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// enter says that a command runs, and how it is sent a signal, until leave is called. It
// is sent one at once if that was typed since the command began.
func (f *interruptible) enter(r *remoteRun, signal func(syscall.Signal)) (leave func()) {
	if r.sh.job != nil {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.runs == nil {
		f.runs = make(map[*remoteRun]func(syscall.Signal))
	}
	f.runs[r] = signal
	if f.count != r.typedBefore {
		signal(f.latest)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.runs, r)
	}
}

// typed sends the commands a signal that comes from the keyboard.
func (f *interruptible) typed(sig syscall.Signal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	f.latest = sig
	for _, signal := range f.runs {
		signal(sig)
	}
}
