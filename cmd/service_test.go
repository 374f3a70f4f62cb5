//go:build unix

package cmd_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// service is a running rpiped, and where it serves.
type service struct {
	cmd       *exec.Cmd
	addresses []string // in the order of the log

	mu  sync.Mutex
	new *sync.Cond
	log strings.Builder
	end bool
}

var serving = regexp.MustCompile(`msg=serving program=\S+ address=(\S+)`)

// serveOne runs rpiped serve-one on a free port of 127.0.0.1.
func serveOne(t testing.TB, args ...string) *service {
	t.Helper()
	s := startService(t, append([]string{"serve-one", "--port", "0", "--listen", "127.0.0.1"}, args...)...)
	s.await(t, "msg=serving", 1)
	s.addresses = nil
	for _, m := range serving.FindAllStringSubmatch(s.text(), -1) {
		s.addresses = append(s.addresses, m[1])
	}
	return s
}

// startService runs rpiped until the test ends.
func startService(t testing.TB, args ...string) *service {
	t.Helper()
	return startServiceVia(t, nil, args...)
}

// startServiceVia runs it with another command, as in "ip netns exec NAME".
func startServiceVia(t testing.TB, via []string, args ...string) *service {
	t.Helper()
	words := slices.Concat(via, []string{filepath.Join(bin, "rpiped")}, args)
	cmd := exec.Command(words[0], words[1:]...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &service{cmd: cmd}
	s.new = sync.NewCond(&s.mu)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.mu.Lock()
			s.log.WriteString(lines.Text() + "\n")
			s.mu.Unlock()
			s.new.Broadcast()
		}
		_ = cmd.Wait()
		s.mu.Lock()
		s.end = true
		s.mu.Unlock()
		s.new.Broadcast()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("log of rpiped:\n%.4000s", s.text())
		}
	})
	return s
}

func (s *service) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// await waits until text stands in the log n times.
func (s *service) await(t testing.TB, text string, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for strings.Count(s.log.String(), text) < n {
		if s.end {
			t.Fatalf("rpiped ended before %q:\n%s", text, s.log.String())
		}
		s.new.Wait()
	}
}

// A netClient is given host and port, sends its standard input and its end, and writes what
// comes.
type netClient struct {
	tool string
	args func(host, port string) []string
}

// clients know nothing of rpipe.
var clients = []netClient{
	{"nc", func(host, port string) []string { return []string{"-N", host, port} }},
	{"socat", func(host, port string) []string { return []string{"-t", "60", "-", "TCP:" + host + ":" + port} }},
	{"ncat", func(host, port string) []string { return []string{host, port} }},
	{"python3", func(host, port string) []string {
		return []string{"-c", `import socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    while b := sys.stdin.buffer.read(65536):
        s.sendall(b)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send)
t.start()
while b := s.recv(65536):
    sys.stdout.buffer.write(b)
t.join()`, host, port}
	}},
	// It cannot half-close: the program must know where its input ends.
	{"bash", func(host, port string) []string {
		return []string{"-c", `exec 3<>/dev/tcp/$0/$1 4<&0; head -c 1000000 <&4 >&3 & cat <&3; s=$?; wait; exit $s`, host, port}
	}},
}

func TestClientsThatKnowNothingOfRpipeGetTheSameBytes(t *testing.T) {
	in := bytes.Repeat([]byte("the quick brown fox\n"), 50000)
	want := strings.ToUpper(string(in))
	for _, stdio := range []string{"pipe", "socket"} {
		upper := serveOne(t, "--stdio", stdio, "--", "tr", "a-z", "A-Z")
		exact := serveOne(t, "--stdio", stdio, "--", "sh", "-c", "head -c 1000000 | tr a-z A-Z")
		for _, c := range clients {
			t.Run(c.tool+"/"+stdio, func(t *testing.T) {
				if _, err := exec.LookPath(c.tool); err != nil {
					missingTool(t, c.tool)
				}
				address := upper.addresses[0]
				if c.tool == "bash" {
					address = exact.addresses[0]
				}
				host, port, _ := net.SplitHostPort(address)
				cmd := exec.Command(c.tool, c.args(host, port)...)
				cmd.Stdin = bytes.NewReader(in)
				cmd.Stderr = os.Stderr
				out, err := cmd.Output()
				if string(out) != want || err != nil {
					t.Errorf("%d of %d bytes, %v", len(out), len(want), err)
				}
			})
		}
	}
}

// TestReadmeServiceIsReal runs the second session of README, a service in the background and its
// clients, at a port that is free.
func TestReadmeServiceIsReal(t *testing.T) {
	for _, tool := range []string{"bash", "nc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingTool(t, tool)
		}
	}
	s := readmeSession(t, 1)
	if len(s) < 2 {
		t.Fatalf("%d commands, want a service and clients", len(s))
	}
	port := freePort(t)
	service, background := strings.CutSuffix(strings.ReplaceAll(s[0].command, "9999", port), " &")
	args := strings.Fields(service)
	if !background || args[0] != "rpiped" {
		t.Fatalf("%q is no service in the background", s[0].command)
	}
	startService(t, args[1:]...).await(t, "msg=serving", 1)
	for _, client := range s[1:] {
		cmd := exec.Command("bash", "-c", strings.ReplaceAll(client.command, "9999", port))
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "XDG_CONFIG_HOME=")
		client.prints(t, cmd)
	}
}

func TestBrowsersDoNoHarm(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ran")
	s := serveOne(t, "--", "sh", "-c", "echo >"+file+"; cat")
	for i, client := range [][]string{
		{"curl", "-s", "http://" + s.addresses[0]},
		{"curl", "-s", "-d", "x", "http://" + s.addresses[0]},
		{"curl", "-sk", "https://" + s.addresses[0]},
		{"openssl", "s_client", "-connect", s.addresses[0]},
	} {
		if _, err := exec.LookPath(client[0]); err != nil {
			missingTool(t, client[0])
		}
		if out, err := exec.Command(client[0], client[1:]...).Output(); err == nil || bytes.Contains(out, []byte("HTTP/1.1")) {
			t.Errorf("%v: %q, %v", client, out, err)
		}
		s.await(t, "look like HTTP or TLS", i+1)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the program ran")
	}
}

func dialStream(t testing.TB, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func TestADaemonThatIsKilledLeavesAResetAndNoProgram(t *testing.T) {
	const rounds = 10
	for _, stdio := range []string{"pipe", "socket"} {
		for range rounds {
			s := serveOne(t, "--stdio", stdio, "--", "sh", "-c", "echo $$; exec cat")
			var conns []*net.TCPConn
			var pids []int
			for range 10 {
				conn := dialStream(t, s.addresses[0])
				io.WriteString(conn, "x\n")
				r := bufio.NewReader(conn)
				line, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if rest, err := r.ReadString('\n'); rest != "x\n" || err != nil {
					t.Fatalf("%q, %v", rest, err)
				}
				pid, _ := strconv.Atoi(strings.TrimSpace(line))
				pids = append(pids, pid)
				conns = append(conns, conn)
			}
			_ = s.cmd.Process.Kill()
			for _, conn := range conns {
				if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%s: ended with %v", stdio, err)
				}
				conn.Close()
			}
			for _, pid := range pids {
				awaitGone(t, pid)
			}
		}
	}
}

// awaitGone returns when a process has ended.
func awaitGone(t testing.TB, pid int) {
	t.Helper()
	for {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
	}
}

func TestADaemonThatIsKilledInTheMiddleOfOutputIsNoEnd(t *testing.T) {
	for range 20 {
		s := serveOne(t, "--", "yes")
		conn := dialStream(t, s.addresses[0])
		conn.CloseWrite()
		if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
			t.Fatal(err)
		}
		_ = s.cmd.Process.Kill()
		if _, err := io.Copy(io.Discard, conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestAProgramThatIsKilledIsAReset(t *testing.T) {
	s := serveOne(t, "--", "sh", "-c", "echo $$; exec cat")
	for range 20 {
		conn := dialStream(t, s.addresses[0])
		io.WriteString(conn, "x\n")
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(line))
		r.ReadString('\n')
		_ = syscall.Kill(pid, syscall.SIGKILL)
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("ended with %v", err)
		}
	}
	s.await(t, "end=SIGKILL", 20)
}

// TestGigabytesGoBothWaysAtOnce takes RPIPE_TEST_LONG=1 for all 4 GB.
func TestGigabytesGoBothWaysAtOnce(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv("RPIPE_TEST_LONG") == "1" {
		size = 4 << 30
	}
	for _, stdio := range []string{"pipe", "socket"} {
		s := serveOne(t, "--stdio", stdio, "--", "cat")
		conn := dialStream(t, s.addresses[0])
		block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
		sum := sha256.New()
		var sending sync.WaitGroup
		sending.Go(func() {
			for sent := int64(0); sent < size; sent += int64(len(block)) {
				sum.Write(block)
				if _, err := conn.Write(block); err != nil {
					t.Error(err)
					return
				}
			}
			conn.CloseWrite()
		})
		back := sha256.New()
		n, err := io.Copy(back, conn)
		sending.Wait()
		if n != size || err != nil || !bytes.Equal(sum.Sum(nil), back.Sum(nil)) {
			t.Errorf("%s: %d of %d bytes, %v", stdio, n, size, err)
		}
	}
}

// What a connection takes: descriptors in the daemon, processes and threads on the machine.
const (
	descriptorsEach = 6
	tasksEach       = 12
)

// crowdOf is a number of connections, or as many as this machine's limits allow, and by how many
// daemons they are served: one, if there are descriptors for all of them.
func crowdOf(t testing.TB, wanted int) (crowd, daemons int) {
	t.Helper()
	var limit syscall.Rlimit // which the daemon raises to its maximum, as every Go program
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	crowd = int(min(uint64(wanted), uint64(limit.Max)-500)) // the clients are this process's
	for _, file := range []string{"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"} {
		text, _ := os.ReadFile(file)
		if most, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			crowd = min(crowd, (most-3000)/tasksEach)
		}
	}
	each := int(min(uint64(limit.Max)-500, 1<<20)) / descriptorsEach
	return crowd, (crowd + each - 1) / each
}

// TestACrowdOfConnections takes RPIPE_TEST_LONG=1 for 5,000 at once.
func TestACrowdOfConnections(t *testing.T) {
	wanted := 200
	if os.Getenv("RPIPE_TEST_LONG") == "1" {
		wanted = 5000
	}
	crowd, count := crowdOf(t, wanted)
	var daemons []*service
	for range count {
		daemons = append(daemons, serveOne(t, "--max-connections", strconv.Itoa(crowd/count), "--", "cat"))
	}
	crowd -= crowd % count
	start := time.Now()
	var conns []*net.TCPConn
	for i := range crowd {
		conn := dialStream(t, daemons[i%count].addresses[0])
		fmt.Fprintf(conn, "%d\n", i)
		conns = append(conns, conn)
	}
	for i, conn := range conns { // all are there at once
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != fmt.Sprintf("%d\n", i) || err != nil {
			t.Fatalf("%d: %q, %v", i, line, err)
		}
	}
	t.Logf("%d connections after %v", crowd, time.Since(start).Round(time.Millisecond))
	for _, s := range daemons {
		t.Logf("a daemon: %s; its reapers: %s", resources(s.cmd.Process.Pid), reapers(s.cmd.Process.Pid))
		if runtime.GOOS == "linux" {
			if fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid)); len(fds) > crowd/count*descriptorsEach+50 {
				t.Errorf("%d descriptors are more than docs/services.md says", len(fds))
			}
		}
		if conn, err := net.Dial("tcp", s.addresses[0]); err == nil {
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("one too many: %v", err)
			}
			conn.Close()
		}
	}
	for _, conn := range conns {
		conn.CloseWrite()
	}
	for i, conn := range conns {
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		conn.Close()
	}
	for _, s := range daemons {
		s.await(t, "end=0", crowd/count)
	}
}

// reapers tells how many a daemon has, and what they take together.
func reapers(daemon int) string {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	count, threads, kib := 0, 0, 0
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(stat), "(session-reaper)") {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // proc_pid_stat(5), from the state on
		if fields[1] != strconv.Itoa(daemon) {
			continue
		}
		count++
		n, _ := strconv.Atoi(fields[17])
		threads += n
		rollup, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "smaps_rollup"))
		if _, rest, found := strings.Cut(string(rollup), "\nPss:"); found {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			kib += n
		}
	}
	return fmt.Sprintf("%d, %d threads, %d MiB", count, threads, kib>>10)
}

// resources tells descriptors, threads and memory of a process.
func resources(pid int) string {
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	text := fmt.Sprintf("%d descriptors", len(fds))
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "Threads:") || strings.HasPrefix(line, "VmRSS:") {
			text += ", " + strings.Join(strings.Fields(line), " ")
		}
	}
	return text
}
