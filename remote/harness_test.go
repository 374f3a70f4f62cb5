package remote_test

import (
	"context"
	"flag"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
)

// children runs all tests as on systems that have no reapers.
var children = flag.Bool("children", false, "run programs as children of the daemon")

// host is a daemon on loopback and a Dialer that may use it.
type host struct {
	*serve.Server
	dialer   *remote.Dialer
	address  string
	accepted *atomic.Int64 // connections
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

func generate(t testing.TB) *identity.Key {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { key.Close() })
	return key
}

// newHost starts a daemon that adjust may change before it serves, and stops it
// with the test, when nothing may be left of it.
func newHost(t testing.TB, adjust ...func(*serve.Server)) *host {
	t.Helper()
	before := goroutines()
	hostKey, clientKey := generate(t), generate(t)
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": clientKey.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	h := &host{
		Server:   &serve.Server{Key: hostKey, Callers: callers, Programs: serve.AnyProgram{}},
		address:  ln.Addr().String(),
		accepted: new(atomic.Int64),
	}
	var reapers *reaper.Pool
	if !*children {
		reapers = reaper.NewPool(reaper.Options{})
	}
	h.Reapers = reapers
	for _, f := range adjust {
		f(h.Server)
	}
	h.dialer = &remote.Dialer{Key: clientKey, Hosts: trust(t, h.address, hostKey)}
	served := make(chan error, 1)
	go func() { served <- h.Serve(countingListener{ln, h.accepted}) }()
	t.Cleanup(func() {
		h.dialer.Close()
		h.Close()
		reapers.Close()
		if err := <-served; err != serve.ErrServerClosed {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
		checkNoneLeft(t, before)
	})
	return h
}

func trust(t testing.TB, address string, key *identity.Key) *identity.KnownHosts {
	t.Helper()
	hosts, err := identity.NewKnownHosts(map[string]ssh.PublicKey{address: key.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	return hosts
}

// goroutines counts those of this process, but for those of a reaper.Pool, whose Close
// waits for them: another host's may have made more meanwhile.
func goroutines() int {
	buf := make([]byte, 4<<20)
	n := 0
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if !strings.Contains(stack, "serve/reaper.(*Pool)") {
			n++
		}
	}
	return n
}

// checkNoneLeft fails if there are more goroutines than before once those that
// are about to end have done so.
func checkNoneLeft(t testing.TB, before int) {
	t.Helper()
	for range 200 {
		if goroutines() <= before {
			return
		}
		runtime.Gosched()
		time.Sleep(5 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines before, %d after:\n%s", before, goroutines(), buf[:runtime.Stack(buf, true)])
}

// command returns a Cmd on the host. The context ends with the test; a test that
// hangs fails with go test's own time-out, which shows where.
func (h *host) command(t testing.TB, program string, args ...string) *remote.Cmd {
	t.Helper()
	return h.commandContext(t.Context(), program, args...)
}

func (h *host) commandContext(ctx context.Context, program string, args ...string) *remote.Cmd {
	c := remote.Command(ctx, h.address, program, args...)
	c.Dialer = h.dialer
	return c
}

// output runs a program and returns its stdout.
func (h *host) output(t testing.TB, stdin string, program string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	c := h.command(t, program, args...)
	c.Stdin = strings.NewReader(stdin)
	c.Stdout = &out
	err := c.Run()
	return out.String(), err
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}
