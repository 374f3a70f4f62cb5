package pipeline

import (
	"sync"
)

// A gate counts the exec handlers under way, and lets none in when it is closed.
type gate struct {
	mu     sync.Mutex
	inside sync.WaitGroup
	closed bool
}

// enter returns false when the gate is closed; else leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside.Add(1)
	return true
}

func (g *gate) leave() { g.inside.Done() }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// wait waits until nobody is inside, after close.
func (g *gate) wait() { g.inside.Wait() }

// mayHaveJobs reports whether the shell of the script can have something in the
// background.
func (x *execution) mayHaveJobs() bool {
	x.fifosMu.Lock()
	defer x.fifosMu.Unlock()
	return x.plan.jobs || len(x.fifos) > 0
}

// letGo frees what a stage that has ended holds. Where it may have left commands
// in the background its pipes stay open until those have ended, if that can be
// waited for, because they may write still; the stage itself is over.
func (x *execution) letGo(s *stageRun) {
	switch {
	case !x.plan.jobs:
		s.closeEnds()
		s.cancel(nil)
	case !x.plan.linger:
		s.closeEnds() // its context ends with the script
	default:
		x.lingering.Go(func() {
			x.awaitJobs(s.shell)
			s.closeEnds()
			s.cancel(nil)
		})
	}
}
