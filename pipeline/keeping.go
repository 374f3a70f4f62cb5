package pipeline

import (
	"os"
	"slices"
	"sync"

	"rpipe/pipeline/keeper"
)

// A hold is what Options.Keeper holds of one output. The zero value holds nothing.
type hold struct {
	mu      sync.Mutex
	release func() // nil: nothing is held
	over    bool
}

// take makes the keeper hold the output until end is called. It does nothing after
// that, and when called again.
func (h *hold) take(k *keeper.Keeper, output *os.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.release == nil && !h.over {
		h.release = k.Hold(output)
	}
}

// end is for when the output is closed.
func (h *hold) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over = true; h.release != nil {
		h.release()
		h.release = nil
	}
}

// keep makes the keeper hold all pipes of this script in which a part of the
// command's output would come to an end if this process were killed: the one that it
// writes to, and those behind. Of a command in <( ) that is no stage the FIFO is held
// until release is called.
func (r *remoteRun) keep() (release func()) {
	k := r.x.opts.Keeper
	if k == nil {
		return func() {}
	}
	for s := r.sh.stage; s != nil; s = s.parent {
		s.pipeline.keepBehind(s)
	}
	var h hold
	if f := r.x.fifo(r.hc.Stdout); f != nil {
		h.take(k, f)
	}
	return h.end
}

// keepBehind does so for the outputs of a stage and of those after it. What another
// remote command reads, or a service, needs none of that: it is not told an end.
func (p *pipelineRun) keepBehind(s *stageRun) {
	k, first := p.x.opts.Keeper, slices.Index(p.stages, s)
	for i, s := range p.stages[first:] {
		if s.out != nil && !p.plan.stages[first+i+1].isAway() {
			s.kept.take(k, s.out)
		}
	}
	if f := p.x.fifo(p.stdout); f != nil {
		p.kept.take(k, f)
	}
}

// fifo returns a stream that is a FIFO of the script, or nil.
func (x *execution) fifo(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && f != nil && x.fifos.holds(f.Name()) {
		return f
	}
	return nil
}
