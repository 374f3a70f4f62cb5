package pipeline

import (
	"context"
	"net"
	"strconv"
	"sync"
	"syscall"

	"rpipe/parser"
)

// DefaultServicePort is the port of a service whose address names none.
const DefaultServicePort = 9999

// errNoStatus is a stage that names a service, under Options.RequireStatus.
var errNoStatus = &refusal{
	what:   "a service tells no status, and --require-status wants one of every stage",
	hint:   "to have a status, run it as a program of the host's rpiped: @HOST:PROGRAM; else leave --require-status out",
	status: statusUsage,
}

// A ServiceReport is how the call of a service ended.
type ServiceReport struct {
	Address string // as written, with the port

	// EOF tells that the output came to its end. That is all that a service tells:
	// it has ended, and not how.
	EOF bool

	In, Out   int64 // bytes that were handed to the connection, and that came from it
	InputLeft bool  // the service ended before it was told of the end of its input
}

// refuseServices tells, under Options.RequireStatus, which stages name services,
// before anything runs.
func (x *execution) refuseServices() []*StageError {
	if !x.opts.RequireStatus {
		return nil
	}
	var refused []*StageError
	for _, s := range x.plan.services {
		e := s.failure(statusUsage, errNoStatus)
		e.Service = s.Address.String()
		refused = append(refused, e)
		x.diagnose(e)
	}
	return refused
}

// serviceAddress returns the network and the address of a service, as package net
// names them.
func serviceAddress(a parser.Address) (network, address string) {
	if a.Socket != "" {
		return "unix", a.Socket
	}
	port := a.Port
	if port == 0 {
		port = DefaultServicePort
	}
	return "tcp", net.JoinHostPort(a.Host, strconv.Itoa(port))
}

// runService calls a service, and meets the other stages twice: when all programs
// are accepted, since to connect is to start it, and when all services are connected.
func (r *remoteRun) runService(t *ticket) (int, *verdict) {
	network, address := serviceAddress(r.result.address)
	s := r.x.opts.Dialer.Service(r.ctx, network, address)
	defer t.endTurn()
	if !t.awaitAccepted(r.ctx) {
		return causeStatus(context.Cause(r.ctx)), nil
	}
	defer r.keep()()
	if err := s.Open(); err != nil {
		return r.refused(t, err)
	}
	defer s.Close()
	r.x.opts.Keeper.Await() // before anything reads
	if !t.await(r.ctx) {
		return causeStatus(context.Cause(r.ctx)), nil
	}
	r.ran = true
	if r.hc.Stdin != nil {
		s.Stdin = r.hc.Stdin
	}
	s.Stdout = r.output(r.hc.Stdout)
	if r.x.opts.Settle != nil {
		s.Ended = r.inputEnded
	}
	v := r.x.victimOf(r.sh, r.hc, nil)
	ok, err := r.x.hunter.begin(v, func() (lethal, error) {
		return lethal{freeze: s.Abort, kill: func() {}}, s.Start()
	})
	if ok && err == nil {
		// A service knows no signals: it is given up.
		leave := r.x.interruptible.enter(r, func(sig syscall.Signal) { r.signal(sig); s.Abort() })
		err = s.Wait()
		leave()
		r.x.hunter.remove(v)
		r.result.service = &ServiceReport{
			Address: r.result.address.String(), EOF: err == nil, InputLeft: err == nil && s.InputLeft(),
		}
		r.result.service.In, r.result.service.Out = s.Counts()
		r.result.left = s.ReaderGone()
		if err == nil {
			return 0, nil
		}
	}
	lost := r.x.hunter.cutBy(v)
	switch {
	case lost != nil:
		return lost.status, lost
	case !ok || r.x.hunter.wasKilled(r.sh.stage):
		return statusKilled, nil
	case r.ctx.Err() != nil:
		return causeStatus(context.Cause(r.ctx)), nil
	}
	return r.ended(err)
}

// A turn is the second step of a barrier: services are connected when every program
// of their pipeline has been accepted.
type turn struct {
	given chan struct{} // closed by give
	wait  sync.WaitGroup
}

// give lets the services connect, and returns when each is connected, or refused,
// or gone.
func (t *turn) give() {
	close(t.given)
	t.wait.Wait()
}

// awaitAccepted counts the stage in as one that calls a service, and waits until every
// program of its pipeline is accepted. It returns false when the service must not
// be called: another stage was refused, or the context is done. A stage that has
// left goes on.
func (t *ticket) awaitAccepted(ctx context.Context) bool {
	if t == nil {
		return true
	}
	t.gathering.leave(t.position)
	late := false
	t.once.Do(func() {
		late = true
		t.barrier.turn.wait.Add(1)
		t.connected = sync.OnceFunc(t.barrier.turn.wait.Done)
		t.barrier.arrive()
	})
	if !late {
		return ctx.Err() == nil
	}
	select {
	case <-t.barrier.turn.given:
		return true
	case <-t.barrier.decided:
		return false // without a turn: it is not started
	case <-ctx.Done():
		return false
	}
}

// endTurn ends the turn of a service which neither was refused nor met the others.
func (t *ticket) endTurn() {
	if t != nil && t.connected != nil {
		t.connected()
	}
}
