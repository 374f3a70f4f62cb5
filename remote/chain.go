package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/wire"
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

// A part is a run of stages in one session.
type part struct {
	chain       *Chain
	first, last int // indexes in Chain.Stages, inclusive
	cmd         *Cmd
	cancel      context.CancelCauseFunc
	refusals    []error // why it was not opened: by stage of the part; nil: it was

	key   *hostKey // that of the host, for the part after it
	hop   *wire.Hop
	why   error // the relay's reason
	relay bool
	ends  []io.Closer // its ends of relay pipes

	mu sync.Mutex
	by *part // the lost one that poisons it

	losing  sync.Once
	lost    chan struct{} // closed when the part is lost
	told    chan struct{} // closed when everybody knows of it
	settled chan struct{} // closed with err set
	err     error
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

// take adds a program to a part, if one session can hold it too.
func (p *part) take(program Program) bool {
	if p.refusals != nil {
		return false
	}
	programs := append(slices.Clip(p.cmd.Programs), program)
	if _, err := (wire.Open{Programs: programs}).Frames(); err != nil {
		return false
	}
	p.cmd.Programs = programs
	return true
}

// open opens a part, prepared for hops from the part before it, unless that is
// nil, and to one after it.
func (p *part) open(before *part, hops bool) {
	defer p.key.fail()
	err := p.cmd.open(func(ctx context.Context, client *client) error {
		p.key.set(client.hostKey)
		o := wire.Open{Programs: p.cmd.Programs, Out: hops}
		p.hop = nil
		if before != nil {
			if key := before.key.await(ctx); key != nil {
				o.In = &wire.Ticket{Secret: wire.NewSecret(), Peer: key}
				p.hop = &wire.Hop{
					Name: p.cmd.Host, Peer: client.hostKey.Marshal(),
					Secret: o.In.Secret, Digest: o.Digest(),
				}
			}
		}
		return client.open(ctx, o)
	})
	if err != nil {
		p.refuse(err)
	}
}

// refuse takes the refusal of a part. A host names one program: it is asked for the
// others, so that all refusals can be told together.
func (p *part) refuse(err error) {
	p.refusals = make([]error, len(p.cmd.Programs))
	others := make([]int, len(p.cmd.Programs)) // indexes in cmd.Programs
	for i := range others {
		others[i] = i
	}
	for {
		var r *RefusedError
		if !errors.As(err, &r) || r.Program >= len(others) {
			p.refusals[others[0]] = err
			return
		}
		p.refusals[others[r.Program]] = r
		others = slices.Delete(others, r.Program, r.Program+1)
		if len(others) == 0 || r.Status != wire.StatusDenied && r.Status != wire.StatusNotFound {
			return
		}
		rest := &Cmd{ctx: p.cmd.ctx, Dialer: p.cmd.Dialer, Host: p.cmd.Host, Port: p.cmd.Port}
		for _, i := range others {
			rest.Programs = append(rest.Programs, p.cmd.Programs[i])
		}
		if err = rest.Open(); err == nil {
			rest.Close()
			return
		}
	}
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

// join connects the output of a part to the input of the next one by a hop, or
// leaves both to a relay.
func (p *part) join(to *part) {
	ctx, cancel := context.WithTimeout(p.chain.ctx, p.chain.Dialer.timeout())
	defer cancel()
	if to.hop == nil {
		p.refuse(&DialError{Address: p.cmd.client.address, Err: errNoAnswer})
		return
	}
	made, why, err := p.cmd.client.hop(ctx, *to.hop)
	if err != nil {
		p.refuse(err)
		return
	}
	p.relay, p.why = !made, why
	p.cmd.hopOut, to.cmd.hopIn = made, made
	if !made {
		_ = to.cmd.client.wire.Send(wire.Frame{Type: wire.TypeRelay}) // a loss shows at START
	}
}

// relayTo joins two parts by a pipe of ours.
func (p *part) relayTo(to *part) {
	r, w, err := os.Pipe()
	if err != nil {
		p.refuse(err)
		return
	}
	p.cmd.Stdout, to.cmd.Stdin = w, r
	p.ends, to.ends = append(p.ends, w), append(to.ends, r)
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

func (p *part) closeEnds() {
	for _, f := range p.ends {
		f.Close()
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

// errReaderLost ends the parts before one that was lost. Nobody will read what they
// write, as they would learn if they wrote.
var errReaderLost error = readerLost{}

type readerLost struct{}

func (readerLost) Error() string          { return "the stage that reads the output was lost" }
func (readerLost) Signal() syscall.Signal { return syscall.SIGPIPE }

// settle takes the verdict of the part at i.
func (p *part) settle(i int, err error) {
	if isLoss(err) {
		p.lose(i, err)
	}
	if by := p.poisoner(); by != nil {
		<-by.told // nobody may go on before
		if err != nil && p.chain.ctx.Err() == nil {
			err = ErrPoisoned
		}
	}
	p.closeEnds()
	p.cancel(nil)
	p.err = err
	close(p.settled)
}

// poisoner returns the lost part because of which this one must not take what it got
// for the whole, or nil.
func (p *part) poisoner() *part {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by
}

// blamePatience is how long a part that has lost its input waits for the loss of the
// part that sent it, which is then the one to name.
const blamePatience = time.Second

// lose does what is to be done as soon as the part at i is lost: those after it are
// aborted, before any of them can see an end of its input, and those before it get
// PIPE. Calls after the first do nothing.
func (p *part) lose(i int, err error) {
	p.losing.Do(func() {
		defer close(p.told)
		after := p.chain.parts[i+1:]
		for _, q := range after {
			q.mu.Lock()
			if q.by == nil {
				q.by = p
			}
			q.mu.Unlock()
		}
		close(p.lost)
		var input *inputLostError
		if errors.As(err, &input) && i > 0 {
			before := p.chain.parts[i-1]
			select {
			case <-before.lost:
			case <-before.settled:
			case <-time.After(blamePatience):
			}
		}
		if p.poisoner() == nil && p.chain.Lost != nil && p.chain.ctx.Err() == nil {
			p.chain.Lost(p.first, err)
		}
		for _, q := range after {
			q.cmd.Abort()
		}
		for _, q := range p.chain.parts[:i] {
			q.cancel(errReaderLost)
		}
	})
}

// isLoss reports whether an error says that nobody knows how a program ended, so
// that what came out of it may be a part.
func isLoss(err error) bool {
	var exit *ExitError
	var output *CopyError
	switch {
	case err == nil, errors.As(err, &exit), err == errReaderLost:
		return false
	case errors.As(err, &output):
		return !output.Output()
	}
	return true
}

// Wait waits for the session that a stage is in, and returns how the stage ended.
// It may be called for several stages at the same time, after Start.
func (c *Chain) Wait(stage int) Outcome {
	p := c.part(stage)
	<-p.settled
	return p.outcome(stage - p.first)
}

// outcome is that of one program of a part that has settled. Where nobody knows how
// the programs ended it is the first that is lost, and the others go with it.
func (p *part) outcome(program int) Outcome {
	var (
		o      Outcome
		exit   *ExitError
		copied *CopyError
	)
	last := program == p.last-p.first
	if results := p.cmd.Results(); results != nil {
		o.Result = &results[program]
	}
	if last {
		o.ReaderGone = p.cmd.ReaderGone()
	} else {
		o.ReaderGone = true // of a pipe of the host: nothing else gives its writer SIGPIPE
	}
	switch {
	case p.err == errReaderLost && o.Result == nil:
		o.Err, o.ReaderGone = &ExitError{Program: program, Signal: "PIPE"}, true
	case errors.As(p.err, &exit), p.err == nil, p.err == errReaderLost,
		errors.As(p.err, &copied) && copied.Output() && !last:
		if o.Result != nil && (o.Result.Status != 0 || o.Result.Signal != "") {
			o.Err = &ExitError{Program: program, Status: o.Result.Status, Signal: o.Result.Signal}
		}
	case program > 0 && isLoss(p.err) && context.Cause(p.chain.ctx) == nil:
		o.Err = ErrPoisoned
	default:
		o.Err = p.err
	}
	return o
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

// Discard ends a stage and those before it, since nobody will read what they write:
// their programs get PIPE, and KILL after Grace. It does not block.
func (c *Chain) Discard(stage int) {
	for _, p := range c.parts {
		if p.first <= stage {
			p.cancel(errReaderLost)
		}
	}
}

// Signal sends a signal to the programs of every session that is under way.
func (c *Chain) Signal(sig syscall.Signal) {
	for _, p := range c.parts {
		_ = p.cmd.Signal(sig)
	}
}

// hostKey is the key of a host, which is known when a connection to it is made.
type hostKey struct {
	known chan struct{}
	once  sync.Once
	key   []byte // in SSH's wire format; nil if there was no connection
}

func newHostKey() *hostKey { return &hostKey{known: make(chan struct{})} }

// set makes the key known. Only the first set or fail counts.
func (k *hostKey) set(key ssh.PublicKey) {
	k.once.Do(func() {
		k.key = key.Marshal()
		close(k.known)
	})
}

// fail tells that there will be no key.
func (k *hostKey) fail() { k.once.Do(func() { close(k.known) }) }

// await returns the key, nil where there is none or the context is done.
func (k *hostKey) await(ctx context.Context) []byte {
	select {
	case <-k.known:
		return k.key
	case <-ctx.Done():
		return nil
	}
}
