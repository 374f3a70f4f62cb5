//go:build unix

package remote_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rpipe/remote"
)

// peer is the connection as a service has it: *net.TCPConn or *net.UnixConn.
type peer interface {
	net.Conn
	CloseWrite() error
}

// startService starts a service that calls handle for each connection and then closes
// it. When the test ends all must have returned, with nothing left.
func startService(t testing.TB, network string, handle func(peer)) (address string) {
	t.Helper()
	leftNothing(t)
	listen := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "service") // short: the path of a socket has 107 bytes
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		listen = filepath.Join(dir, "socket")
	}
	ln, err := net.Listen(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	var handlers sync.WaitGroup
	handlers.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			handlers.Go(func() {
				defer conn.Close()
				handle(conn.(peer))
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		handlers.Wait()
	})
	return ln.Addr().String()
}

// leftNothing fails the test when it has ended with more goroutines or descriptors than
// there are now.
func leftNothing(t testing.TB) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles()
	t.Cleanup(func() {
		checkNoneLeft(t, goroutines)
		n := openFiles()
		for range 200 { // a service may be about to close one
			if n <= files {
				return
			}
			time.Sleep(5 * time.Millisecond)
			n = openFiles()
		}
		t.Errorf("%d descriptors before, %d after", files, n)
	})
}

// openFiles counts the descriptors of this process, where the system tells.
func openFiles() int {
	entries, _ := os.ReadDir("/dev/fd")
	return len(entries)
}

// serveCat is the service cat.
func serveCat(c peer) {
	if _, err := io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}); err == nil {
		c.CloseWrite()
	}
}

// newPipe returns a pipe whose ends are closed with the test. blocking makes them
// so, as those that a shell hands over are.
func newPipe(t testing.TB, blocking bool) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	if blocking {
		r.Fd()
		w.Fd()
	}
	return r, w
}

var networks = []string{"tcp", "unix"}

// inputs are the kinds of Stdin.
var inputs = map[string]func(t testing.TB, data []byte) io.Reader{
	"pipe":          func(t testing.TB, data []byte) io.Reader { return pipeOf(t, data, false) },
	"blocking pipe": func(t testing.TB, data []byte) io.Reader { return pipeOf(t, data, true) },
	"file": func(t testing.TB, data []byte) io.Reader {
		f := tempFile(t)
		f.Write(data)
		f.Seek(0, io.SeekStart)
		return f
	},
	"socket": func(t testing.TB, data []byte) io.Reader {
		r, w := socketPair(t)
		feed(t, w, data)
		return r
	},
	"reader": func(t testing.TB, data []byte) io.Reader { return bytes.NewReader(data) },
}

func pipeOf(t testing.TB, data []byte, blocking bool) *os.File {
	r, w := newPipe(t, blocking)
	feed(t, w, data)
	return r
}

// feed writes data to w and closes it.
func feed(t testing.TB, w *os.File, data []byte) {
	var wg sync.WaitGroup
	wg.Go(func() {
		w.Write(data)
		w.Close()
	})
	t.Cleanup(wg.Wait)
}

// socketPair returns two sockets as a super-server hands them over: blocking.
func socketPair(t testing.TB) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	a, b = os.NewFile(uintptr(fds[0]), "socket"), os.NewFile(uintptr(fds[1]), "socket")
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

func tempFile(t testing.TB) *os.File {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// outputs are the kinds of Stdout, each with what it has got once all is written.
var outputs = map[string]func(t testing.TB) (w io.Writer, got func() []byte){
	"pipe":          func(t testing.TB) (io.Writer, func() []byte) { return collect(newPipe(t, false)) },
	"blocking pipe": func(t testing.TB) (io.Writer, func() []byte) { return collect(newPipe(t, true)) },
	"socket":        func(t testing.TB) (io.Writer, func() []byte) { return collect(socketPair(t)) },
	"file": func(t testing.TB) (io.Writer, func() []byte) {
		f := tempFile(t)
		return f, func() []byte {
			data, _ := os.ReadFile(f.Name())
			return data
		}
	},
	"writer": func(testing.TB) (io.Writer, func() []byte) {
		var b bytes.Buffer
		return &b, b.Bytes
	},
}

// collect reads r until got closes w.
func collect(r, w *os.File) (io.Writer, func() []byte) {
	all := make(chan []byte, 1)
	go func() {
		data, _ := io.ReadAll(r)
		all <- data
	}()
	return w, func() []byte {
		w.Close()
		return <-all
	}
}

// sum counts and hashes what is written to it.
func sum(r io.Reader) (n int64, hash [32]byte, err error) {
	h := sha256.New()
	n, err = io.Copy(h, r)
	return n, [32]byte(h.Sum(nil)), err
}

// pattern is an endless stream: a random block again and again, whose length is prime.
type pattern struct {
	block []byte
	at    int
}

func newPattern() *pattern {
	block := make([]byte, 1_000_003)
	mathrand.NewChaCha8([32]byte{}).Read(block)
	return &pattern{block: block}
}

func (p *pattern) Read(b []byte) (int, error) {
	n := copy(b, p.block[p.at:])
	p.at = (p.at + n) % len(p.block)
	return n, nil
}

// standstill returns when no byte has moved for a while.
func standstill(s *remote.Service) {
	for last := int64(-1); ; {
		in, out := s.Counts()
		if in+out == last {
			return
		}
		last = in + out
		time.Sleep(50 * time.Millisecond)
	}
}

// awaitInput returns when n bytes of input were sent.
func awaitInput(s *remote.Service, n int64) {
	for in, _ := s.Counts(); in < n; in, _ = s.Counts() {
		time.Sleep(time.Millisecond)
	}
}

// reset closes a connection by a reset. A Unix socket has one only where there is
// something that it has not read.
func reset(c peer) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}
