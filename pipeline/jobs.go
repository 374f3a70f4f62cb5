package pipeline

import (
	"context"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// A gate counts the exec handlers under way, and lets none in when it is closed.
type gate struct {
	mu     sync.Mutex
	inside int
	empty  *sync.Cond // of mu; nil until somebody waits
	closed bool
}

// enter returns false when the gate is closed; else leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		g.empty.Broadcast()
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// wait waits until nobody is inside.
func (g *gate) wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = sync.NewCond(&g.mu)
	}
	for g.inside > 0 {
		g.empty.Wait()
	}
}

// A remnant are the local programs in the background that run still when their
// script has ended. They stay bound to its context until they are let go.
type remnant struct {
	over   chan struct{} // closed when the script has ended
	reaper sync.WaitGroup

	mu   sync.Mutex
	left []*process
}

// await waits for a program in the background, and calls ended when that is over.
// When the script ends before, it returns 0, and the rest is done in a goroutine,
// which ends with the program.
func (m *remnant) await(p *process, ended func()) (status int) {
	done := make(chan int, 1)
	m.reaper.Go(func() {
		status := p.wait()
		ended()
		done <- status
	})
	select {
	case status := <-done:
		return status
	case <-m.over:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.left = append(m.left, p)
		return 0
	}
}

// letGo makes the programs independent of the context.
func (m *remnant) letGo() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.left {
		p.stop()
	}
}

// letGo frees what a stage that has ended holds. Where it has left commands in the
// background its pipes stay open until those have ended, if that can be waited
// for, because they may write still; the stage itself is over.
func (x *execution) letGo(s *stageRun) {
	switch {
	case !x.plan.jobs || s.shell.custody.idle() && !hasJobs(s.shell):
		s.closeEnds()
		s.cancel(nil)
	case !x.plan.linger && s.shell.custody.idle():
		s.closeEnds() // its context ends with the script
	default:
		x.lingering.Go(func() {
			s.shell.custody.wait()
			if !x.plan.linger {
				s.closeEnds()
				return
			}
			awaitJobs(s.shell)
			s.closeEnds()
			s.cancel(nil)
		})
	}
}

// awaitAllJobs waits for what stages and the shell of the script have left in the
// background, when the script has ended. Commands of <( ) and >( ) whose FIFO
// nobody has opened, and nobody who runs will, are let go.
func (x *execution) awaitAllJobs(sh *shell) {
	done := make(chan struct{})
	var letting sync.WaitGroup
	letting.Go(func() { x.fifos.letAll(done, x.hunter.reads) })
	x.lingering.Wait()
	if x.plan.jobs {
		sh.custody.wait()
		awaitJobs(sh)
	}
	x.commands.wait()
	close(done)
	letting.Wait()
}

// awaitJobs waits for the background commands of a shell that runs nothing else.
func awaitJobs(sh *shell) {
	_ = runGuarded(internal(context.Background()), sh, mark(syntax.Pos{}, "wait"))
}

// hasJobs reports whether a shell that runs nothing else has started any.
func hasJobs(sh *shell) bool {
	test, err := syntax.NewParser().Parse(strings.NewReader("[[ -n ${!:-} ]]"), "")
	return err == nil && runGuarded(internal(context.Background()), sh, test.Stmts[0]) == nil
}
