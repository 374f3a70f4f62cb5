package pipeline

import (
	"fmt"
	"os"
	"slices"
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

// A readerLost is the cause with which the contexts of stages end when a stage after
// them was lost.
type readerLost struct {
	stage int // the lost one
}

func (r *readerLost) Error() string {
	return fmt.Sprintf("stage %d, which read the output, was lost", r.stage)
}

// Signal makes PIPE the signal for what runs under the context.
func (r *readerLost) Signal() syscall.Signal { return syscall.SIGPIPE }

// ExitStatus is that of a process which wrote to a pipe that nobody reads.
func (r *readerLost) ExitStatus() int { return statusPipe }

// A victim is what dies with a stage: a process or a remote command that runs in
// it, or in a pipeline inside it.
type victim struct {
	stage  *stageRun // nil outside of any stage
	in     []pipeID  // the pipes that it reads: its input, and the FIFOs among its words
	stdout any       // its output
	out    []pipeID  // the pipes that it may write to besides, or whose files here may be closed
	lethal
}

// lethal is how to kill a victim, in two steps of which none blocks. To close one
// victim's output is to end another one's input: so all of them are frozen before
// any is killed.
type lethal struct {
	freeze func() // afterwards the victim takes no end of input for one
	kill   func()
}

// A hunter knows all victims of a script.
type hunter struct {
	// starting is held for reading while something is started and registered,
	// and for writing while victims are killed: so none is unknown to the killer,
	// none starts afterwards where it must not, and what is not started, and
	// would close a pipe for that reason, waits until all are dead.
	starting sync.RWMutex
	outputs  []fifoOutput
	cut      map[pipeID]*verdict // pipes of the interpreter that a lost command has written to, with its failure

	// killing is held too while victims are killed. Whoever waits for a victim
	// comes by here before it goes on, and so closes no pipe, and runs no further
	// command, before all are dead. It is taken after starting.
	killing sync.Mutex
	all     map[*victim]struct{}
}

// begin calls start, which begins v and returns how to kill it, unless its stage
// was killed or its input cut: then ok is false. The victim must be removed when it
// has ended.
func (h *hunter) begin(v *victim, start func() (lethal, error)) (ok bool, err error) {
	h.starting.RLock()
	defer h.starting.RUnlock()
	if v.stage.killed() || h.cutting(v) != nil {
		return false, nil
	}
	if v.lethal, err = start(); err != nil {
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

// reads reports whether a FIFO of the script is among the words of something that
// runs.
func (h *hunter) reads(path string) bool {
	h.killing.Lock()
	defer h.killing.Unlock()
	for v := range h.all {
		if slices.Contains(v.in, pipeID{path: path}) {
			return true
		}
	}
	return false
}

// killAll kills victims. The caller holds starting and killing.
func (h *hunter) killAll(chosen func(*victim) bool) {
	for v := range h.all {
		if chosen(v) {
			v.freeze()
		}
	}
	for v := range h.all {
		if chosen(v) {
			v.kill()
		}
	}
}

// kill kills what runs in the given stages, then ends their contexts. Until all of
// that is done none of them goes on.
func (h *hunter) kill(stages []*stageRun, cause *poison) {
	h.starting.Lock()
	defer h.starting.Unlock()
	h.killing.Lock()
	defer h.killing.Unlock()
	for _, s := range stages {
		s.doomed = true
	}
	h.killAll(func(v *victim) bool { return v.stage.killed() })
	for _, s := range stages {
		s.cancel(cause)
	}
}

// cutting returns the failure of the lost command that has written to what a victim
// reads, or nil. The caller holds starting.
func (h *hunter) cutting(v *victim) *verdict {
	for _, id := range v.in {
		if lost := h.cut[id]; lost != nil {
			return lost
		}
	}
	return nil
}

// cutBy returns the failure of the lost command that has written to what a victim
// reads, or nil.
func (h *hunter) cutBy(v *victim) *verdict {
	h.starting.RLock()
	defer h.starting.RUnlock()
	return h.cutting(v)
}

// lostBy returns the failure of the lost command whose output went into the output
// of a stage, or nil.
func (h *hunter) lostBy(s *stageRun) *verdict {
	h.starting.RLock()
	defer h.starting.RUnlock()
	return s.lostBy
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

// poison kills the stages after s. It is called while the pipe that the next stage
// reads is open still. Those before it get PIPE, as if they had written: a stage that
// is silent would else be waited for, and nobody wants what it may have to say.
func (p *pipelineRun) poison(s *stageRun) {
	i := slices.Index(p.stages, s)
	p.x.hunter.kill(p.stages[i+1:], &poison{stage: s.plan.Number})
	for _, before := range p.stages[:i] {
		before.cancel(&readerLost{stage: s.plan.Number})
	}
}

// pipeOf returns the identity of a pipe, zero for anything else.
func (x *execution) pipeOf(stream any) pipeID {
	if f, ok := stream.(*os.File); ok && f != nil && x.fifos.holds(f.Name()) {
		return pipeID{path: f.Name()}
	}
	return pipeOf(stream)
}

// victimOf returns what runs with a handler's streams and the given words.
func (x *execution) victimOf(sh *shell, hc interp.HandlerContext, words []string) *victim {
	v := &victim{stage: sh.stage, stdout: hc.Stdout}
	if id := x.pipeOf(hc.Stdin); id != (pipeID{}) {
		v.in = append(v.in, id)
	}
	if t := descriptorsOf(hc); t != nil && words != nil {
		if id := x.pipeOf(hc.Stdout); id != (pipeID{}) {
			v.out = append(v.out, id)
		}
		for _, n := range t.above {
			switch id := x.pipeOf(n.stream); {
			case id == (pipeID{}):
			case isReader(n.stream):
				v.in = append(v.in, id)
			default:
				v.out = append(v.out, id)
			}
		}
	}
	for _, w := range words {
		if x.fifos.holds(w) {
			v.in = append(v.in, pipeID{path: w})
		}
	}
	return v
}
