//go:build unix

package serve

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// testLog keeps lines.
type testLog struct {
	mu   sync.Mutex
	new  *sync.Cond
	text bytes.Buffer
}

func newTestLog() *testLog {
	l := new(testLog)
	l.new = sync.NewCond(&l.mu)
	return l
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.new.Broadcast()
	return l.text.Write(p)
}

// await waits until text stands in the log n times.
func (l *testLog) await(text string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for strings.Count(l.text.String(), text) < n {
		l.new.Wait()
	}
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// quickTimes are shorter where only time would pass.
var quickTimes = serviceTimes{
	silence: 50 * time.Millisecond,
	hold:    time.Second,
	linger:  2 * time.Second,
	reset:   50 * time.Millisecond,
	dead:    30 * time.Second,
}

// script is a service that runs sh -c text on a free port of 127.0.0.1.
func script(name, text string) *Service {
	return &Service{
		Program: &Program{Name: name, Run: []string{"/bin/sh", "-c", text}},
		Network: "tcp",
		Address: "127.0.0.1:0",
	}
}

// plain is a service that runs a program that is found on PATH.
func plain(t testing.TB, argv ...string) *Service {
	t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	s := script(argv[0], "")
	s.Program.Run = append([]string{path}, argv[1:]...)
	return s
}

// serveOne serves one service until the test ends, and returns where.
func serveOne(t testing.TB, service *Service) (s *Services, address string, log *testLog) {
	t.Helper()
	log = newTestLog()
	s = &Services{Log: slog.New(slog.NewTextHandler(log, nil)), times: quickTimes}
	if err := s.Set([]*Service{service}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return s, s.Addrs()[0].Addr.String(), log
}

func dialService(t testing.TB, service *Service, address string) stream {
	t.Helper()
	conn, err := net.Dial(service.Network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(stream)
}

// call sends in, ends it, and returns what comes to the end.
func call(t testing.TB, service *Service, address, in string) (string, error) {
	t.Helper()
	conn := dialService(t, service, address)
	defer conn.Close()
	var sending sync.WaitGroup
	sending.Go(func() {
		io.WriteString(conn, in)
		conn.CloseWrite()
	})
	out, err := io.ReadAll(conn)
	sending.Wait()
	return string(out), err
}

// hasHangups says whether a connection that fails is noticed before it is used.
const hasHangups = runtime.GOOS == "linux"

func mustPrefixes(texts ...string) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, text := range texts {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	return prefixes
}
