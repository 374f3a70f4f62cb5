package remote_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
	"rpipe/remote/wire"
)

// places is several addresses of one host, which callers know as "a".
type places struct {
	addresses []string
	known     map[string]ssh.PublicKey
	key       *identity.Key
}

func newPlaces(t *testing.T) *places {
	t.Helper()
	return &places{known: make(map[string]ssh.PublicKey), key: generate(t)}
}

// add adds a daemon that knows the caller, and that the caller knows.
func (p *places) add(t *testing.T, adjust ...func(*serve.Server)) *host {
	t.Helper()
	h := newHost(t, append([]func(*serve.Server){func(s *serve.Server) {
		callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": p.key.PublicKey()})
		if err != nil {
			t.Fatal(err)
		}
		s.Callers = callers
	}}, adjust...)...)
	p.addresses = append(p.addresses, h.address)
	p.known[h.address] = h.Key.PublicKey()
	return h
}

// dialer returns a Dialer that finds the places, changed by adjust.
func (p *places) dialer(t *testing.T, adjust ...func(*remote.Dialer)) *remote.Dialer {
	t.Helper()
	known, err := identity.NewKnownHosts(p.known)
	if err != nil {
		t.Fatal(err)
	}
	d := &remote.Dialer{
		Key: p.key, Hosts: known,
		Resolve: func(context.Context, string) ([]string, error) { return p.addresses, nil },
	}
	for _, f := range adjust {
		f(d)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// echo runs echo on a and returns what it said.
func echo(ctx context.Context, d *remote.Dialer) (string, error) {
	var out strings.Builder
	c := remote.Command(ctx, "a", "echo", "hello")
	c.Dialer = d
	c.Stdout = &out
	err := c.Run()
	return out.String(), err
}

// occupy opens a session with a host, so that a host with room for one is busy.
func (p *places) occupy(t *testing.T, h *host) *remote.Cmd {
	t.Helper()
	c := remote.Command(t.Context(), h.address, "true")
	c.Dialer = &remote.Dialer{Key: p.key, Hosts: trust(t, h.address, h.Key)}
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		c.Dialer.Close()
	})
	return c
}

func one(s *serve.Server) { s.MaxSessions = 1 }

// closedPort returns an address on which nobody listens, nor will during the test:
// it is the caller's end of a connection.
func closedPort(t *testing.T) string {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// speaker is an address where what listens says something else than TLS.
func speaker(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
				io.Copy(io.Discard, conn)
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func TestAPlaceThatCannotServeGivesWayToTheNext(t *testing.T) {
	for name, first := range map[string]func(*testing.T, *places){
		"closed port":     func(t *testing.T, p *places) { p.addresses = append(p.addresses, closedPort(t)) },
		"no such name":    func(t *testing.T, p *places) { p.addresses = append(p.addresses, "no-such-host.invalid:1") },
		"another service": func(t *testing.T, p *places) { p.addresses = append(p.addresses, speaker(t)) },
		"busy":            func(t *testing.T, p *places) { p.occupy(t, p.add(t, one)) },
		"draining": func(t *testing.T, p *places) {
			h := p.add(t)
			p.occupy(t, h)
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				h.Shutdown(t.Context())
			}()
			t.Cleanup(func() {
				h.Close()
				<-drained
			})
			for { // until its listener is closed
				conn, err := net.Dial("tcp", h.address)
				if err != nil {
					return
				}
				conn.Close()
				runtime.Gosched()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(t)
			first(t, p)
			second := p.add(t)
			d := p.dialer(t)
			for range 3 {
				if out, err := echo(t.Context(), d); out != "hello\n" || err != nil {
					t.Fatalf("%q, %v", out, err)
				}
			}
			if n := second.accepted.Load(); n != 1 {
				t.Errorf("%d connections to the second place, want one that is used again", n)
			}
			list, err := d.List(t.Context(), "a", 0)
			if err != nil || len(list) == 0 {
				t.Errorf("List gave %d programs, %v", len(list), err)
			}
		})
	}
}

// refusing is a table that says no.
type refusing struct {
	serve.AnyProgram
	status int
}

func (r refusing) Lookup(string, string) (*serve.Program, error) {
	return nil, &serve.Refusal{Status: r.status, Reason: "no"}
}

func TestAnAnswerIsNotAskedForElsewhere(t *testing.T) {
	for name, test := range map[string]struct {
		first  func(*testing.T, *places)
		status int
	}{
		"unknown host key": {func(t *testing.T, p *places) { delete(p.known, p.add(t).address) }, 77},
		"another host key": {func(t *testing.T, p *places) { p.known[p.add(t).address] = p.key.PublicKey() }, 77},
		"caller not known": {func(t *testing.T, p *places) {
			h := newHost(t)
			p.addresses = append(p.addresses, h.address)
			p.known[h.address] = h.Key.PublicKey()
		}, 77},
		"not for this caller": {func(t *testing.T, p *places) {
			p.add(t, func(s *serve.Server) { s.Programs = refusing{status: 126} })
		}, 126},
		"no such program": {func(t *testing.T, p *places) {
			p.add(t, func(s *serve.Server) { s.Programs = refusing{status: 127} })
		}, 127},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(t)
			test.first(t, p)
			second := p.add(t)
			d := p.dialer(t, func(d *remote.Dialer) { d.AwaitHost, d.ConnectTimeout = true, time.Hour })
			if _, err := echo(t.Context(), d); exitStatus(err) != test.status {
				t.Errorf("%v, want status %d", err, test.status)
			}
			if n := second.accepted.Load(); n != 0 {
				t.Errorf("%d connections to the second place", n)
			}
		})
	}
}

// waiter makes a Dialer tell when it waits.
func waiter() (waits chan error, adjust func(*remote.Dialer)) {
	waits = make(chan error, 10)
	return waits, func(d *remote.Dialer) {
		d.ConnectTimeout = time.Hour
		d.Waiting = func(host string, why error) {
			if host != "a" {
				why = errors.New("told of host " + host)
			}
			waits <- why
		}
	}
}

// later runs echo, and returns the channel on which its error comes.
func later(t *testing.T, ctx context.Context, d *remote.Dialer) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := echo(ctx, d)
		done <- err
	}()
	return done
}

func TestABusyHostIsWaitedFor(t *testing.T) {
	p := newPlaces(t)
	h := p.add(t, one)
	p.addresses = append(p.addresses, closedPort(t))
	session := p.occupy(t, h)
	waits, adjust := waiter()
	done := later(t, t.Context(), p.dialer(t, adjust))
	var refused *remote.RefusedError
	if why := <-waits; !errors.As(why, &refused) || refused.Status != wire.StatusBusy {
		t.Errorf("it waits because of %v, want a refusal", why)
	}
	session.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(waits) > 0 {
		t.Errorf("told again that it waits: %v", <-waits)
	}
}

func TestABusyHostIsGivenUpWithItsWords(t *testing.T) {
	p := newPlaces(t)
	p.occupy(t, p.add(t, one))
	d := p.dialer(t, func(d *remote.Dialer) { d.ConnectTimeout = time.Second })
	_, err := echo(t.Context(), d)
	var refused *remote.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Text, "sessions are under way") {
		t.Errorf("%v, want the refusal", err)
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	p := newPlaces(t)
	p.occupy(t, p.add(t, one))
	waits, adjust := waiter()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := later(t, ctx, p.dialer(t, adjust))
	<-waits
	cause := errors.New("enough")
	cancel(cause)
	if err := <-done; err != cause {
		t.Errorf("%v, want the cause", err)
	}
}

func TestAHostThatIsNotUpIsAnErrorAtOnce(t *testing.T) {
	p := newPlaces(t)
	p.addresses = []string{closedPort(t), closedPort(t)}
	d := p.dialer(t, func(d *remote.Dialer) { d.ConnectTimeout = time.Hour })
	_, err := echo(t.Context(), d)
	want := "cannot reach a: " + p.addresses[0] + ": connection refused; " + p.addresses[1] + ": connection refused"
	if err == nil || err.Error() != want || exitStatus(err) != 69 {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestAHostThatIsNotUpIsAwaitedOnRequest(t *testing.T) {
	p := newPlaces(t)
	p.addresses = []string{closedPort(t)}
	hostKey := generate(t)
	p.known[p.addresses[0]] = hostKey.PublicKey()
	waits, adjust := waiter()
	done := later(t, t.Context(), p.dialer(t, adjust, func(d *remote.Dialer) { d.AwaitHost = true }))
	var dial *remote.DialError
	if why := <-waits; !errors.As(why, &dial) {
		t.Errorf("it waits because of %v", why)
	}
	ln, err := net.Listen("tcp", p.addresses[0])
	if err != nil {
		t.Skipf("somebody else has taken the port: %v", err)
	}
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": p.key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	server := &serve.Server{Key: hostKey, Callers: callers, Programs: serve.AnyProgram{}}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	if err := <-done; err != nil {
		t.Error(err)
	}
	server.Close()
	<-served
}

func TestWhatWaitingCannotMendIsNotAwaited(t *testing.T) {
	for name, address := range map[string]string{
		"no such name":    "no-such-host.invalid:1",
		"another service": speaker(t),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(t)
			p.addresses = []string{address}
			d := p.dialer(t, func(d *remote.Dialer) {
				d.AwaitHost, d.ConnectTimeout = true, time.Hour
				d.Resolver = newResolver(t, &nameServer{})
			})
			if _, err := echo(t.Context(), d); exitStatus(err) != 69 {
				t.Errorf("%v, want 69", err)
			}
		})
	}
}

func TestASilentPlaceDoesNotUseUpTheTimeOfTheNext(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p := newPlaces(t)
	p.addresses = append(p.addresses, ln.Addr().String())
	p.add(t)
	d := p.dialer(t, func(d *remote.Dialer) { d.ConnectTimeout = 5 * time.Second })
	for range 20 { // once it is known to be silent, the other is first
		if out, err := echo(t.Context(), d); out != "hello\n" || err != nil {
			t.Fatalf("%q, %v", out, err)
		}
	}
}

func TestTheKeysOfAllPlacesAreTold(t *testing.T) {
	p := newPlaces(t)
	first, second := p.add(t), p.add(t)
	p.addresses = []string{first.address, closedPort(t), second.address}
	keys, err := p.dialer(t).HostKeys(t.Context(), "a", 0)
	var dial *remote.DialError
	if !errors.As(err, &dial) || dial.Address != p.addresses[1] {
		t.Errorf("%v, want what became of %s", err, p.addresses[1])
	}
	if len(keys) != 2 {
		t.Fatalf("%d keys, want 2", len(keys))
	}
	for i, h := range []*host{first, second} {
		got := keys[i]
		if got.Address != h.address || got.KnownAs != h.address || identity.Fingerprint(got.Key) != h.Key.Fingerprint() {
			t.Errorf("%+v, want the key of %s", got, h.address)
		}
	}
}
