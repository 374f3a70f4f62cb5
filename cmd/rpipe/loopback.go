package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
)

// loopback plays hosts: each name that is dialled gets a daemon of its own, on a
// port of 127.0.0.1, which lets one key in that nobody else has. The daemons may
// send each other output.
type loopback struct {
	caller  *identity.Key
	callers *identity.AuthorizedKeys
	reapers *reaper.Pool // of every daemon

	mu      sync.Mutex
	daemons map[string]*daemon // by host; nil after close
}

// daemon is one host.
type daemon struct {
	key     *identity.Key
	server  *serve.Server
	address string
	served  chan struct{}
}

func newLoopback() (*loopback, error) {
	caller, err := identity.Generate()
	if err != nil {
		return nil, err
	}
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"loopback": caller.PublicKey()})
	if err != nil {
		return nil, err
	}
	return &loopback{
		caller:  caller,
		callers: callers,
		reapers: reaper.NewPool(reaper.Options{}),
		daemons: make(map[string]*daemon),
	}, nil
}

// dialer makes connections to the daemons, whatever the host and the port.
func (l *loopback) dialer() *remote.Dialer {
	return &remote.Dialer{Key: l.caller, Hosts: l, Dial: l.dial}
}

// Check implements remote.HostKeys.
func (l *loopback) Check(address string, key ssh.PublicKey) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	d, err := l.daemon(strings.ToLower(host))
	if err != nil {
		return err
	}
	if !bytes.Equal(key.Marshal(), d.key.PublicKey().Marshal()) {
		return errors.New("somebody else answers on the port of an embedded daemon")
	}
	return nil
}

// Peer implements serve.Hops: every daemon may connect to every other.
func (l *loopback) Peer(_ string, key ssh.PublicKey) (serve.HopPeer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for host, d := range l.daemons {
		if bytes.Equal(key.Marshal(), d.key.PublicKey().Marshal()) {
			return serve.HopPeer{Name: host, Address: d.address}, nil
		}
	}
	return serve.HopPeer{}, &serve.Refusal{Status: serve.StatusDenied, Reason: "it is no embedded daemon"}
}

// dial connects to the daemon that plays the host of address, which it starts if
// need be.
func (l *loopback) dial(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d, err := l.daemon(strings.ToLower(host))
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", d.address)
}

func (l *loopback) daemon(host string) (*daemon, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.daemons == nil {
		return nil, net.ErrClosed
	}
	if d := l.daemons[host]; d != nil {
		return d, nil
	}
	key, err := identity.Generate()
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		key.Close()
		return nil, err
	}
	d := &daemon{
		key:     key,
		server:  &serve.Server{Key: key, Callers: l.callers, Programs: serve.AnyProgram{}, Hops: l, Reapers: l.reapers},
		address: ln.Addr().String(),
		served:  make(chan struct{}),
	}
	go func() {
		defer close(d.served)
		_ = d.server.Serve(ln) // until close
	}()
	l.daemons[host] = d
	return d, nil
}

// close ends the daemons and what they run.
func (l *loopback) close() {
	l.mu.Lock()
	daemons := l.daemons
	l.daemons = nil
	l.mu.Unlock()
	for _, d := range daemons {
		d.server.Close()
		<-d.served
		d.key.Close()
	}
	l.reapers.Close()
	l.caller.Close()
}
