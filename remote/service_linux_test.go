package remote_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rpipe/remote"
)

// deafen makes the kernel drop all that comes to a connection before TCP sees it: its
// peer has fallen silent.
func deafen(t *testing.T, c peer) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	raw.Control(func(fd uintptr) {
		drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
	})
	if err != nil {
		t.Error(err)
	}
}

// TestServiceWhoseHostIsDead runs its cases side by side, since each takes as long as
// DeadTimeout.
func TestServiceWhoseHostIsDead(t *testing.T) {
	const dead = 3 * time.Second
	type result struct {
		name string
		err  error
	}
	results := make(chan result)
	run := func(name string, dead time.Duration, stdin io.Reader, serve func(peer)) {
		s := remote.NewService(t.Context(), "tcp", startService(t, "tcp", serve))
		s.Stdin, s.DeadTimeout = stdin, dead
		go func() { results <- result{name, s.Run()} }()
	}
	release := make(chan struct{})
	dies := func(after func(peer)) func(peer) {
		return func(c peer) {
			after(c)
			deafen(t, c)
			<-release
			reset(c)
		}
	}
	run("half-closed", dead, nil, dies(func(c peer) { io.Copy(io.Discard, c) }))
	run("input under way", dead, zeros{}, dies(func(c peer) { c.Read(make([]byte, 1)) }))
	run("input under way, after its FIN", dead, zeros{}, dies(func(c peer) { c.CloseWrite(); c.Read(make([]byte, 1)) }))
	run("the end of the input under way, after its FIN", dead, io.LimitReader(zeros{}, 16<<20), dies(func(c peer) {
		c.CloseWrite()
		io.ReadFull(c, make([]byte, 8<<20))
	}))
	const alive = "alive, and reads nothing"
	run(alive, time.Second, io.LimitReader(zeros{}, 20<<20), func(c peer) {
		time.Sleep(dead) // the window is closed all the time
		serveCat(c)
	})
	for range 5 {
		r := <-results
		switch {
		case r.name == alive && r.err != nil:
			t.Errorf("%s: %v", r.name, r.err)
		case r.name != alive && (exitStatus(r.err) != 76 || !errors.Is(r.err, syscall.ETIMEDOUT)):
			t.Errorf("%s: %v, want a loss", r.name, r.err)
		}
	}
	close(release)
}

// terminal returns the two ends of a new terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs /dev/ptmx: ", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestServiceDoesNotWaitForATerminal(t *testing.T) {
	_, slave := terminal(t)
	slave.Fd() // blocking, as a shell's is
	address := startService(t, "tcp", func(c peer) { io.WriteString(c, "the time is now\n") })
	var n countingWriter
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin, s.Stdout = slave, &n
	if err := s.Run(); err != nil || n != 16 || !s.InputLeft() {
		t.Errorf("%d bytes, %v, InputLeft %v", n, err, s.InputLeft())
	}
}

func TestServiceSendsWhatIsTyped(t *testing.T) {
	master, slave := terminal(t)
	address := startService(t, "tcp", serveCat)
	r, w := newPipe(t, true)
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin, s.Stdout = slave, w
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each line as soon as it is typed
		io.WriteString(master, "line\n")
		buf := make([]byte, 16)
		if n, err := r.Read(buf); err != nil || string(buf[:n]) != "line\n" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
	}
	master.Write([]byte{4}) // ^D
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

// TestServiceSeesAResetWhenTheClientIsKilled runs a client in a process of its own.
func TestServiceSeesAResetWhenTheClientIsKilled(t *testing.T) {
	if address := os.Getenv("RPIPE_TEST_SERVICE"); address != "" {
		s := remote.NewService(t.Context(), "tcp", address)
		s.Stdin = os.Stdin
		t.Log(s.Run())
		return
	}
	saw := make(chan error, 1)
	got := make(chan struct{}, 1)
	address := startService(t, "tcp", func(c peer) {
		c.Read(make([]byte, 16))
		got <- struct{}{}
		_, err := io.Copy(io.Discard, c)
		saw <- err
	})
	for range 10 {
		r, w := newPipe(t, true)
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "RPIPE_TEST_SERVICE="+address)
		cmd.Stdin = r
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "half")
		<-got
		cmd.Process.Kill()
		cmd.Wait()
		if err := <-saw; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the service saw %v, want a reset", err)
		}
	}
}
