package pipeline

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"mvdan.cc/sh/v3/interp"
)

// A poison is the cause with which the contexts of stages end when a stage
// before them was lost: they must not take what they got for the whole.
type poison struct {
	stage int // the lost one
}

func (p *poison) Error() string { return fmt.Sprintf("stage %d was lost", p.stage) }

// Signal makes KILL the signal for what runs under the context.
func (p *poison) Signal() syscall.Signal { return syscall.SIGKILL }

// ExitStatus is that of a process which was killed.
func (p *poison) ExitStatus() int { return statusKilled }

// A victim is what dies with a stage: a process or a remote command that runs in
// it, or in a pipeline inside it.
type victim struct {
	stage   *stageRun // nil outside of any stage
	in, out pipeID    // what it reads and writes, if those are pipes
	kill    func()    // does not block; afterwards the victim takes no end of input for one
}

// A hunter knows all victims of a script.
type hunter struct {
	// starting is held for reading while something is started and registered,
	// and for writing while a stage, or a pipe, is marked: so nothing is unknown
	// to the killer, and nothing starts there afterwards.
	starting sync.RWMutex
	cut      map[pipeID]*verdict // pipes of the interpreter that a lost command has written to, with its failure

	// killing is held while victims are killed. Whoever waits for a victim comes
	// by here before it goes on, and so closes no pipe, and runs no further
	// command, before all are dead.
	killing sync.Mutex
	all     map[*victim]struct{}
}

// begin calls start, which begins v and returns how to kill it, unless its stage
// was killed or its input cut: then ok is false. The victim must be removed when it
// has ended.
func (h *hunter) begin(v *victim, start func() (kill func(), err error)) (ok bool, err error) {
	h.starting.RLock()
	defer h.starting.RUnlock()
	if v.stage.killed() || h.cut[v.in] != nil {
		return false, nil
	}
	if v.kill, err = start(); err != nil {
		return true, err
	}
	h.killing.Lock()
	defer h.killing.Unlock()
	if h.all == nil {
		h.all = make(map[*victim]struct{})
	}
	h.all[v] = struct{}{}
	return true, nil
}

// remove forgets a victim, which has ended.
func (h *hunter) remove(v *victim) {
	h.killing.Lock()
	defer h.killing.Unlock()
	delete(h.all, v)
}

// kill kills what runs in a stage, then ends the stage's context.
func (h *hunter) kill(s *stageRun, cause *poison) {
	h.starting.Lock()
	s.doomed = true
	h.starting.Unlock()
	h.killing.Lock()
	defer h.killing.Unlock()
	for v := range h.all {
		if v.stage.inside(s) {
			v.kill()
		}
	}
	s.cancel(cause)
}

// killReaders kills what reads a pipe of the interpreter, and what reads their
// outputs in turn, because of a lost command. Nothing is started on those pipes
// any more.
func (h *hunter) killReaders(id pipeID, lost *verdict) {
	if id == (pipeID{}) {
		return
	}
	h.starting.Lock()
	defer h.starting.Unlock()
	h.killing.Lock()
	defer h.killing.Unlock()
	if h.cut == nil {
		h.cut = make(map[pipeID]*verdict)
	}
	h.cut[id] = lost
	for grown := true; grown; {
		grown = false
		for v := range h.all {
			if h.cut[v.in] != nil && v.out != (pipeID{}) && h.cut[v.out] == nil {
				h.cut[v.out], grown = lost, true
			}
		}
	}
	for v := range h.all {
		if h.cut[v.in] != nil {
			v.kill()
		}
	}
}

// cutBy returns the failure of the lost command that has written to a pipe, or nil.
func (h *hunter) cutBy(id pipeID) *verdict {
	h.starting.RLock()
	defer h.starting.RUnlock()
	return h.cut[id]
}

// anyCut reports whether there is any such pipe.
func (h *hunter) anyCut() bool {
	h.starting.RLock()
	defer h.starting.RUnlock()
	return len(h.cut) > 0
}

// wasKilled reports whether a stage, or one that it is inside of, was killed.
func (h *hunter) wasKilled(s *stageRun) bool {
	h.starting.RLock()
	defer h.starting.RUnlock()
	return s.killed()
}

// killed is wasKilled for who holds hunter.starting. s may be nil.
func (s *stageRun) killed() bool {
	for ; s != nil; s = s.parent {
		if s.doomed {
			return true
		}
	}
	return false
}

// inside reports whether s is the stage outer, or in a pipeline inside it.
func (s *stageRun) inside(outer *stageRun) bool {
	for ; s != nil; s = s.parent {
		if s == outer {
			return true
		}
	}
	return false
}

// poison kills the stages after s, from the last to the first. It is called
// while the pipe that the next stage reads is open still.
func (p *pipelineRun) poison(s *stageRun) {
	cause := &poison{stage: s.plan.Number}
	for i := len(p.stages) - 1; p.stages[i] != s; i-- {
		p.x.hunter.kill(p.stages[i], cause)
	}
}

// victimOf returns what runs with a handler's streams.
func victimOf(sh *shell, hc interp.HandlerContext) *victim {
	return &victim{stage: sh.stage, in: pipeOf(hc.Stdin), out: pipeOf(hc.Stdout)}
}

// cutOff kills what reads the output of a command that is lost, or must not go on
// for that reason, if it is a pipe of the interpreter's own: in a function, or
// in ( ), $( ) and the like. What a stage of ours has written is judged when the
// stage has ended.
func (x *execution) cutOff(sh *shell, hc interp.HandlerContext, lost *verdict) {
	if f, ok := hc.Stdout.(*os.File); ok && f != x.io.stdout && (sh.stage == nil || f != sh.stage.out) {
		x.hunter.killReaders(pipeOf(f), lost)
	}
}
