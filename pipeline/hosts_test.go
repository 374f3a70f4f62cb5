package pipeline_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/pipeline"
	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
)

// hosts are daemons on loopback, by the names that scripts call them, and a
// Dialer that may use them. Each is behind a wire that can be cut.
type hosts struct {
	dialer *remote.Dialer
	wires  map[string]*wire
}

// newHosts starts a daemon for each name, which may connect to the others; they stop
// with the test.
func newHosts(t testing.TB, names ...string) *hosts {
	t.Helper()
	return newHostsThat(t, true, names...)
}

// peers are the daemons that a daemon may connect to, by key.
type peers map[string]serve.HopPeer

func (p peers) Peer(_ string, key ssh.PublicKey) (serve.HopPeer, error) {
	if peer, ok := p[string(key.Marshal())]; ok {
		return peer, nil
	}
	return serve.HopPeer{}, errors.New("not listed here")
}

// newHostsThat is newHosts for daemons of which none may connect to another one
// unless hop is set.
func newHostsThat(t testing.TB, hop bool, names ...string) *hosts {
	t.Helper()
	listed := make(peers)
	client := generate(t)
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	h := &hosts{wires: make(map[string]*wire)}
	keys := make(map[string]ssh.PublicKey)
	for _, name := range names {
		server := &serve.Server{Key: generate(t), Callers: callers, Programs: serve.AnyProgram{}}
		ln := listen(t)
		if hop {
			server.Hops = listed
			listed[string(server.Key.PublicKey().Marshal())] = serve.HopPeer{Name: name, Address: ln.Addr().String()}
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(ln) }()
		w := newWire(t, ln.Addr().String())
		h.wires[name] = w
		keys[w.Addr().String()] = server.Key.PublicKey()
		t.Cleanup(func() {
			server.Close()
			if err := <-served; !errors.Is(err, serve.ErrServerClosed) {
				t.Errorf("Serve of %s returned %v", name, err)
			}
		})
	}
	known, err := identity.NewKnownHosts(keys)
	if err != nil {
		t.Fatal(err)
	}
	h.dialer = &remote.Dialer{Key: client, Hosts: known, Resolve: h.resolve}
	t.Cleanup(func() { h.dialer.Close() })
	return h
}

// resolve gives the address of a host. The host "closed" is a port that nobody
// listens on, any other name one that does not exist.
func (h *hosts) resolve(_ context.Context, name string) ([]string, error) {
	if w := h.wires[name]; w != nil {
		return []string{w.Addr().String()}, nil
	}
	return []string{"127.0.0.1:1"}, nil
}

// use is a change of options: the script may call the hosts.
func (h *hosts) use(o *pipeline.Options) { o.Dialer = h.dialer }

func generate(t testing.TB) *identity.Key {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { key.Close() })
	return key
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// A wire relays connections to a daemon until it is cut.
type wire struct {
	net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newWire(t testing.TB, address string) *wire {
	w := &wire{Listener: listen(t)}
	w.wg.Go(func() {
		for {
			conn, err := w.Accept()
			if err != nil {
				return
			}
			daemon, err := net.Dial("tcp", address)
			if err != nil {
				conn.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, conn, daemon)
			w.mu.Unlock()
			relay := func(dst, src net.Conn) {
				_, _ = io.Copy(dst, src)
				dst.Close()
				src.Close()
			}
			w.wg.Go(func() { relay(conn, daemon) })
			w.wg.Go(func() { relay(daemon, conn) })
		}
	})
	t.Cleanup(func() {
		w.Close()
		w.cut()
		w.wg.Wait()
	})
	return w
}

// cut ends all connections that there are.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

// A trigger is a writer that calls a function once, when it is first written to.
type trigger struct {
	do   func()
	once sync.Once
	mu   sync.Mutex
	got  []byte
}

func (tr *trigger) Write(p []byte) (int, error) {
	tr.mu.Lock()
	tr.got = append(tr.got, p...)
	tr.mu.Unlock()
	tr.once.Do(tr.do)
	return len(p), nil
}

func (tr *trigger) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return string(tr.got)
}
