package pipeline

import (
	"sync"

	"rpipe/remote"
)

// A chain is remote commands of neighbouring stages, which begin together.
type chain struct {
	*remote.Chain

	opening sync.Once
	open    bool // every host has accepted

	mu      sync.Mutex
	unready int           // commands that are neither ready nor given up
	wanted  bool          // one was ready
	begun   chan struct{} // closed when the chain was started, or closed
}

// newChain makes a chain of commands, each of which writes to the next, and tells
// them.
func newChain(runs []*remoteRun) {
	first, last := runs[0], runs[len(runs)-1]
	c := &chain{
		Chain:   remote.NewChain(first.chainContext(len(runs) > 1), first.x.opts.Dialer),
		unready: len(runs),
		begun:   make(chan struct{}),
	}
	for i, r := range runs {
		c.Stages = append(c.Stages, r.target)
		r.chain, r.position = c, i
	}
	if first.hc.Stdin != nil {
		c.Stdin = first.hc.Stdin
	}
	c.Stdout, c.Stderr = last.output(last.hc.Stdout), last.output(stderrOf(last.hc))
	c.Grace = first.x.opts.Grace
	c.Lost = func(stage int, err error) {
		r := runs[stage]
		if !r.x.hunter.wasKilled(r.sh.stage) && r.ctx.Err() == nil {
			r.lose(err)
		}
	}
	if first.x.opts.Settle != nil {
		c.Ended = first.inputEnded
	}
}

// opened opens the chain with the first call, for which the others wait, and
// reports whether every host has accepted.
func (c *chain) opened() bool {
	c.opening.Do(func() { c.open = c.Open() })
	return c.open
}

// ready tells that the command at a position may run. It returns when all have told
// so, or given up, and the chain has begun.
func (c *chain) ready() {
	c.countIn(true)
	<-c.begun
}

// giveUp tells that the command at a position shall not run: nor will those after
// it. It returns when what may have run for it is over.
func (c *chain) giveUp(position int) {
	if c.open {
		c.Abort(position)
	}
	c.countIn(false)
	<-c.begun
	if c.open && c.wanted {
		c.Wait(position)
	}
}

func (c *chain) countIn(wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = c.wanted || wanted
	if c.unready--; c.unready > 0 {
		return
	}
	if c.wanted {
		c.Start()
	} else {
		c.Close()
	}
	close(c.begun)
}
