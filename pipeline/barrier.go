package pipeline

import (
	"context"
	"sync"
	"time"
)

// patience is how long a stage holds up its pipeline's start while commands run
// that stand in its words. Nearly all of them need nobody, and end long before;
// but one may read what a stage before it would write, which is not started yet,
// and so would never end.
const patience = time.Second

// A barrier is the first phase of a pipeline's start. The stages that may need a
// host meet there: each comes to the point where its host has accepted it, or
// has refused; or it leaves, because it turned out to need none, has ended, or
// does something that another stage may have to be running for. When none is on
// its way any more the pipeline decides, once.
type barrier struct {
	met     chan struct{} // closed when no stage is on its way any more
	decided chan struct{} // closed by decide
	turn    turn          // of services

	mu       sync.Mutex
	onTheWay int
	start    bool // the decision
}

// newBarrier returns a barrier for a number of stages; 0 is one that is met.
func newBarrier(stages int) *barrier {
	b := &barrier{met: make(chan struct{}), decided: make(chan struct{}), onTheWay: stages}
	b.turn.given = make(chan struct{})
	if stages == 0 {
		close(b.met)
	}
	return b
}

// decide lets the stages go on, or not. It is called once.
func (b *barrier) decide(start bool) {
	b.start = start
	close(b.decided)
}

func (b *barrier) arrive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.onTheWay--; b.onTheWay == 0 {
		close(b.met)
	}
}

// A ticket is the place of one stage at a barrier. A nil ticket is that of a
// stage which has none: it never waits.
type ticket struct {
	barrier   *barrier
	gathering *gathering
	position  int // in the gathering
	once      sync.Once
	refused   *verdict // set before the barrier is met, by a service before its turn is over, or never
	connected func()   // ends the turn of a stage that has called awaitAccepted; nil for others

	mu      sync.Mutex
	leaving *time.Timer // nil: leaveSoon was not called
	over    bool        // leave was called
}

// gather waits for the neighbours that may be one chain with r, the command of the
// stage, and gives it its chain. It returns false where the stage has left before:
// its command is by itself.
func (t *ticket) gather(r *remoteRun) bool {
	return t != nil && t.gathering.come(t.position, r)
}

// refuse counts the stage in as one that its host has refused. It returns false
// if the stage has left before: then others may run already.
func (t *ticket) refuse(v *verdict) (in bool) {
	if t == nil {
		return false
	}
	t.gathering.leave(t.position)
	t.once.Do(func() {
		t.refused, in = v, true
		t.barrier.arrive()
	})
	if t.connected != nil {
		t.refused, in = v, true
		t.connected()
	}
	return in
}

// refusal returns the refusal of the stage, or nil, when the barrier is met.
func (t *ticket) refusal() *verdict {
	if t == nil {
		return nil
	}
	return t.refused
}

// leave counts the stage out. Only the first leave or await of a ticket counts.
func (t *ticket) leave() {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.over = true
	if t.leaving != nil {
		t.leaving.Stop()
	}
	t.mu.Unlock()
	t.goOut()
}

// goOut takes the stage out of the gathering and of the barrier, where it is still
// on its way.
func (t *ticket) goOut() {
	t.gathering.leave(t.position)
	t.once.Do(t.barrier.arrive)
}

// leaveSoon counts the stage out if it has not come to its point when patience is
// over. Calls after the first do nothing.
func (t *ticket) leaveSoon() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leaving == nil && !t.over {
		t.leaving = time.AfterFunc(patience, t.goOut)
	}
}

// await counts the stage in and waits for the decision. It returns true when the
// stage shall go on, false when the pipeline is not started or the context is
// done. A stage that has left goes on.
func (t *ticket) await(ctx context.Context) bool {
	if t == nil {
		return true
	}
	t.gathering.leave(t.position)
	left := true
	t.once.Do(func() {
		left = false
		t.barrier.arrive()
	})
	switch {
	case t.connected != nil:
		t.connected()
	case left:
		return ctx.Err() == nil
	}
	select {
	case <-t.barrier.decided:
		return t.barrier.start
	case <-ctx.Done():
		return false
	}
}
