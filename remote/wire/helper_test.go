package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen at once.
const patience = 30 * time.Second

// tick is how often a test looks whether it has.
const tick = 100 * time.Microsecond

// quiet keeps heartbeats out of tests that are not about them.
func quiet(r Role) Options {
	return Options{Role: r, IdleTimeout: time.Hour, DeadTimeout: time.Hour}
}

// transport makes two connected ends.
type transport struct {
	name string
	pair func(t testing.TB) (client, server net.Conn)
}

func transports() []transport {
	return []transport{{"tcp", tcpPair}, {"unix", unixPair}, {"tls", tlsPair}}
}

func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	return socketPair(t, "tcp", "127.0.0.1:0")
}

func unixPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	return socketPair(t, "unix", filepath.Join(t.TempDir(), "s"))
}

func socketPair(t testing.TB, network, address string) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// tlsPair is TLS 1.3 over TCP with a throw-away certificate that nobody checks.
func tlsPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	tcpClient, tcpServer := tcpPair(t)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{
		Certificates:                []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}},
		MinVersion:                  tls.VersionTLS13,
		NextProtos:                  []string{"rpipe/1"},
		InsecureSkipVerify:          true, // the ends are both here
		DynamicRecordSizingDisabled: true,
	}
	c, s := tls.Client(tcpClient, config), tls.Server(tcpServer, config)
	failed := make(chan error, 1)
	go func() { failed <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-failed); err != nil {
		t.Fatal(err)
	}
	return c, s
}

// end is a Conn under test and what it handed to its handler.
type end struct {
	*Conn
	control chan Frame
}

func newEnd(t testing.TB, rwc io.ReadWriteCloser, o Options) *end {
	t.Helper()
	e := &end{NewConn(rwc, o), make(chan Frame, 64)}
	e.Start(func(f Frame) error {
		f.Payload = bytes.Clone(f.Payload)
		select {
		case e.control <- f:
			return nil
		default:
			return errors.New("the test does not take its control frames")
		}
	})
	t.Cleanup(func() {
		e.Close()
		checkGoroutines(t)
	})
	return e
}

// begin starts a session that is running: START has crossed.
func (e *end) begin() *Session {
	s := e.Begin()
	e.begun(TypeStart)
	return s
}

// beginHop makes the connection a hop: TAKEN has crossed.
func (e *end) beginHop() *Session {
	s := e.BeginHop()
	e.begun(TypeTaken)
	return s
}

// pairOver returns two Conns over tr.
func pairOver(t testing.TB, tr transport) (client, server *end) {
	t.Helper()
	c, s := tr.pair(t)
	return newEnd(t, c, quiet(Client)), newEnd(t, s, quiet(Server))
}

// checkGoroutines fails where a goroutine of a Conn of this test is left. Those
// that have told their Conn that they are done may take a moment to be gone.
func checkGoroutines(t testing.TB) {
	t.Helper()
	var left string
	for start := time.Now(); time.Since(start) < patience; time.Sleep(tick) {
		buf := make([]byte, 1<<20)
		buf = buf[:runtime.Stack(buf, true)]
		left = ""
		for stack := range strings.SplitSeq(string(buf), "\n\n") {
			if strings.Contains(stack, "created by rpipe/remote/wire.(*Conn)") && strings.Contains(stack, "(*Conn).Start") {
				left = stack
			}
		}
		if left == "" {
			return
		}
	}
	t.Errorf("left behind: %s", left)
}

// await returns what comes from c, or fails.
func await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("%s: nothing came\n%s", what, buf[:runtime.Stack(buf, true)])
	}
	panic("not reached")
}

// until waits for a condition that other goroutines are about to make true.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(tick) {
		if time.Since(start) > patience {
			t.Fatalf("%s does not become true", what)
		}
	}
}

// run calls f in a goroutine and returns its result.
func run[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// peer is the other end of a Conn, which the test plays by hand.
type peer struct {
	t testing.TB
	net.Conn
}

// newPeer returns a Conn of the given role, and its peer.
func newPeer(t testing.TB, role Role) (*end, *peer) {
	t.Helper()
	return newPeerWith(t, quiet(role))
}

func newPeerWith(t testing.TB, o Options) (*end, *peer) {
	t.Helper()
	a, b := tcpPair(t)
	b.SetDeadline(time.Now().Add(patience))
	return newEnd(t, a, o), &peer{t, b}
}

func (p *peer) send(frames ...Frame) {
	p.t.Helper()
	for _, f := range frames {
		if err := WriteFrame(p.Conn, f); err != nil {
			p.t.Fatal(err)
		}
	}
}

// next returns the next frame in the words of a vector.
func (p *peer) next() string {
	p.t.Helper()
	f, err := ReadFrame(p.Conn)
	if err != nil {
		return err.Error()
	}
	b, err := AppendFrame(nil, f)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := decode(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSuffix(text, "\n")
}

func (p *peer) want(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got := p.next(); got != want {
			p.t.Fatalf("the peer got %.100s, want %.100s", got, want)
		}
	}
}

// settle returns when the Conn has taken all that was sent to it: it has answered
// a PING. The frames that came before the answer are returned.
func (p *peer) settle() []string {
	p.t.Helper()
	p.send(numberFrame(TypePing, 0, 4711))
	var got []string
	for {
		f := p.next()
		if f == "PONG 4711" {
			return got
		}
		got = append(got, f)
		if len(got) > 10_000 {
			p.t.Fatalf("no PONG, but %q ...", got[:10])
		}
	}
}

func data(s Stream, p string) Frame { return Frame{Type: TypeData, Stream: s, Payload: []byte(p)} }

func eof(s Stream, n uint64) Frame { return numberFrame(TypeEOF, s, n) }

func stop(s Stream) Frame { return Frame{Type: TypeStop, Stream: s} }

// wantProblem fails unless the connection ends with that ProtocolError.
func wantProblem(t testing.TB, c *end, problem string) {
	t.Helper()
	await(t, "the end of the connection", c.Done())
	var broken *ProtocolError
	if err := c.Err(); !errors.As(err, &broken) || broken.Problem != problem {
		t.Fatalf("connection ended with %v, want problem %q", err, problem)
	}
}

// chunks returns how many chunks of memory a Receiver holds.
func (r *Receiver) chunks() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for c := r.head; c != nil; c = c.next {
		n++
	}
	return n
}

// pattern is a stream of bytes without a short period that could hide a block
// that is lost, or comes twice.
type pattern struct {
	block []byte
	at    int
	left  int64
	total int64
}

var patternBlock = sync.OnceValue(func() []byte {
	block := make([]byte, 1<<20+7)
	rand.Read(block)
	return block
})

func newPattern(n int64) *pattern {
	return &pattern{block: patternBlock(), left: n, total: n}
}

func (p *pattern) clone() *pattern {
	return &pattern{block: p.block, left: p.total, total: p.total}
}

// chunk returns the next bytes, at most n.
func (p *pattern) chunk(n int) []byte {
	n = int(min(int64(n), p.left, int64(len(p.block)-p.at)))
	b := p.block[p.at : p.at+n]
	p.at = (p.at + n) % len(p.block)
	p.left -= int64(n)
	return b
}

// sendTo writes the stream in pieces of size bytes, and closes it.
func (p *pattern) sendTo(s *Sender, size int) error {
	for p.left > 0 {
		if _, err := s.Write(p.chunk(size)); err != nil {
			return err
		}
	}
	return s.Close()
}

// Read makes a pattern the source of a ReadFrom.
func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	return copy(b, p.chunk(len(b))), nil
}

// Write makes a pattern the judge of what arrives.
func (p *pattern) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		c := p.chunk(len(rest))
		if len(c) == 0 {
			return 0, fmt.Errorf("%d bytes too many", len(rest))
		}
		if !bytes.Equal(c, rest[:len(c)]) {
			return 0, fmt.Errorf("other bytes than were sent, before byte %d", p.total-p.left)
		}
		rest = rest[len(c):]
	}
	return len(b), nil
}

// take checks all of a stream.
func (p *pattern) take(r *Receiver) error {
	if _, err := r.WriteTo(p); err != nil {
		return err
	}
	if p.left > 0 {
		return fmt.Errorf("%d bytes are missing", p.left)
	}
	return nil
}

func microseconds(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
