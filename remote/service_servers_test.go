//go:build unix

package remote_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rpipe/remote"
)

// needTool returns the path of a program, or skips the test; with RPIPE_TEST_ALL=1 it
// fails it.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatalf("%s is missing, and RPIPE_TEST_ALL wants every test", name)
		}
		t.Skipf("needs %s", name)
	}
	return path
}

// servers are programs of others that put a program behind a port, each with its
// arguments.
var servers = map[string]func(t testing.TB, port string, argv []string) []string{
	"tcpserver": func(_ testing.TB, port string, argv []string) []string {
		return append([]string{"-RHl0", "127.0.0.1", port}, argv...)
	},
	"socat": func(_ testing.TB, port string, argv []string) []string {
		// -t: how long it waits for the answer after the end of the input.
		return []string{"-t", "60", "TCP-LISTEN:" + port + ",bind=127.0.0.1,reuseaddr,fork", "EXEC:" + strings.Join(argv, " ")}
	},
	"ncat": func(_ testing.TB, port string, argv []string) []string {
		return []string{"-l", "-k", "127.0.0.1", port, "--exec", strings.Join(argv, " ")}
	},
	"systemd-socket-activate": func(_ testing.TB, port string, argv []string) []string {
		return append([]string{"--accept", "--inetd", "--listen=127.0.0.1:" + port}, argv...)
	},
	"xinetd": func(t testing.TB, port string, argv []string) []string {
		args := ""
		if len(argv) > 1 {
			args = "server_args = " + strings.Join(argv[1:], " ")
		}
		conf := filepath.Join(t.TempDir(), "xinetd.conf")
		text := fmt.Sprintf(`service rpipe-test
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	port = %s
	bind = 127.0.0.1
	wait = no
	user = root
	server = %s
	%s
	cps = 10000 1
	instances = UNLIMITED
	flags = REUSE
}
`, port, argv[0], args)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"-dontfork", "-f", conf, "-pidfile", conf + ".pid", "-filelog", conf + ".log"}
	},
}

// startServer runs a server until the test ends, and returns where.
func startServer(t testing.TB, server string, argv ...string) (address string) {
	t.Helper()
	path := needTool(t, server)
	if server == "xinetd" && os.Getuid() != 0 {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("xinetd needs root, and RPIPE_TEST_ALL wants every test")
		}
		t.Skip("xinetd needs root")
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = ln.Addr().String()
	ln.Close()
	_, port, _ := net.SplitHostPort(address)
	var log bytes.Buffer
	cmd := exec.Command(path, servers[server](t, port, append([]string{program}, argv[1:]...))...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for range 1000 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		select {
		case <-ended:
			t.Fatalf("%s: %v\n%s", server, cmd.ProcessState, log.Bytes())
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatalf("%s does not listen:\n%s", server, log.Bytes())
	return ""
}

// TestServiceOfOtherServers calls programs behind servers that know nothing of rpipe.
func TestServiceOfOtherServers(t *testing.T) {
	random := make([]byte, 8<<20)
	rand.Read(random)
	for server := range servers {
		t.Run(server, func(t *testing.T) {
			needTool(t, server)
			if server != "ncat" {
				for _, test := range []struct {
					argv []string
					in   []byte
					out  []byte
				}{
					{[]string{"tr", "a-z", "A-Z"}, []byte("hello\n"), []byte("HELLO\n")},
					{[]string{"sort"}, []byte("b\nc\na\n"), []byte("a\nb\nc\n")},
					{[]string{"cat"}, random, random},
					{[]string{"head", "-n", "1"}, []byte("only\n"), []byte("only\n")},
				} {
					t.Run(test.argv[0], func(t *testing.T) { answersAfterTheEnd(t, startServer(t, server, test.argv...), test.in, test.out) })
				}
			} else {
				// At the end of its input it drops the answer, as one that is whole.
				t.Run("cat", func(t *testing.T) { answersBeforeTheEnd(t, startServer(t, server, "cat")) })
			}
			t.Run("yes whose reader leaves", func(t *testing.T) { endsWithItsReader(t, startServer(t, server, "yes")) })
			t.Run("head with more than it wants", func(t *testing.T) { endsEarly(t, startServer(t, server, "head", "-n", "1")) })
		})
	}
}

func answersAfterTheEnd(t *testing.T, address string, in, want []byte) {
	for kind, input := range inputs {
		out, got := outputs["pipe"](t)
		s := remote.NewService(t.Context(), "tcp", address)
		s.Stdin, s.Stdout = input(t, in), out
		err := s.Run()
		if b := got(); err != nil || !bytes.Equal(b, want) {
			t.Errorf("%s: %d bytes, %v, want %d", kind, len(b), err, len(want))
		}
	}
}

func answersBeforeTheEnd(t *testing.T, address string) {
	inR, inW := newPipe(t, true)
	outR, outW := newPipe(t, true)
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin, s.Stdout = inR, outW
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(inW, "hello\n")
	got := make([]byte, 6)
	if _, err := io.ReadFull(outR, got); err != nil || string(got) != "hello\n" {
		t.Errorf("%q, %v", got, err)
	}
	inW.Close()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func endsWithItsReader(t *testing.T, address string) {
	inR, _ := newPipe(t, true)
	outR, outW := newPipe(t, true)
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin, s.Stdout = inR, outW
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(outR, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	outR.Close()
	if err := s.Wait(); exitStatus(err) != 141 || !s.ReaderGone() {
		t.Errorf("%v, ReaderGone %v", err, s.ReaderGone())
	}
}

// endsEarly sends head -n 1 endless input. A server that does not read what is left
// resets the connection, and may take the output back: that is a loss, since nobody can
// know that it was none. A relay such as socat may drop the output and end
// in good order: no client can know that either.
func endsEarly(t *testing.T, address string) {
	verdicts := make(map[string]int)
	for range 20 {
		r, w := newPipe(t, false)
		var feeder sync.WaitGroup
		feeder.Go(func() {
			for _, err := io.WriteString(w, "first\n"); err == nil; {
				_, err = w.Write(make([]byte, 64<<10))
			}
		})
		var out strings.Builder
		s := remote.NewService(t.Context(), "tcp", address)
		s.Stdin, s.Stdout = r, &out
		err := s.Run()
		r.Close()
		feeder.Wait()
		var lost *remote.LostError
		switch {
		case !strings.HasPrefix("first\n", out.String()):
			t.Fatalf("%q, %v", out.String(), err)
		case err == nil:
			verdicts[fmt.Sprintf("success, %d bytes", out.Len())]++
		case errors.As(err, &lost) && lost.Delivered == int64(out.Len()):
			verdicts[fmt.Sprintf("loss, %d bytes", lost.Delivered)]++
		default:
			t.Fatalf("%q, %v", out.String(), err)
		}
	}
	t.Log(verdicts)
}
