package pipeline

import "sync"

// A gathering is where neighbouring stages that may need a host come together
// before any of them is opened. Those that do, side by side, are one chain.
type gathering struct {
	over chan struct{} // closed when no stage is on its way any more

	mu       sync.Mutex
	onTheWay int
	runs     []*remoteRun // by stage, from the first of the gathering on; nil: it has not come, or left
	left     []bool
}

// newGathering returns a gathering for a number of stages.
func newGathering(stages int) *gathering {
	return &gathering{
		over: make(chan struct{}), onTheWay: stages,
		runs: make([]*remoteRun, stages), left: make([]bool, stages),
	}
}

// come counts a stage in, as the command that it turned out to be, and waits until
// the others have come or left; then the command has its chain. It returns false if
// the stage has left before.
func (g *gathering) come(i int, r *remoteRun) bool {
	g.mu.Lock()
	if g.left[i] {
		g.mu.Unlock()
		return false
	}
	g.runs[i] = r
	g.less()
	g.mu.Unlock()
	<-g.over
	return true
}

// leave counts a stage out, unless it has come or left.
func (g *gathering) leave(i int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.runs[i] == nil && !g.left[i] {
		g.left[i] = true
		g.less()
	}
}

// less tells that one stage less is on its way. When none is, the chains are made.
// g.mu is held.
func (g *gathering) less() {
	if g.onTheWay--; g.onTheWay > 0 {
		return
	}
	var chain []*remoteRun
	for _, r := range g.runs {
		if len(chain) > 0 && (r == nil || !chain[len(chain)-1].writesTo(r)) {
			newChain(chain)
			chain = nil
		}
		if r != nil {
			chain = append(chain, r)
		}
	}
	if len(chain) > 0 {
		newChain(chain)
	}
	close(g.over)
}
