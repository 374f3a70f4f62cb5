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

func (p *part) closeEnds() {
	for _, f := range p.ends {
		f.Close()
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
		if o.Result == nil {
			o.Err = p.err // nobody has said how it ended
		} else if o.Result.Status != 0 || o.Result.Signal != "" {
			o.Err = &ExitError{Program: program, Status: o.Result.Status, Signal: o.Result.Signal}
		}
	case program > 0 && isLoss(p.err) && context.Cause(p.chain.ctx) == nil:
		o.Err = ErrPoisoned
	default:
		o.Err = p.err
	}
	return o
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
