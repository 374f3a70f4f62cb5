package remote_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"rpipe/remote"
	"rpipe/remote/serve"
)

// freezer relays connections to a daemon until it is told to stop in one
// direction or both, without a FIN or RST, as a network does that is cut.
type freezer struct {
	net.Listener
	address string
	wg      sync.WaitGroup
	over    chan struct{}
	frozen  [2]chan struct{} // by direction: to the daemon, to the client

	mu    sync.Mutex
	conns []net.Conn
}

func newFreezer(t *testing.T, h *host) *freezer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{Listener: ln, address: h.address, over: make(chan struct{})}
	for i := range f.frozen {
		f.frozen[i] = make(chan struct{})
	}
	f.wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			daemon, err := net.Dial("tcp", f.address)
			if err != nil {
				client.Close()
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, client, daemon)
			f.mu.Unlock()
			f.wg.Go(func() { f.relay(daemon, client, f.frozen[0]) })
			f.wg.Go(func() { f.relay(client, daemon, f.frozen[1]) })
		}
	})
	t.Cleanup(func() {
		close(f.over)
		ln.Close()
		f.mu.Lock()
		for _, c := range f.conns {
			c.Close()
		}
		f.mu.Unlock()
		f.wg.Wait()
	})
	return f
}

// relay copies until frozen. What comes then is read by nobody.
func (f *freezer) relay(to, from net.Conn, frozen <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		select {
		case <-frozen:
			<-f.over
			return
		default:
		}
		if err != nil {
			to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			from.Close()
			return
		}
	}
}

// sessionStates are what a session may be doing: what runs, and what feeds it. A
// feed ends with its pipe; nil keeps the pipe open and writes nothing.
var sessionStates = map[string]struct {
	script string
	feed   func(io.Writer)
}{
	"idle":              {"echo ready; exec cat", nil},
	"input in flight":   {"echo ready; exec cat >/dev/null", pour},
	"output in flight":  {"echo ready; exec cat /dev/zero", nil},
	"both in flight":    {"echo ready; exec cat", pour},
	"input held back":   {"echo ready; exec sleep 1000", pour},
	"trickle of input":  {"echo ready; exec cat >/dev/null", trickle},
	"trickle of output": {"while echo x; do sleep 0.05; done", nil},
}

func pour(w io.Writer) { io.Copy(w, zeros{}) }

func trickle(w io.Writer) {
	for {
		if _, err := w.Write([]byte("x")); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestSilentHostIsALossInEveryState cuts the network without a word, in one
// direction or both, and looks at both ends.
func TestSilentHostIsALossInEveryState(t *testing.T) {
	const dead = time.Second
	h := newHost(t, func(s *serve.Server) { s.DeadTimeout = dead })
	var wg sync.WaitGroup
	for direction, cut := range map[string][]int{"to the daemon": {0}, "to the client": {1}, "both ways": {0, 1}} {
		for state, s := range sessionStates {
			f := newFreezer(t, h)
			wg.Go(func() {
				name := state + ", cut " + direction
				start := time.Now()
				err := f.session(t, h, dead, s.script, s.feed, cut)
				var lost *remote.LostError
				if !errors.As(err, &lost) || exitStatus(err) != 76 {
					t.Errorf("%s: %v, want a loss", name, err)
				}
				t.Logf("%s: %v: %v", name, time.Since(start).Round(time.Millisecond), err)
			})
		}
	}
	wg.Wait()
	if err := h.Shutdown(t.Context()); err != nil { // waits for the daemon's end of all sessions
		t.Error(err)
	}
}

// session runs a script through f, cuts it when the script has run for a while,
// and returns what Wait says.
func (f *freezer) session(t *testing.T, h *host, dead time.Duration, script string, feed func(io.Writer), cut []int) error {
	address := f.Addr().String()
	in, w, err := os.Pipe()
	if err != nil {
		return err
	}
	var feeding sync.WaitGroup
	defer func() {
		in.Close()
		w.Close()
		feeding.Wait()
	}()
	if feed != nil {
		feeding.Go(func() { feed(w) })
	}
	c := remote.Command(t.Context(), address, "sh", "-c", script)
	c.Dialer = &remote.Dialer{Key: h.dialer.Key, Hosts: trust(t, address, h.Key), DeadTimeout: dead}
	defer c.Dialer.Close()
	c.Stdin = in
	var once sync.Once
	c.Stdout = funcWriter(func(p []byte) (int, error) {
		once.Do(func() {
			time.AfterFunc(dead, func() {
				for _, i := range cut {
					close(f.frozen[i])
				}
			})
		})
		return len(p), nil
	})
	return c.Run()
}

// TestSlowReaderIsNotDead holds output back for several times the dead time-out.
func TestSlowReaderIsNotDead(t *testing.T) {
	const dead = time.Second
	h := newHost(t, func(s *serve.Server) { s.DeadTimeout = dead })
	h.dialer.DeadTimeout = dead
	const size = 8 << 20 // more than all buffers on the way
	c := h.command(t, "sh", "-c", "head -c 8388608 /dev/zero")
	var n countingWriter
	c.Stdout = funcWriter(func(p []byte) (int, error) {
		if n == 0 {
			time.Sleep(3 * dead)
		}
		return n.Write(p)
	})
	if err := c.Run(); err != nil || n != size {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestEndsNeedNotAgreeOnWhoIsDead runs sessions between ends of which one is much
// more patient than the other.
func TestEndsNeedNotAgreeOnWhoIsDead(t *testing.T) {
	const short, long = time.Second, time.Minute
	var wg sync.WaitGroup
	for _, dead := range []struct{ client, daemon time.Duration }{{short, long}, {long, short}} {
		h := newHost(t, func(s *serve.Server) { s.DeadTimeout = dead.daemon })
		h.dialer.DeadTimeout = dead.client
		defer h.dialer.Close()
		for _, feed := range []func(io.Writer){func(io.Writer) {}, trickle} {
			wg.Go(func() {
				in, w, err := os.Pipe()
				if err != nil {
					t.Error(err)
					return
				}
				defer in.Close()
				wg.Go(func() { feed(w) })
				time.AfterFunc(3*short, func() { w.Close() })
				c := h.command(t, "sh", "-c", "cat >/dev/null")
				c.Stdin = in
				if err := c.Run(); err != nil {
					t.Errorf("client %v, daemon %v: %v", dead.client, dead.daemon, err)
				}
			})
		}
	}
	wg.Wait()
}
