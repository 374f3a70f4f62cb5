package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"time"

	"rpipe/remote/wire"
)

const (
	// leastShare is the least part of the time-out that one of several places
	// gets, as with the addresses of a name in package net.
	leastShare = 2 * time.Second
	// firstPause and longestPause are those before a host is asked again, before
	// jitter.
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
	// unreachableLife is how long a place that could not be reached is tried
	// after the others.
	unreachableLife = 30 * time.Second
)

// open makes a request to a host, within ConnectTimeout and before anything of it
// runs. ask is called with one connection after the other, idle ones and new ones,
// and not again after it returned nil; the client returned is the one that it
// was called with then, and the caller's: put gives it back in order, wire.Close
// ends it. client.address is where it is, client.hostKey whose it is. ask must
// make the whole request, and nothing but a request that may be made again; its
// context ends in time. Its error is what client.ask or a method built on it
// returned.
//
// A place that is unreachable, does not keep to the protocol's carrier, or
// refuses with StatusBusy, gives way to the next one of candidates. Any other
// answer is the answer: another place that says something else would make the
// outcome a matter of luck. With a key that is not the host's somebody may stand
// between, which must be seen, and who may hold off a connection must not choose
// where the data goes instead; a caller or program that one host does not admit
// must not slip in at another.
//
// The error is *DialError, *RefusedError, one of package identity, or the
// context's cause.
func (d *Dialer) open(ctx context.Context, host string, port int, ask func(context.Context, *client) error) (*client, error) {
	// Apart from the time-out: a passphrase may have to be typed.
	if _, _, err := d.identify(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	var accepted *client
	err := d.reach(ctx, host, port, func(ctx context.Context, at candidate) error {
		c, err := d.request(ctx, at, ask)
		accepted = c
		return err
	})
	if err != nil {
		return nil, err
	}
	return accepted, nil
}

// request asks on an idle connection, or a new one.
func (d *Dialer) request(ctx context.Context, at candidate, ask func(context.Context, *client) error) (*client, error) {
	c := d.take(at)
	for reused := c != nil; ; reused = false {
		if !reused {
			var err error
			if c, err = d.dial(ctx, at); err != nil {
				return nil, err
			}
		}
		err := ask(ctx, c)
		if err == nil {
			return c, nil
		}
		var refused *RefusedError
		if errors.As(err, &refused) && c.wire.Err() == nil {
			d.put(c)
			return nil, err
		}
		c.wire.Close()
		if !reused || ctx.Err() != nil {
			return nil, err
		}
		// The daemon may have closed the idle connection meanwhile.
	}
}

// reach calls try with each place of a host until it returns nil, again and again
// where persist says so.
func (d *Dialer) reach(ctx context.Context, host string, port int, try func(context.Context, candidate) error) error {
	return d.persist(ctx, host, func() error {
		places, err := d.candidates(ctx, host, port)
		if err != nil {
			return err
		}
		return d.round(ctx, host, places, try)
	})
}

// persist calls attempt until it returns nil. Where the host is busy, it does so
// anew after a pause, until the context ends; with AwaitHost, also where the host
// is not there.
func (d *Dialer) persist(ctx context.Context, host string, attempt func() error) error {
	var last error // of the last attempt that was whole
	await := d.AwaitHost
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := attempt()
		switch {
		case err == nil:
			return nil
		case last != nil && ctx.Err() != nil && isDeadline(ctx):
			return last
		case isBusy(err):
			await = true // it was there a moment ago
		case !await || !isTransient(err):
			return err
		}
		if last == nil && d.Waiting != nil {
			d.Waiting(host, err)
		}
		last = err
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if !isDeadline(ctx) {
				return context.Cause(ctx)
			}
			return last
		}
	}
}

// isDeadline reports whether the context ended for want of time, and not because
// of what its cause says.
func isDeadline(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// round calls try with each place once. Its error is the answer of a place, or of
// the last one that was busy, or tells of all that could not be reached.
func (d *Dialer) round(ctx context.Context, host string, places []candidate, try func(context.Context, candidate) error) error {
	var busy error
	var unreachable []*DialError
	places = d.inOrder(places)
	for i, at := range places {
		err := tryWithin(ctx, len(places)-i, at, try)
		var dial *DialError
		missing := errors.As(err, &dial)
		d.found(at, !missing)
		switch {
		case err == nil:
			return nil
		case missing:
			unreachable = append(unreachable, dial)
		case isBusy(err):
			busy = err
		default:
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	switch {
	case busy != nil:
		return busy
	case len(unreachable) == 1:
		return unreachable[0]
	}
	return &DialError{Address: host, Err: unreachableError(unreachable)}
}

// tryWithin calls try, and leaves time for those that are left.
func tryWithin(ctx context.Context, left int, at candidate, try func(context.Context, candidate) error) error {
	if deadline, ok := ctx.Deadline(); ok && left > 1 {
		share := max(time.Until(deadline)/time.Duration(left), leastShare)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, share)
		defer cancel()
	}
	return try(ctx, at)
}

// inOrder returns the places with those last that could not be reached lately.
func (d *Dialer) inOrder(places []candidate) []candidate {
	d.mu.Lock()
	defer d.mu.Unlock()
	var order, late []candidate
	for _, at := range places {
		if since, ok := d.unreachable[at.address]; ok && time.Since(since) < unreachableLife {
			late = append(late, at)
		} else {
			order = append(order, at)
		}
	}
	return append(order, late...)
}

// found records whether a place could be reached.
func (d *Dialer) found(at candidate, reachable bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if reachable {
		delete(d.unreachable, at.address)
		return
	}
	if d.unreachable == nil {
		d.unreachable = make(map[string]time.Time)
	}
	d.unreachable[at.address] = time.Now()
}

func isBusy(err error) bool {
	var refused *RefusedError
	return errors.As(err, &refused) && refused.Status == wire.StatusBusy
}

// isTransient reports whether a host that could not be reached may be there
// later: it, its network or its name server does not answer, or says no. That a
// name does not exist, and that somebody else listens there, is no such thing.
func isTransient(err error) bool {
	var several unreachableError
	if errors.As(err, &several) {
		for _, e := range several {
			if isTransient(e) {
				return true
			}
		}
		return false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary || dns.IsTimeout
	}
	var number syscall.Errno
	return errors.As(err, &number) ||
		errors.Is(err, errNoAnswer) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unreachableError is the places of a host, none of which could be reached.
type unreachableError []*DialError

func (e unreachableError) Error() string {
	var parts []string
	for _, d := range e {
		parts = append(parts, d.Address+": "+innermost(d.Err).Error())
	}
	return strings.Join(parts, "; ")
}
