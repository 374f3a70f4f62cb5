package pipeline

import (
	"io"
	"os"
	"slices"

	"mvdan.cc/sh/v3/interp"
)

// lose does what has to be done when a command has been lost, while its output is
// open still. The stage whose output has got a part of a whole is lost with it,
// there and then; so is, in turn, the stage that such a stage's pipeline is inside
// of. What comes after a lost stage is killed, and so is what reads a pipe of the
// interpreter that the command has written to. Where nobody looks at the status
// the failure becomes that of the script.
func (x *execution) lose(sh *shell, hc interp.HandlerContext, lost *verdict) {
	at := x.plan.place(hc.Pos)
	stages := x.spread(lost, func(sp *spread) {
		sp.result(sh.stage, hc.Stdout, at)
	})
	if len(stages) == 0 && !at.tested {
		x.stick(lost)
	}
}

// cutOff is lose for a command that has read what a lost one has written to a pipe
// of the interpreter, and must not go on for that reason.
func (x *execution) cutOff(sh *shell, hc interp.HandlerContext, lost *verdict) {
	x.spread(lost, func(sp *spread) { sp.output(sh.stage, hc.Stdout) })
}

// miss is lose for a command, or a pipeline, that was refused and has written nothing,
// where a program that may run already takes that for a part of its input, and nobody
// looks at the status: then a host that could not be reached, or that refused an
// identity, is as bad as one that was lost.
func (x *execution) miss(sh *shell, hc interp.HandlerContext, v *verdict) {
	if v.status != statusUnreachable && v.status != statusIdentity && v.status != statusLost {
		return // as of a command that does not exist here
	}
	if hc.Stdout == io.Writer(x.io.stdout) || x.pipeOf(hc.Stdout) == (pipeID{}) || x.plan.place(hc.Pos).tested {
		return
	}
	v.lost = true
	x.lose(sh, hc, v)
}

// stick makes a failure the one of a script that would end with success. The first
// one stays.
func (x *execution) stick(v *verdict) { x.hidden.CompareAndSwap(nil, v) }

// substitutes reports whether an output is that of $( ) or <( ).
func (x *execution) substitutes(stdout any) bool {
	if f, ok := stdout.(*os.File); ok {
		return f != nil && x.fifos.holds(f.Name())
	}
	return stdout != nil && !same(stdout, io.Discard)
}

// spread finds out what gets a part for a whole, by calling from, kills what must
// not take it, and returns the stages that are lost.
func (x *execution) spread(lost *verdict, from func(*spread)) []*stageRun {
	h := &x.hunter
	h.starting.Lock()
	defer h.starting.Unlock()
	h.killing.Lock()
	defer h.killing.Unlock()
	if h.cut == nil {
		h.cut = make(map[pipeID]*verdict)
	}
	sp := &spread{x: x, lost: lost}
	from(sp)
	h.killAll(func(v *victim) bool { return v.stage.killed() || h.cutting(v) != nil })
	for _, s := range sp.stages {
		cause := &poison{stage: s.plan.Number}
		for _, t := range s.andAfter() {
			t.cancel(cause)
		}
		// An outer stage takes the place of the inner one.
		if !s.plan.place().tested && !slices.ContainsFunc(sp.stages, s.isInside) {
			x.stick(lost)
		}
	}
	return sp.stages
}

// A spread is a loss on its way. Its methods are called with hunter.starting and
// hunter.killing held.
type spread struct {
	x      *execution
	lost   *verdict
	stages []*stageRun // that are lost by it
}

// output says that something which runs in s, or outside of any stage if that is
// nil, has written a part to stream.
func (sp *spread) output(s *stageRun, stream any) {
	f, ok := stream.(*os.File)
	if !ok || f == nil || f == sp.x.io.stdout {
		return
	}
	sp.pipe(s, f, sp.x.pipeOf(f))
}

// written says that a victim has written a part to whatever it writes to.
func (sp *spread) written(v *victim) {
	sp.output(v.stage, v.stdout)
	for _, id := range v.out {
		sp.pipe(v.stage, nil, id)
	}
}

// pipe is output for a pipe, or for a file that is none, then its id is zero.
func (sp *spread) pipe(s *stageRun, f *os.File, id pipeID) {
	for e := s; e != nil; e = e.parent {
		if e.out != nil && (e.out == f || id != (pipeID{}) && id == e.outID) {
			sp.stage(e)
			return
		}
	}
	h := &sp.x.hunter
	if id == (pipeID{}) || h.cut[id] != nil {
		return
	}
	h.cut[id] = sp.lost
	for v := range h.all {
		if slices.Contains(v.in, id) {
			sp.written(v)
		}
	}
}

// result is output for something that stands at a place. Where the shell of a stage
// puts a part that nobody looks at into words, whatever it makes of them is a part too.
func (sp *spread) result(s *stageRun, stream any, at place) {
	sp.output(s, stream)
	if at.tested || !sp.x.substitutes(stream) {
		return
	}
	for s != nil && same(s.stdout, stream) {
		s = s.parent // its pipeline is what stands in the words
	}
	if s != nil {
		sp.result(s, s.stdout, s.plan.place())
	}
}

// stage says that the output of a stage is a part.
func (sp *spread) stage(s *stageRun) {
	if s.killed() {
		return
	}
	s.lostBy = sp.lost
	sp.stages = append(sp.stages, s)
	after := s.andAfter()
	for _, t := range after {
		t.doomed = true
	}
	last := after[len(after)-1]
	if !last.plan.redirected {
		sp.result(s.parent, s.pipeline.stdout, s.plan.place())
	}
	// Where it really goes.
	for v := range sp.x.hunter.all {
		if len(v.out) > 0 && (v.stage == last || v.stage.isInside(last)) {
			sp.written(v)
		}
	}
	for _, o := range sp.x.hunter.outputs {
		if o.stage == last || o.stage.isInside(last) {
			sp.output(o.stage, o.fifo)
		}
	}
}

// A fifoOutput is a FIFO that a stage has opened for writing, or a pipe that it writes to
// by a duplicate: its reader sees an end when the stage is killed, also if nothing has
// been started in it yet.
type fifoOutput struct {
	stage *stageRun
	fifo  *os.File
}

// opens takes a FIFO that was opened for writing in a stage, or outside of any if that
// is nil.
func (x *execution) opens(s *stageRun, fifo *os.File) {
	if s == nil {
		return
	}
	h := &x.hunter
	h.starting.Lock()
	if slices.Contains(h.outputs, fifoOutput{s, fifo}) {
		h.starting.Unlock()
		return
	}
	h.outputs = slices.DeleteFunc(h.outputs, func(o fifoOutput) bool {
		return pipeOf(o.fifo) == (pipeID{}) // closed
	})
	h.outputs = append(h.outputs, fifoOutput{s, fifo})
	lost := s.lostTo()
	h.starting.Unlock()
	if lost != nil {
		x.spread(lost, func(sp *spread) { sp.output(nil, fifo) })
	}
}

// lostTo returns the failure because of which a stage, or one that it is inside of,
// was killed; nil where it was not. The caller holds hunter.starting.
func (s *stageRun) lostTo() *verdict {
	for ; s != nil; s = s.parent {
		for _, t := range s.pipeline.stages {
			if t.lostBy != nil && s.doomed {
				return t.lostBy
			}
		}
	}
	return nil
}

// andAfter returns a stage and those after it.
func (s *stageRun) andAfter() []*stageRun {
	all := s.pipeline.stages
	return all[slices.Index(all, s):]
}

// isInside reports whether s runs in a pipeline inside of outer. s may be nil.
func (s *stageRun) isInside(outer *stageRun) bool {
	if s == nil {
		return false
	}
	for e := s.parent; e != nil; e = e.parent {
		if e == outer {
			return true
		}
	}
	return false
}
