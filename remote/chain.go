package remote

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"
)

// ErrPoisoned is the failure of a stage that was killed because one before it was
// lost: it must not take what it got for the whole.
var ErrPoisoned = errors.New("killed, because a stage before it was lost")

// Stage is one command of a Chain.
type Stage struct {
	// Host is the host as the user names it; Port 0 is the one of Dialer.Resolve,
	// of the DNS, or DefaultPort.
	Host string
	Port int
	// Program is what runs there.
	Program Program
}

// A Chain is remote stages in a row, each of which reads what the one before it
// writes. Neighbours on one host are one session there, joined by a pipe of that
// host. Between two hosts the bytes go over a hop, from the one daemon to the
// other, if the first one may and can connect to the second; else they are relayed
// through this process. It is for one use. Its fields must not change after Open.
type Chain struct {
	// Dialer makes the connections. It is required.
	Dialer *Dialer
	// Stages are what runs; at least one.
	Stages []Stage
	// Stdin is the input of the first stage, Stdout takes the output of the last
	// one, and Stderr that of all, as in Cmd.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Ended is Cmd.Ended, for Stdin.
	Ended func() bool
	// Grace is that of Cmd.
	Grace time.Duration
	// Lost is called when the session that begins with a stage was lost, once all
	// stages after it in the chain cannot take what they got for the whole any more,
	// and before anybody may wait for a reader of its output; nil is no call. Wait
	// for the stage returns after it, with the same error.
	Lost func(stage int, err error)

	ctx     context.Context
	parts   []*part
	started bool
}

// Link is how the output of a stage reaches the next one of its chain.
type Link int

// The output of the last stage of a chain has no link.
const (
	NoLink Link = iota
	Fused       // a pipe on the host
	Hop         // from daemon to daemon
	Relay       // through this process
)

// Outcome is how one stage of a Chain ended.
type Outcome struct {
	// Err is nil for status 0; else *ExitError, *LostError, *CopyError,
	// ErrPoisoned, or the cause of the context that has ended.
	Err error
	// Result is nil where it is not known.
	Result *Result
	// ReaderGone tells that nobody wanted the rest of the stage's output: then,
	// and only then, death by SIGPIPE is no failure.
	ReaderGone bool
}

// NewChain returns a Chain of stages. What is said of the context at Command holds
// for every stage.
func NewChain(ctx context.Context, d *Dialer, stages ...Stage) *Chain {
	return &Chain{ctx: ctx, Dialer: d, Stages: stages}
}

// Open connects to all hosts at once, and returns when each has accepted its
// stages and the hops are made: nothing runs, and no input is taken. If it returns
// false, Refusal tells why, and nothing is left open.
func (c *Chain) Open() bool {
	c.divide()
	var opening sync.WaitGroup
	for i, p := range c.parts {
		if p.refusals == nil {
			opening.Go(func() { p.open(c.before(i), i+1 < len(c.parts)) })
		} else {
			p.key.fail()
		}
	}
	opening.Wait()
	if !c.refused() {
		c.join()
	}
	if c.refused() {
		c.Close()
		return false
	}
	return true
}

// before returns the part before that at i, nil before the first.
func (c *Chain) before(i int) *part {
	if i == 0 {
		return nil
	}
	return c.parts[i-1]
}

func (c *Chain) refused() bool {
	return slices.ContainsFunc(c.parts, func(p *part) bool { return p.refusals != nil })
}

// Refusal returns, after Open, why a stage was refused: *DialError, *RefusedError,
// an error of package identity, the context's cause, or the Dialer's own; nil if it
// was not.
func (c *Chain) Refusal(stage int) error {
	p := c.part(stage)
	if p.refusals == nil {
		return nil
	}
	return p.refusals[stage-p.first]
}

// part returns the part that a stage is in.
func (c *Chain) part(stage int) *part {
	i := slices.IndexFunc(c.parts, func(p *part) bool { return stage <= p.last })
	return c.parts[i]
}

// divide makes the parts: neighbours that have the same addresses are one, unless
// that would be more than one session may have.
func (c *Chain) divide() {
	ctx, cancel := context.WithTimeout(c.ctx, c.Dialer.timeout())
	defer cancel()
	var last []candidate
	for i, s := range c.Stages {
		addresses, err := c.Dialer.candidates(ctx, s.Host, s.Port)
		if n := len(c.parts); n > 0 && err == nil && slices.Equal(last, addresses) && c.parts[n-1].take(s.Program) {
			c.parts[n-1].last = i
			continue
		}
		last = addresses
		p := &part{
			chain: c, first: i, last: i,
			key: newHostKey(), lost: make(chan struct{}), told: make(chan struct{}), settled: make(chan struct{}),
		}
		if err != nil {
			p.refusals = []error{err}
		}
		ctx, cancel := context.WithCancelCause(c.ctx)
		p.cancel = cancel
		p.cmd = &Cmd{
			ctx: ctx, aborted: make(chan struct{}),
			Dialer: c.Dialer, Host: s.Host, Port: s.Port, Programs: []Program{s.Program},
			Stderr: c.Stderr, Grace: c.Grace,
		}
		i := len(c.parts)
		p.cmd.onLoss = func(err error) { p.lose(i, err) }
		c.parts = append(c.parts, p)
	}
	c.parts[0].cmd.Stdin, c.parts[0].cmd.Ended = c.Stdin, c.Ended
	c.parts[len(c.parts)-1].cmd.Stdout = c.Stdout
}

// join makes the hops, and the relays for those that cannot be made.
func (c *Chain) join() {
	var joining sync.WaitGroup
	for i := 1; i < len(c.parts); i++ {
		joining.Go(func() { c.parts[i-1].join(c.parts[i]) })
	}
	joining.Wait()
	for i := 1; i < len(c.parts); i++ {
		from, to := c.parts[i-1], c.parts[i]
		if from.relay {
			from.relayTo(to)
		}
	}
}

// Link tells, after Open, how the output of a stage reaches the next one, and, for
// a relay, why it is no hop.
func (c *Chain) Link(stage int) (Link, error) {
	p := c.part(stage)
	switch {
	case stage == len(c.Stages)-1:
		return NoLink, nil
	case stage < p.last:
		return Fused, nil
	case p.relay:
		return Relay, p.why
	}
	return Hop, nil
}

// Close gives up a Chain that was opened and not started. After Start it does
// nothing.
func (c *Chain) Close() {
	if c.started {
		return
	}
	c.started = true
	for _, p := range c.parts {
		if p.cmd != nil {
			p.cmd.Close()
		}
		p.closeEnds()
		p.cancel(nil)
	}
}

// Start lets the stages run, after Open. Wait must follow for each of them. It does
// not block for longer than the network takes a few bytes.
func (c *Chain) Start() {
	c.started = true
	// From the last to the first: whoever writes finds its reader.
	for i, p := range slices.Backward(c.parts) {
		if err := p.cmd.Start(); err != nil {
			p.settle(i, err)
			continue
		}
		go func() { p.settle(i, p.cmd.Wait()) }()
	}
}

// Wait waits for the session that a stage is in, and returns how the stage ended.
// It may be called for several stages at the same time, after Start.
func (c *Chain) Wait(stage int) Outcome {
	p := c.part(stage)
	<-p.settled
	return p.outcome(stage - p.first)
}

// Abort ends the session of a stage, and those after it, as Cmd.Abort does: when it
// has returned none of them will take what it got for the whole.
func (c *Chain) Abort(stage int) {
	for _, p := range c.parts {
		if p.last >= stage {
			p.cmd.Abort()
		}
	}
}

// Signal sends a signal to all programs of the chain that run, as far as it reaches
// them: one that has no name, or comes before Start, does nothing. It does not wait.
func (c *Chain) Signal(sig syscall.Signal) {
	for _, p := range c.parts {
		_ = p.cmd.Signal(sig) // the part may be over
	}
}

// Discard ends a stage and those before it, since nobody will read what they write:
// their programs get PIPE, and KILL after Grace. It does not block.
func (c *Chain) Discard(stage int) {
	for _, p := range c.parts {
		if p.first <= stage {
			p.cancel(errReaderLost)
		}
	}
}
