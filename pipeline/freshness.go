package pipeline

import (
	"runtime"
	"sync"
	"weak"

	"mvdan.cc/sh/v3/interp"
)

// A freshness knows in which Runners PIPESTATUS is out of date, because a command was
// called since it was set. A Runner that is not known has it from the shell that it
// is a copy of.
type freshness struct {
	mu    sync.Mutex
	stale map[weak.Pointer[interp.Runner]]bool
}

// called says that a command is about to run in r.
func (f *freshness) called(r *interp.Runner) { f.set(r, true) }

// written says that PIPESTATUS was set in r.
func (f *freshness) written(r *interp.Runner) { f.set(r, false) }

func (f *freshness) set(r *interp.Runner, stale bool) {
	key := weak.Make(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale == nil {
		f.stale = make(map[weak.Pointer[interp.Runner]]bool)
	}
	if _, known := f.stale[key]; !known {
		runtime.AddCleanup(r, f.forget, key)
	}
	f.stale[key] = stale
}

func (f *freshness) forget(key weak.Pointer[interp.Runner]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.stale, key)
}

// isStale reports whether PIPESTATUS is out of date in r.
func (f *freshness) isStale(r *interp.Runner) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stale[weak.Make(r)]
}
