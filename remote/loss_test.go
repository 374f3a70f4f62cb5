package remote_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rpipe/remote"
	"rpipe/remote/serve"
)

// cutter relays connections to address, and cuts each as the cut that holds when
// it is accepted says.
type cutter struct {
	net.Listener
	address string
	relayed chan int64 // of each connection: bytes in the limited direction
	wg      sync.WaitGroup

	mu  sync.Mutex
	cut cut
}

// cut is after limit bytes from the daemon (toClient) or from the client, by RST
// to the client or by FIN.
type cut struct {
	limit    int64
	toClient bool
	reset    bool
}

func newCutter(t *testing.T, h *host) *cutter {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: ln, address: h.address, relayed: make(chan int64, 10000)}
	c.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			cut := c.cut
			c.mu.Unlock()
			c.wg.Go(func() { c.relayed <- cut.relay(conn.(*net.TCPConn), c.address) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.wg.Wait()
	})
	return c
}

// set makes later connections be cut so.
func (c *cutter) set(cut cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
}

func (c cut) relay(client *net.TCPConn, address string) (relayed int64) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		client.Close()
		return 0
	}
	daemon := conn.(*net.TCPConn)
	var once sync.Once
	copy := func(dst, src *net.TCPConn, limited bool) {
		if limited {
			relayed, _ = io.CopyN(dst, src, c.limit)
		} else {
			io.Copy(dst, src)
		}
		once.Do(func() {
			if c.reset {
				client.SetLinger(0)
			}
			client.Close()
			daemon.Close()
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() { copy(client, daemon, c.toClient) })
	wg.Go(func() { copy(daemon, client, !c.toClient) })
	wg.Wait()
	return relayed
}

// TestCutAnywhereIsNeverSuccess cuts the connection after each of many numbers of
// bytes that the daemon sends in a whole session, by FIN and by RST: after every
// one of the last 500, which are the session's own.
func TestCutAnywhereIsNeverSuccess(t *testing.T) {
	h := newHost(t)
	c := newCutter(t, h)
	run := func(limit int64, reset bool) (string, error) {
		c.set(cut{limit: limit, toClient: true, reset: reset})
		var out bytes.Buffer
		cmd := remote.Command(t.Context(), c.Addr().String(), "tr", "a-z", "A-Z")
		cmd.Dialer = &remote.Dialer{Key: h.dialer.Key, Hosts: trust(t, c.Addr().String(), h.Key)}
		cmd.Stdin = strings.NewReader("hello")
		cmd.Stdout = &out
		err := cmd.Run()
		cmd.Dialer.Close()
		return out.String(), err
	}
	if out, err := run(1<<20, false); err != nil || out != "HELLO" {
		t.Fatalf("%q, %v", out, err)
	}
	total := <-c.relayed
	for _, reset := range []bool{false, true} {
		for limit := int64(1); limit < total; {
			out, err := run(limit, reset)
			if s := exitStatus(err); s != 76 && s != 69 {
				t.Fatalf("cut after %d of %d bytes: %q, %v (%d), want a loss, or unreachable", limit, total, out, err, s)
			}
			if limit < total-500 {
				limit += 61
			} else {
				limit++
			}
		}
	}
}

func TestCutInputIsNoEndOfInput(t *testing.T) {
	h := newHost(t)
	c := newCutter(t, h)
	c.set(cut{limit: 5 << 20})
	committed := filepath.Join(t.TempDir(), "committed")
	cmd := remote.Command(t.Context(), c.Addr().String(), "sh", "-c", `cat >/dev/null; : > "$1"`, "sh", committed)
	cmd.Dialer = &remote.Dialer{Key: h.dialer.Key, Hosts: trust(t, c.Addr().String(), h.Key)}
	defer cmd.Dialer.Close()
	cmd.Stdin = io.LimitReader(zeros{}, 20<<20)
	if err := cmd.Run(); exitStatus(err) != 76 {
		t.Errorf("%v, want 76", err)
	}
	h.Close() // waits for the session
	if _, err := os.Stat(committed); err == nil {
		t.Error("the program took a cut input for all of it")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestDaemonThatDiesIsALoss(t *testing.T) {
	h := newHost(t)
	var out countingWriter
	c := h.command(t, "cat")
	c.Stdin = zeros{}
	c.Stdout = funcWriter(func(p []byte) (int, error) {
		if out == 0 {
			go h.Close()
		}
		return out.Write(p)
	})
	err := c.Run()
	var lost *remote.LostError
	if !errors.As(err, &lost) || lost.Delivered < int64(out) {
		t.Errorf("%v after %d bytes, want a loss", err, out)
	}
}

func TestSilentDaemonIsALossWithinTheBound(t *testing.T) {
	h := newHost(t)
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	frozen := make(chan struct{})
	go func() { // relays until frozen, then reads no more and keeps all open
		client, err := proxy.Accept()
		if err != nil {
			return
		}
		daemon, err := net.Dial("tcp", h.address)
		if err != nil {
			return
		}
		for _, pair := range [][2]net.Conn{{client, daemon}, {daemon, client}} {
			go func() {
				buf := make([]byte, 4096)
				for {
					n, err := pair[0].Read(buf)
					select {
					case <-frozen:
						<-t.Context().Done()
						pair[0].Close()
						return
					default:
					}
					if err != nil {
						pair[1].Close()
						return
					}
					pair[1].Write(buf[:n])
				}
			}()
		}
	}()
	d := &remote.Dialer{
		Key: h.dialer.Key, Hosts: trust(t, proxy.Addr().String(), h.Key),
		IdleTimeout: 50 * time.Millisecond, DeadTimeout: 300 * time.Millisecond,
	}
	defer d.Close()
	c := remote.Command(t.Context(), proxy.Addr().String(), "cat")
	c.Dialer = d
	c.Stdin = io.MultiReader(strings.NewReader("x"), funcReader(func([]byte) (int, error) {
		close(frozen)
		return 0, io.EOF
	}), zeros{})
	if err := c.Run(); exitStatus(err) != 76 {
		t.Errorf("%v, want a loss", err)
	}
}

func TestClosedPortIsUnreachable(t *testing.T) {
	h := newHost(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	c := remote.Command(t.Context(), ln.Addr().String(), "cat")
	c.Dialer = h.dialer
	err = c.Run()
	var dial *remote.DialError
	if !errors.As(err, &dial) || dial.ExitStatus() != 69 || dial.Hint() == "" {
		t.Errorf("%v, want 69 and a hint", err)
	}
}

func TestPeerThatSpeaksSomethingElseIsUnreachable(t *testing.T) {
	h := newHost(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	c := remote.Command(t.Context(), ln.Addr().String(), "cat")
	c.Dialer = h.dialer
	if err := c.Run(); exitStatus(err) != 69 {
		t.Errorf("%v, want 69", err)
	}
}

func TestProgramsDieWithTheirCaller(t *testing.T) {
	h := newHost(t, func(s *serve.Server) { s.DeadTimeout = 0 })
	pid := filepath.Join(t.TempDir(), "pid")
	c := h.command(t, "sh", "-c", `echo $$ > "$1"; echo ready; exec sleep 1000`, "sh", pid)
	ready := make(chan struct{})
	c.Stdout = funcWriter(func(p []byte) (int, error) {
		close(ready)
		return len(p), nil
	})
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-ready
	c.Abort()
	c.Wait()
	h.Close() // returns only when the session's processes are reaped
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(b))); err == nil {
		t.Error("the program is still there")
	}
}

func TestACrowdOfStrangersKeepsNobodyOut(t *testing.T) {
	h := newHost(t)
	for range 400 {
		conn, err := net.Dial("tcp", h.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if out, err := h.output(t, "hello", "cat"); err != nil || out != "hello" {
		t.Errorf("%q, %v", out, err)
	}
}
