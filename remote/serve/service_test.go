//go:build unix

package serve

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestConnectingIsCalling(t *testing.T) {
	for _, socket := range []bool{false, true} {
		for _, network := range []string{"tcp", "unix"} {
			t.Run(network+map[bool]string{true: "/socket"}[socket], func(t *testing.T) {
				service := plain(t, "tr", "a-z", "A-Z")
				service.Network, service.Socket = network, socket
				if network == "unix" {
					service.Address = filepath.Join(t.TempDir(), "tr")
				}
				_, address, log := serveOne(t, service)
				for range 20 {
					if out, err := call(t, service, address, "hello\n"); out != "HELLO\n" || err != nil {
						t.Fatalf("%q, %v", out, err)
					}
				}
				if out, err := call(t, service, address, ""); out != "" || err != nil {
					t.Fatalf("of nothing: %q, %v", out, err)
				}
				log.await("msg=connection", 21)
				if !socket && strings.Count(log.String(), "end=0 in=6 out=6") != 20 {
					t.Errorf("log:\n%s", log)
				}
			})
		}
	}
}

func TestBytesGoBothWaysAtOnceAtAnySize(t *testing.T) {
	for _, socket := range []bool{false, true} {
		service := plain(t, "cat")
		service.Socket = socket
		_, address, log := serveOne(t, service)
		in := strings.Repeat("0123456789abcde\n", 1<<19)
		if out, err := call(t, service, address, in); out != in || err != nil {
			t.Errorf("socket %v: %d of %d bytes, %v", socket, len(out), len(in), err)
		}
		log.await("end=0 in=8388608 out=8388608", 1)
	}
}

func TestAnEndOfInputLetsTheProgramSayTheRest(t *testing.T) {
	service := plain(t, "sort")
	_, address, _ := serveOne(t, service)
	if out, err := call(t, service, address, "b\nc\na\n"); out != "a\nb\nc\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestAProgramThatEndsEarlyIsASuccessAlthoughTheClientStillSends(t *testing.T) {
	for range 50 {
		service := plain(t, "head", "-c", "100000")
		_, address, _ := serveOne(t, service)
		in := strings.Repeat("x", 4<<20)
		out, err := call(t, service, address, in)
		if len(out) != 100000 || err != nil {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
	}
}

func TestAClientThatNeverEndsHasAllOfTheOutputBeforeItIsReset(t *testing.T) {
	service := plain(t, "head", "-c", "1000000")
	_, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	if _, err := conn.Write(make([]byte, 1000000)); err != nil {
		t.Fatal(err)
	}
	if n, end := readAll(t, conn); n != 1000000 || end != "FIN" {
		t.Fatalf("%d bytes, %s", n, end)
	}
	log.await("end=0", 1)
	for { // what is dropped, until the daemon has waited for long enough
		_, err := conn.Write(make([]byte, 1000))
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProgramThatSpeaksFirstIsHeardByAClientThatSaysNothing(t *testing.T) {
	service := script("banner", "echo hello; cat")
	_, address, _ := serveOne(t, service)
	conn := dialService(t, service, address)
	buf := make([]byte, 6)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "hello\n" {
		t.Fatalf("%q, %v", buf, err)
	}
	io.WriteString(conn, "bye\n")
	conn.CloseWrite()
	if rest, err := io.ReadAll(conn); string(rest) != "bye\n" || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestAProgramThatClosesItsInputDoesNotBlockTheClient(t *testing.T) {
	service := script("deaf", "exec <&-; head -c 3000000 /dev/zero")
	_, address, _ := serveOne(t, service)
	conn := dialService(t, service, address)
	if _, err := conn.Write(make([]byte, 30<<20)); err != nil { // before it reads
		t.Fatal(err)
	}
	conn.CloseWrite()
	if n, err := io.Copy(io.Discard, conn); n != 3000000 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// readAll reads to an end or an error that names how the connection ended: "FIN" or
// "RST".
func readAll(t testing.TB, conn io.Reader) (n int64, end string) {
	t.Helper()
	n, err := io.Copy(io.Discard, conn)
	switch {
	case err == nil:
		return n, "FIN"
	case errors.Is(err, syscall.ECONNRESET):
		return n, "RST"
	}
	t.Errorf("ended with %v", err)
	return n, ""
}

func TestAStatusIsNoResetUnlessTheServiceSaysSoAndNoByteIsLost(t *testing.T) {
	const size = 3_000_000
	text := "head -c " + strconv.Itoa(size) + " /dev/zero; exit 3"
	for _, test := range []struct {
		reset bool
		want  string
	}{{false, "FIN"}, {true, "RST"}} {
		service := script("fails", text)
		service.ResetOnFailure = test.reset
		_, address, log := serveOne(t, service)
		for range 50 {
			conn := dialService(t, service, address)
			conn.CloseWrite()
			if n, end := readAll(t, conn); n != size || end != test.want {
				t.Fatalf("reset %v: %d bytes, %s", test.reset, n, end)
			}
			conn.Close()
		}
		log.await("end=3", 50)
	}
}

func TestAResetDoesNotMeetAClientInItsConnect(t *testing.T) {
	service := script("fails", "exit 1")
	service.ResetOnFailure, service.Browsers = true, true
	_, address, _ := serveOne(t, service)
	for range 100 {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, end := readAll(t, conn); end != "RST" {
			t.Fatal(end)
		}
		conn.Close()
	}
}

func TestASignalIsAResetAfterTheOutputThatThereWas(t *testing.T) {
	service := script("dies", "head -c 1000000 /dev/zero; kill -9 $$")
	_, address, log := serveOne(t, service)
	for range 50 {
		conn := dialService(t, service, address)
		if n, end := readAll(t, conn); n != 1000000 || end != "RST" {
			t.Fatalf("%d bytes, %s", n, end)
		}
		conn.Close()
	}
	log.await("end=SIGKILL", 50)
}

func TestATimeLimitIsAResetAndNothingIsLeft(t *testing.T) {
	service := script("slow", "echo $$; exec sleep 1000")
	service.MaxTime = 300 * time.Millisecond
	_, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	conn.CloseWrite()
	out, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended with %v", err)
	}
	log.await("it took longer than 300ms", 1)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	if pid == 0 || syscall.Kill(-pid, 0) != syscall.ESRCH {
		t.Errorf("the group %d is there", pid)
	}
}

// load is a program that takes the end of its input for the whole: it says so in a
// file.
func load(t *testing.T) (service *Service, file string) {
	file = filepath.Join(t.TempDir(), "whole")
	return script("load", "cat >/dev/null && echo whole >"+file), file
}

func TestAResetOfTheClientIsNoEndOfInput(t *testing.T) {
	service, file := load(t)
	_, address, log := serveOne(t, service)
	const rounds = 100
	for range rounds {
		conn := dialService(t, service, address)
		if _, err := conn.Write(make([]byte, 100000)); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	log.await("msg=\"connection lost\"", rounds)
	if _, err := os.Stat(file); err == nil {
		t.Error("the program took a part for the whole")
	}
}

// A writer takes the error of a reset socket, and its reader sees a plain end then.
func TestAResetOfTheClientIsNoEndOfInputToAProgramThatWrites(t *testing.T) {
	file := filepath.Join(t.TempDir(), "whole")
	service := script("load", "trap '' PIPE; yes & cat >/dev/null && echo whole >"+file)
	_, address, log := serveOne(t, service)
	const rounds = 100
	for range rounds {
		conn := dialService(t, service, address)
		if _, err := conn.Write(make([]byte, 100000)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	log.await("msg=\"connection lost\"", rounds)
	if _, err := os.Stat(file); err == nil {
		t.Error("the program took a part for the whole")
	}
}

func TestAClientThatLeavesEndsAProgramThatOnlySleeps(t *testing.T) {
	if !hasHangups {
		t.Skip("needs Linux")
	}
	service := script("sleeps", "echo; sleep 1000")
	_, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	conn.Read(make([]byte, 1))
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	log.await("the client has reset it", 1)
}

func TestAClientThatClosesEndsAProgramThatWrites(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		service := plain(t, "yes")
		service.Network = network
		if network == "unix" {
			service.Address = filepath.Join(t.TempDir(), "yes")
		}
		_, address, log := serveOne(t, service)
		conn := dialService(t, service, address)
		conn.Read(make([]byte, 1000))
		conn.Close()
		log.await("msg=\"connection", 1)
	}
}

func TestAUnixClientThatSaysAllAndClosesIsServed(t *testing.T) {
	service, file := load(t)
	service.Network, service.Address = "unix", filepath.Join(t.TempDir(), "load")
	_, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	conn.Write(make([]byte, 100000))
	conn.Close()
	log.await("end=0 in=100000", 1)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestBrowsersAndProbesRunNothing(t *testing.T) {
	for _, socket := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "ran")
		service := script("upper", "echo >"+file+"; tr a-z A-Z")
		service.Socket = socket
		_, address, log := serveOne(t, service)
		for i, first := range []string{
			"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
			"POST /" + strings.Repeat("x", 10000) + " HTTP/1.1\r\n\r\n",
			"OPTIONS * HTTP/1.1\r\n\r\n",
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		} {
			conn := dialService(t, service, address)
			io.WriteString(conn, first)
			if n, end := readAll(t, conn); n != 0 || end != "RST" {
				t.Errorf("%.20q: %d bytes, %s", first, n, end)
			}
			log.await("look like HTTP or TLS", i+1)
		}
		conn := dialService(t, service, address)
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
		log.await("the client has reset it", 1)
		if _, err := os.Stat(file); err == nil {
			t.Error("the program ran")
		}
	}
}

func TestABrowserThatWaitsBeforeItSpeaksGivesTheProgramNoByte(t *testing.T) {
	service := script("first", "echo ready; cat")
	_, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if n, end := readAll(t, conn); n != 0 || end != "RST" {
		t.Errorf("%d bytes, %s", n, end)
	}
	log.await("look like HTTP or TLS", 1)
	if !strings.Contains(log.String(), "in=0") {
		t.Error("it got something")
	}
}

func TestWhatOnlyBeginsLikeHTTPIsServed(t *testing.T) {
	service := plain(t, "cat")
	_, address, _ := serveOne(t, service)
	for _, in := range []string{"GET", "GET /", "GET / HTTP", "HELLO WORLD\n", "GET /x y\n", "A", "\x16", "\x16\x03\x01\x00\x00\x02"} {
		if out, err := call(t, service, address, in); out != in || err != nil {
			t.Errorf("%q: %q, %v", in, out, err)
		}
	}
	// Too few to tell, and then nothing for a while.
	conn := dialService(t, service, address)
	io.WriteString(conn, "PING")
	buf := make([]byte, 4)
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "PING" {
		t.Errorf("%q, %v", buf, err)
	}
	conn.CloseWrite()
	if _, end := readAll(t, conn); end != "FIN" {
		t.Error(end)
	}
}

func TestALookTellsBrowsersFromOthers(t *testing.T) {
	for _, test := range []struct {
		first string
		want  look
	}{
		{"", lookMore},
		{"GET", lookMore},
		{"GET ", lookMore},
		{"GET /", lookMore},
		{"GET / HT", lookMore},
		{"GET / HTTP/", lookBrowser},
		{"VERSION-CONTROL /x HTTP/1.1\r\n", lookBrowser},
		{"GET /\r\n", lookPlain},
		{"GET / FTP", lookPlain},
		{"GET\n", lookPlain},
		{"get / HTTP/1.1\r\n", lookPlain},
		{"G3T", lookPlain},
		{" ", lookPlain},
		{"\n", lookPlain},
		{strings.Repeat("A", 33), lookPlain},
		{"GET " + strings.Repeat("x", maxLook), lookBrowser},
		{"\x16", lookMore},
		{"\x16\x03\x01\x02\x00", lookMore},
		{"\x16\x03\x01\x02\x00\x01", lookBrowser},
		{"\x16\x03\x01\x02\x00\x02", lookPlain},
		{"\x16\x04", lookPlain},
	} {
		if got := lookAt([]byte(test.first)); got != test.want {
			t.Errorf("%.40q: %d, want %d", test.first, got, test.want)
		}
	}
}

func FuzzLook(f *testing.F) {
	for _, seed := range []string{"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01", "hello\n", "POST "} {
		f.Add([]byte(seed), 3)
	}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 0 || n > len(b) {
			return
		}
		l := lookAt(b)
		if len(b) >= maxLook && l == lookMore {
			t.Error("it wants more than it looks at")
		}
		// What fewer bytes tell, more do not change.
		if early := lookAt(b[:n]); early != lookMore && early != l {
			t.Errorf("%d of %q: %d, all: %d", n, b, early, l)
		}
	})
}

// refusedAtOnce connects, and must be reset: in its connect or later.
func refusedAtOnce(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended with %v", err)
	}
}

func TestOnlyTheNetworksThatAreListedComeIn(t *testing.T) {
	service := plain(t, "cat")
	service.From = mustPrefixes("192.0.2.0/24", "2001:db8::/32")
	_, address, log := serveOne(t, service)
	refusedAtOnce(t, address)
	log.await("its network is not in from", 1)
	service = plain(t, "cat")
	service.From = mustPrefixes("127.0.0.1/32")
	service.Address = "[::]:0" // as an IPv4 address in IPv6 form
	_, address, _ = serveOne(t, service)
	_, port, _ := net.SplitHostPort(address)
	if out, err := call(t, service, "127.0.0.1:"+port, "x"); out != "x" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	service := plain(t, "cat")
	service.MaxConnections = 3
	_, address, log := serveOne(t, service)
	var conns []stream
	for range 3 {
		conn := dialService(t, service, address)
		io.WriteString(conn, "x\n")
		io.ReadFull(conn, make([]byte, 2))
		conns = append(conns, conn)
	}
	refusedAtOnce(t, address)
	log.await("3 connections are under way, the most of this program", 1)
	for _, conn := range conns {
		conn.CloseWrite()
		if _, end := readAll(t, conn); end != "FIN" {
			t.Error(end)
		}
		conn.Close()
	}
	for { // until the places are given back
		conn, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		io.WriteString(conn, "x")
		conn.(stream).CloseWrite()
		out, err := io.ReadAll(conn)
		conn.Close()
		if string(out) == "x" && err == nil {
			break
		}
	}
}

func TestShutdownWaitsAndCloseResets(t *testing.T) {
	service := plain(t, "cat")
	s, address, _ := serveOne(t, service)
	conn := dialService(t, service, address)
	io.WriteString(conn, "x\n")
	io.ReadFull(conn, make([]byte, 2))
	var down sync.WaitGroup
	down.Go(func() {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-s.draining
	if late, err := net.Dial("tcp", address); err == nil {
		if _, err := late.Read(make([]byte, 1)); err == nil {
			t.Error("one came in late")
		}
		late.Close()
	}
	conn.CloseWrite()
	if _, end := readAll(t, conn); end != "FIN" {
		t.Error(end)
	}
	conn.Close()
	down.Wait()
	if err := s.Set(nil); err != ErrServerClosed {
		t.Errorf("Set after Shutdown: %v", err)
	}

	s, address, log := serveOne(t, service)
	conn = dialService(t, service, address)
	io.WriteString(conn, "x\n")
	io.ReadFull(conn, make([]byte, 2))
	s.Close()
	if _, end := readAll(t, conn); end != "RST" {
		t.Error(end)
	}
	if !strings.Contains(log.String(), "this daemon was stopped") {
		t.Error("the log does not say so")
	}
}

func TestShutdownDoesNotWaitForAClientThatSaysNothing(t *testing.T) {
	service := plain(t, "cat")
	service.Socket = true // so that the program waits for its first byte
	s, address, log := serveOne(t, service)
	conn := dialService(t, service, address)
	for registered := 0; registered == 0; {
		s.mu.Lock()
		registered = len(s.conns)
		s.mu.Unlock()
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, end := readAll(t, conn); end != "RST" {
		t.Error(end)
	}
	log.await("this daemon was stopped", 1)
}

func TestServicesChangeWithoutHarmToThoseThatRun(t *testing.T) {
	dir := t.TempDir()
	at := func(name, text string) *Service {
		s := script(name, text)
		s.Network, s.Address = "unix", filepath.Join(dir, name)
		return s
	}
	a, b := at("a", "cat"), at("b", "cat")
	s, _, _ := serveOne(t, a)
	conn := dialService(t, a, a.Address)
	io.WriteString(conn, "x\n")
	io.ReadFull(conn, make([]byte, 2))
	changed := at("a", "tr a-z A-Z")
	if err := s.Set([]*Service{changed, b}); err != nil {
		t.Fatal(err)
	}
	if out, err := call(t, a, a.Address, "x"); out != "X" || err != nil {
		t.Errorf("changed: %q, %v", out, err)
	}
	if out, err := call(t, b, b.Address, "x"); out != "x" || err != nil {
		t.Errorf("added: %q, %v", out, err)
	}
	wrong := at("c", "cat")
	wrong.Address = filepath.Join(dir, "no", "folder")
	err := s.Set([]*Service{wrong, at("d", "cat")})
	if e, ok := errors.AsType[*ServiceListenError](err); !ok || e.Service != wrong {
		t.Errorf("wrong: %v", err)
	}
	if out, err := call(t, b, b.Address, "x"); out != "x" || err != nil {
		t.Errorf("after what was wrong: %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "d")); err == nil {
		t.Error("half of a wrong set is served")
	}
	if err := s.Set([]*Service{b}); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("unix", a.Address); err == nil {
		conn.Close()
		t.Error("what is gone still listens")
	}
	io.WriteString(conn, "y\n")
	conn.CloseWrite()
	if rest, err := io.ReadAll(conn); string(rest) != "y\n" || err != nil {
		t.Errorf("what ran: %q, %v", rest, err)
	}
}

func TestASocketThatAKilledDaemonLeftIsReplacedAndALivingOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	service := plain(t, "cat")
	service.Network, service.Address = "unix", path
	s := &Services{}
	defer s.Close()
	if err := s.Set([]*Service{service}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("over a living one: %v", err)
	}
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	ln.Close()
	if err := s.Set([]*Service{service}); err != nil {
		t.Errorf("over one that was left: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info, err)
	}
}
