package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// client is a connection to a daemon, and what the daemon has said of the
// session on it.
type client struct {
	candidate               // where it is
	hostKey   ssh.PublicKey // that the daemon has proved to have
	wire      *wire.Conn

	mu       sync.Mutex
	phase    phase
	session  *wire.Session
	ends     []wire.End // by program
	missing  int        // ENDs that have not come
	message  wire.Message
	listing  []wire.Listing
	refusal  *RefusedError
	accept   wire.Accept
	hopped   wire.Hopped
	hopIn    bool          // the input of the session comes over a hop
	hopOut   bool          // its output goes over a hop
	answered chan struct{} // closed by ACCEPT, REFUSE, PROGRAMS, HOPPED
	ended    chan struct{} // closed by the last END
}

type phase int

const (
	phaseIdle    phase = iota
	phaseListing       // LIST was sent
	phaseOpening       // OPEN was sent
	phaseOpen          // ACCEPT came
	phaseHopping       // HOP was sent
	phaseRunning       // START was sent
)

func newClient(conn *tls.Conn, at candidate, hostKey ssh.PublicKey, o wire.Options) *client {
	c := &client{candidate: at, hostKey: hostKey, wire: wire.NewConn(transport.Over(conn), o)}
	c.wire.Start(c.handle)
	return c
}

// handle takes the daemon's control frames.
func (c *client) handle(f wire.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case f.Type == wire.TypeRefuse && c.phase <= phaseOpening:
		r, err := wire.DecodeRefuse(f.Payload)
		if err != nil {
			return err
		}
		c.refusal = &RefusedError{Program: r.Program, Status: r.Status, Text: r.Text}
		if c.phase != phaseOpening {
			return c.refusal // of the connection: it comes before any question
		}
		c.phase = phaseIdle
		close(c.answered)
		return nil
	case f.Type == wire.TypeAccept && c.phase == phaseOpening:
		a, err := wire.DecodeAccept(f.Payload)
		if err != nil {
			return err
		}
		c.accept, c.phase = a, phaseOpen
		close(c.answered)
		return nil
	case f.Type == wire.TypePrograms && c.phase == phaseListing:
		body, whole, err := c.message.Add(f)
		if err != nil || !whole {
			return err
		}
		if c.listing, err = wire.DecodePrograms(body); err != nil {
			return err
		}
		c.phase = phaseIdle
		close(c.answered)
		return nil
	case f.Type == wire.TypeHopped && c.phase == phaseHopping:
		h, err := wire.DecodeHopped(f.Payload)
		if err != nil {
			return err
		}
		c.hopped, c.phase = h, phaseOpen
		close(c.answered)
		return nil
	case f.Type == wire.TypeLost && c.phase == phaseRunning && c.hopIn:
		l, err := wire.DecodeLost(f.Payload)
		if err != nil {
			return err
		}
		return &inputLostError{text: l.Text}
	case f.Type == wire.TypeEnd && c.phase == phaseRunning:
		return c.handleEnd(f)
	}
	return &wire.ProtocolError{Problem: f.Type.String() + " out of place"}
}

func (c *client) handleEnd(f wire.Frame) error {
	e, err := wire.DecodeEnd(f.Payload)
	if err != nil {
		return err
	}
	if e.Program >= len(c.ends) || c.ends[e.Program].Program >= 0 {
		return &wire.ProtocolError{Problem: "END for no program, or the second one"}
	}
	c.ends[e.Program] = e
	if c.missing--; c.missing > 0 {
		return nil
	}
	switch {
	case !c.session.Complete():
		return &wire.ProtocolError{Problem: "last END before EOF of the outputs"}
	case !c.hopOut && c.ends[len(c.ends)-1].Out != c.session.Stdout.Received():
		return &wire.ProtocolError{Problem: "END tells another length of stdout than arrived"}
	case !c.hopIn && c.ends[0].In > c.session.Stdin.Sent():
		return &wire.ProtocolError{Problem: "END tells of more stdin than was sent"}
	}
	c.phase = phaseIdle
	close(c.ended)
	return nil
}

// ask sends frames that are answered and waits for the answer.
func (c *client) ask(ctx context.Context, next phase, frames ...wire.Frame) error {
	c.mu.Lock()
	answered := make(chan struct{})
	c.phase, c.answered, c.refusal = next, answered, nil
	c.mu.Unlock()
	for _, f := range frames {
		if err := c.wire.Send(f); err != nil {
			break // the read loop knows why
		}
	}
	select {
	case <-answered:
	case <-c.wire.Done():
		select {
		case <-answered:
		default:
			return c.failure(ctx)
		}
	case <-ctx.Done():
		c.wire.Close()
		return dialError(ctx, c.address, errNoAnswer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusal != nil {
		return c.refusal
	}
	return nil
}

var errNoAnswer = errors.New("it does not answer in time")

// failure is why a connection ended before anything ran.
func (c *client) failure(ctx context.Context) error {
	err := c.wire.Err()
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused
	}
	return dialError(ctx, c.address, err)
}

// list asks for the programs.
func (c *client) list(ctx context.Context) ([]wire.Listing, error) {
	if err := c.ask(ctx, phaseListing, wire.Frame{Type: wire.TypeList}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.listing, nil
}

// open asks for a session and begins it.
func (c *client) open(ctx context.Context, o wire.Open) error {
	frames, err := o.Frames()
	if err != nil {
		return &RefusedError{Status: wire.StatusDenied, Text: err.Error()}
	}
	c.mu.Lock()
	c.ends = make([]wire.End, len(o.Programs))
	for i := range c.ends {
		c.ends[i].Program = -1
	}
	c.missing = len(o.Programs)
	c.hopIn, c.hopOut = false, false
	c.ended = make(chan struct{})
	c.session = c.wire.Begin()
	c.mu.Unlock()
	if err := c.ask(ctx, phaseOpening, frames...); err != nil {
		c.wire.End()
		return err
	}
	return nil
}

// hop asks the host to connect the session's output to its peer. Where it could
// not, why is its reason. The error is that the host has gone.
func (c *client) hop(ctx context.Context, h wire.Hop) (made bool, why, err error) {
	f, err := h.Frame()
	if err != nil {
		return false, err, nil
	}
	if err := c.ask(ctx, phaseHopping, f); err != nil {
		return false, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hopped.Made {
		return false, errors.New(c.hopped.Text), nil
	}
	return true, nil, nil
}

// start lets the programs run, with the streams that are not left to hops.
func (c *client) start(hopIn, hopOut bool) error {
	c.mu.Lock()
	c.phase = phaseRunning
	c.hopIn, c.hopOut = hopIn, hopOut
	c.mu.Unlock()
	if hopIn {
		c.session.Divert(wire.Stdin)
	}
	if hopOut {
		c.session.Divert(wire.Stdout)
	}
	return c.wire.Send(wire.Frame{Type: wire.TypeStart})
}
