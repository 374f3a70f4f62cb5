//go:build unix

package serve

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// patience is how long a test waits for what must happen at once, and tick how
// often it looks.
const (
	patience = 30 * time.Second
	tick     = time.Millisecond
)

// until waits for what other goroutines, or processes, are about to make true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(tick) {
		if time.Since(start) > patience {
			buf := make([]byte, 1<<20)
			t.Fatalf("%s does not become true\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// logBook keeps the lines of a log.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines returns the lines that have all the words.
func (l *logBook) lines(words ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.text.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			found = append(found, line)
		}
	}
	return found
}

func (l *logBook) has(words ...string) bool { return len(l.lines(words...)) > 0 }

// peerList is a Hops of those that a test lists, by key.
type peerList struct {
	mu    sync.Mutex
	peers map[string]HopPeer
}

func (l *peerList) Peer(_ string, key ssh.PublicKey) (HopPeer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.peers[string(key.Marshal())]
	if !ok {
		return p, notListed(key)
	}
	return p, nil
}

func (l *peerList) add(key ssh.PublicKey, p HopPeer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers == nil {
		l.peers = make(map[string]HopPeer)
	}
	l.peers[string(key.Marshal())] = p
}

// testHost is a daemon on loopback that lets one caller in.
type testHost struct {
	*Server
	name    string
	address string
	book    *logBook
	peers   *peerList
	user    *identity.Key
}

func newKey(t testing.TB) *identity.Key {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { key.Close() })
	return key
}

// newTestHost starts a daemon that adjust may change before it serves. It is stopped
// with the test.
func newTestHost(t testing.TB, name string, adjust ...func(*Server)) *testHost {
	t.Helper()
	h := &testHost{name: name, book: new(logBook), peers: new(peerList), user: newKey(t)}
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": h.user.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = &Server{
		Key: newKey(t), Callers: callers, Programs: AnyProgram{}, Hops: h.peers,
		Log: slog.New(slog.NewTextHandler(h.book, nil)),
	}
	for _, f := range adjust {
		f(h.Server)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(ln) }()
	t.Cleanup(func() {
		h.Close()
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve returned %v, want ErrServerClosed", err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, h.book.text.String())
		}
	})
	return h
}

func (h *testHost) publicKey() []byte { return h.Key.PublicKey().Marshal() }

// leaveNothing fails at the end of the test where goroutines are left. It is called
// first.
func leaveNothing(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(tick) {
			if time.Since(start) > patience {
				buf := make([]byte, 1<<20)
				t.Errorf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

// countedConn counts what comes and goes.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// testCaller is a client's connection to a daemon, with one session.
type testCaller struct {
	t       testing.TB
	host    *testHost
	wire    *wire.Conn
	carried atomic.Int64 // bytes of TCP, both ways
	frames  chan wire.Frame

	open    wire.Open
	session *wire.Session
	copying sync.WaitGroup
	stdout  bytes.Buffer // after ends, or lost
	stderr  bytes.Buffer
}

// dialAs connects with a key, as a client does that knows the host's.
func (h *testHost) dialAs(t testing.TB, key *identity.Key) *testCaller {
	t.Helper()
	c := &testCaller{t: t, host: h, frames: make(chan wire.Frame, 64)}
	config, err := identity.ClientConfig(key, func(offered ssh.PublicKey) error {
		if !bytes.Equal(offered.Marshal(), h.publicKey()) {
			return errors.New("another host")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn := tls.Client(transport.Below(countedConn{tcp, &c.carried}, 0), config)
	if err := identity.Handshake(ctx, conn); err != nil {
		t.Fatal(err)
	}
	c.wire = wire.NewConn(transport.Over(conn), wire.Options{Role: wire.Client, IdleTimeout: h.IdleTimeout, DeadTimeout: h.DeadTimeout})
	c.wire.Start(func(f wire.Frame) error {
		f.Payload = bytes.Clone(f.Payload)
		select {
		case c.frames <- f:
			return nil
		default:
			return errors.New("the test does not take its frames")
		}
	})
	t.Cleanup(func() {
		c.wire.Close()
		c.copying.Wait()
	})
	return c
}

func (h *testHost) dial(t testing.TB) *testCaller {
	t.Helper()
	return h.dialAs(t, h.user)
}

func (c *testCaller) send(f wire.Frame) {
	c.t.Helper()
	if err := c.wire.Send(f); err != nil {
		c.t.Fatalf("%s: sending %v: %v", c.host.name, f.Type, err)
	}
}

// want returns the next control frame, which must be of that type.
func (c *testCaller) want(typ wire.Type) wire.Frame {
	c.t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	var f wire.Frame
	select {
	case f = <-c.frames:
	case <-c.wire.Done():
		select {
		case f = <-c.frames:
		default:
			c.t.Fatalf("%s: the connection ended with %v, want %v", c.host.name, c.wire.Err(), typ)
		}
	case <-timeout.C:
		buf := make([]byte, 1<<20)
		c.t.Fatalf("%s: nothing came, want %v\n%s", c.host.name, typ, buf[:runtime.Stack(buf, true)])
	}
	if f.Type != typ {
		c.t.Fatalf("%s: %v %q came, want %v", c.host.name, f.Type, f.Payload, typ)
	}
	return f
}

// wantClosed fails unless the connection ends without another frame.
func (c *testCaller) wantClosed() {
	c.t.Helper()
	select {
	case <-c.wire.Done():
	case <-time.After(patience):
		c.t.Fatalf("%s: the connection goes on", c.host.name)
	}
	select {
	case f := <-c.frames:
		c.t.Errorf("%s: %v came before the end", c.host.name, f.Type)
	default:
	}
}

func program(name string, args ...string) []wire.Program {
	return []wire.Program{{Name: name, Args: args}}
}

// accept asks for a session, and returns when it is accepted.
func (c *testCaller) accept(o wire.Open) *testCaller {
	c.t.Helper()
	frames, err := o.Frames()
	if err != nil {
		c.t.Fatal(err)
	}
	c.open = o
	c.session = c.wire.Begin()
	for _, f := range frames {
		c.send(f)
	}
	c.want(wire.TypeAccept)
	return c
}

// hop asks for a hop to the session of to.
func (c *testCaller) hop(to *testCaller, name string) wire.Hopped {
	c.t.Helper()
	c.askHop(wire.Hop{Name: name, Peer: to.host.publicKey(), Secret: to.open.In.Secret, Digest: to.open.Digest()})
	return c.hopped()
}

func (c *testCaller) askHop(h wire.Hop) {
	c.t.Helper()
	f, err := h.Frame()
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(f)
}

func (c *testCaller) hopped() wire.Hopped {
	c.t.Helper()
	h, err := wire.DecodeHopped(c.want(wire.TypeHopped).Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	return h
}

// start starts the session. The streams that hops carry are diverted.
func (c *testCaller) start(diverted ...wire.Stream) {
	c.t.Helper()
	for _, id := range diverted {
		c.session.Divert(id)
	}
	c.send(wire.Frame{Type: wire.TypeStart})
	c.copying.Go(func() { _, _ = c.session.Stdout.WriteTo(&c.stdout) })
	c.copying.Go(func() { _, _ = c.session.Stderr.WriteTo(&c.stderr) })
}

// ends returns how the programs ended.
func (c *testCaller) ends() []wire.End {
	c.t.Helper()
	ends := make([]wire.End, len(c.open.Programs))
	for range ends {
		e, err := wire.DecodeEnd(c.want(wire.TypeEnd).Payload)
		if err != nil {
			c.t.Fatal(err)
		}
		ends[e.Program] = e
	}
	if !c.session.Complete() {
		c.t.Errorf("%s: END before the outputs are complete", c.host.name)
	}
	c.copying.Wait()
	c.wire.End()
	return ends
}

// lost takes LOST, and the end of the connection after it.
func (c *testCaller) lost() wire.Lost {
	c.t.Helper()
	l, err := wire.DecodeLost(c.want(wire.TypeLost).Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.session.Stdout.Complete() {
		c.t.Errorf("%s: stdout is complete, and the session lost", c.host.name)
	}
	c.wantClosed()
	c.copying.Wait()
	return l
}

func (c *testCaller) signal(name string) {
	c.t.Helper()
	f, err := wire.SignalFrame(name)
	if err != nil {
		c.t.Fatal(err)
	}
	c.send(f)
}

// link lets a connect to b, at an address: b's own, or that of a proxy.
func link(a, b *testHost, address string) {
	a.peers.add(b.Key.PublicKey(), HopPeer{Name: b.name, Address: address})
}

// receive opens a session on b whose input comes from a.
func receive(t testing.TB, a, b *testHost, programs []wire.Program) *testCaller {
	t.Helper()
	return b.dial(t).accept(wire.Open{Programs: programs, In: &wire.Ticket{Secret: wire.NewSecret(), Peer: a.publicKey()}})
}

// chained runs a program on a into one on b, over a hop.
func chained(t testing.TB, a, b *testHost, from, to []wire.Program) (*testCaller, *testCaller) {
	t.Helper()
	ca := a.dial(t).accept(wire.Open{Programs: from, Out: true})
	cb := receive(t, a, b, to)
	if h := ca.hop(cb, b.name); !h.Made {
		t.Fatalf("no hop: %s", h.Text)
	}
	cb.start(wire.Stdin)
	ca.start(wire.Stdout)
	return ca, cb
}

// pair returns two daemons, of which the first may connect to the second.
func pair(t testing.TB, adjust ...func(*Server)) (a, b *testHost) {
	t.Helper()
	leaveNothing(t)
	a, b = newTestHost(t, "a", adjust...), newTestHost(t, "b", adjust...)
	link(a, b, b.address)
	return a, b
}

// ticketOf returns what the host keeps of the ticket of a session. The caller holds
// tickets.mu for its fields.
func (h *testHost) ticketOf(c *testCaller) *ticket {
	h.tickets.mu.Lock()
	defer h.tickets.mu.Unlock()
	return h.tickets.all[sha256.Sum256(c.open.In.Secret[:])]
}

// witness is a program that tells what it sees of its input: it writes its process
// id at once, its input as it comes, and a word after the end of it.
type witness struct {
	t      testing.TB
	folder string
}

func newWitness(t testing.TB) witness { return witness{t, t.TempDir()} }

func (w witness) program() []wire.Program {
	return program("sh", "-c", `echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid"; cat >"$1/data"; echo end >"$1/end"`, "sh", w.folder)
}

// idle is a program that writes its process id and then nothing, for ever.
func (w witness) idle() []wire.Program {
	return program("sh", "-c", `echo $$ >"$1/pid.new" && mv "$1/pid.new" "$1/pid"; exec sleep 100000`, "sh", w.folder)
}

func (w witness) pid() int {
	text, err := os.ReadFile(filepath.Join(w.folder, "pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// size returns how much of the input it has written down.
func (w witness) size() int64 {
	info, err := os.Stat(filepath.Join(w.folder, "data"))
	if err != nil {
		return 0
	}
	return info.Size()
}

func (w witness) sawEnd() bool {
	_, err := os.Stat(filepath.Join(w.folder, "end"))
	return err == nil
}

// wantKilled fails unless the program is gone, and has not seen the end of its
// input.
func (w witness) wantKilled() {
	w.t.Helper()
	if pid := w.pid(); pid != 0 {
		until(w.t, "the program's being gone", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
	if w.sawEnd() {
		w.t.Error("the program has seen an end of its input")
	}
}

// proxy is a network between two daemons that a test can cut, or stop.
type proxy struct {
	ln      net.Listener
	stalled chan struct{} // closed by stall
	serving sync.WaitGroup

	mu    sync.Mutex
	conns []*net.TCPConn
}

func newProxy(t testing.TB, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, stalled: make(chan struct{})}
	p.serving.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in.(*net.TCPConn), out.(*net.TCPConn))
			p.mu.Unlock()
			p.serving.Go(func() { p.carry(out.(*net.TCPConn), in) })
			p.serving.Go(func() { p.carry(in.(*net.TCPConn), out) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		p.cut(true)
		p.serving.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.ln.Addr().String() }

func (p *proxy) carry(to *net.TCPConn, from net.Conn) {
	_, _ = io.Copy(stallable{to, p.stalled}, from)
	select {
	case <-p.stalled: // the FIN vanishes, too
	default:
		_ = to.CloseWrite()
	}
}

// stallable drops what is written once the network is stalled.
type stallable struct {
	io.Writer
	stalled <-chan struct{}
}

func (s stallable) Write(b []byte) (int, error) {
	select {
	case <-s.stalled:
		return len(b), nil
	default:
		return s.Writer.Write(b)
	}
}

// stall has everything vanish from now on, and says nothing.
func (p *proxy) stall() { close(p.stalled) }

// cut ends all connections, with RST or with FIN.
func (p *proxy) cut(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		if reset {
			_ = c.SetLinger(0)
			c.Close()
		} else {
			_ = c.CloseWrite()
		}
	}
}
