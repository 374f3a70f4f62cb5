//go:build unix

package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// inetds are programs of others, and ours, that put a program behind a port, or a socket,
// each with its arguments. folder is for their files.
var inetds = map[string]func(folder, at string, argv []string) ([]string, error){
	"socat": func(_, at string, argv []string) ([]string, error) {
		listen := "UNIX-LISTEN:" + at + ",fork"
		if _, port, err := net.SplitHostPort(at); err == nil {
			listen = "TCP-LISTEN:" + port + ",bind=127.0.0.1,reuseaddr,fork"
		}
		// -t: how long it waits for the answer after the end of the input.
		return []string{"-t", "60", listen, "EXEC:" + strings.Join(argv, " ")}, nil
	},
	"ncat": func(_, at string, argv []string) ([]string, error) {
		if host, port, err := net.SplitHostPort(at); err == nil {
			return []string{"-l", "-k", host, port, "--exec", strings.Join(argv, " ")}, nil
		}
		return []string{"-l", "-k", "-U", at, "--exec", strings.Join(argv, " ")}, nil
	},
	"rpiped": func(_, at string, argv []string) ([]string, error) {
		host, port, err := net.SplitHostPort(at)
		if err != nil { // a socket
			return append([]string{"serve-one", "--listen", "unix:" + at, "--"}, argv...), nil
		}
		return append([]string{"serve-one", "--listen", host, "--port", port, "--"}, argv...), nil
	},
	"tcpserver": func(_, at string, argv []string) ([]string, error) {
		host, port, err := net.SplitHostPort(at)
		return append([]string{"-RHl0", host, port}, argv...), err
	},
	"systemd-socket-activate": func(_, at string, argv []string) ([]string, error) {
		return append([]string{"--accept", "--inetd", "--listen=" + at}, argv...), nil
	},
	"xinetd": func(folder, at string, argv []string) ([]string, error) {
		args := ""
		if len(argv) > 1 {
			args = "server_args = " + strings.Join(argv[1:], " ")
		}
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			return nil, err
		}
		conf := filepath.Join(folder, "xinetd-"+port)
		text := fmt.Sprintf(`service rpipe-test
{
	type = UNLISTED
	socket_type = stream
	protocol = tcp
	port = %s
	bind = %s
	wait = no
	user = root
	server = %s
	%s
	cps = 10000 1
	instances = UNLIMITED
	flags = REUSE
}
`, port, host, argv[0], args)
		return []string{"-dontfork", "-f", conf, "-pidfile", conf + ".pid", "-filelog", conf + ".log"}, os.WriteFile(conf, []byte(text), 0o600)
	},
}

// inetd is a running server.
type inetd struct {
	at    string // host:port, or the path of a socket
	cmd   *exec.Cmd
	ended chan struct{}
	log   bytes.Buffer // when it has ended
}

// startInetd puts a program behind a server, on a free port, or on a socket if path
// is not empty. listens tells whether it is there. Words with a - before the program are flags of
// rpiped serve-one. kill must follow.
func startInetd(folder, server, path string, listens func(network, at string) bool, argv ...string) (*inetd, error) {
	var flags []string
	for server == "rpiped" && strings.HasPrefix(argv[0], "-") && len(argv) > 1 {
		flags, argv = append(flags, argv[0]), argv[1:]
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, err
	}
	network, at := "unix", path
	if path == "" {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		network, at = "tcp", ln.Addr().String()
		ln.Close()
	}
	args, err := inetds[server](folder, at, append([]string{program}, argv[1:]...))
	if err != nil {
		return nil, err
	}
	if server == "rpiped" {
		server, args = filepath.Join(bin, server), slices.Insert(args, 1, flags...)
	}
	s := &inetd{at: at, cmd: exec.Command(server, args...), ended: make(chan struct{})}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.ended)
	}()
	for range 1000 {
		if listens(network, at) {
			return s, nil
		}
		select {
		case <-s.ended:
			return nil, fmt.Errorf("%s: %v\n%s", server, s.cmd.ProcessState, s.log.Bytes())
		case <-time.After(10 * time.Millisecond):
		}
	}
	s.kill()
	return nil, fmt.Errorf("%s does not listen:\n%s", server, s.log.Bytes())
}

// answers reports whether a connection can be made, which calls the program.
func answers(network, at string) bool {
	conn, err := net.Dial(network, at)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// kill ends the server and all that it has started in its process group.
func (s *inetd) kill() {
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.ended
}

// serviceWord is how a script names the address of a service.
func serviceWord(at string) string {
	if filepath.IsAbs(at) {
		return "unix:" + at
	}
	return at
}

// cmdServe is the script's command serve.
func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	path := ""
	if len(args) > 3 && args[2] == "unix" {
		path = ts.MkAbs(args[0] + ".socket")
		args = append(args[:2:2], args[3:]...)
	}
	if neg || len(args) < 3 || inetds[args[1]] == nil {
		ts.Fatalf("usage: serve NAME SERVER [unix] PROGRAM [ARG...]")
	}
	s, err := startInetd(ts.Getenv("WORK"), args[1], path, answers, args[2:]...)
	ts.Check(err)
	ts.Defer(s.kill)
	ts.Setenv(args[0], serviceWord(s.at))
}

// behaviours are what a peer of ours does with a connection that has just been made, and
// what it says of it. n is a number of bytes.
var behaviours = map[string]func(conn *net.TCPConn, n int64) string{
	// It answers n bytes, reads all the time, and resets.
	"reset-output": func(conn *net.TCPConn, n int64) string {
		var reading sync.WaitGroup
		reading.Go(func() { _, _ = io.Copy(io.Discard, conn) })
		_, _ = conn.Write(bytes.Repeat([]byte("x"), int(n)))
		eventually(patience, func() bool { return unacknowledged(conn) == 0 })
		_ = conn.SetLinger(0)
		conn.Close()
		reading.Wait()
		return "reset"
	},
	// It reads n bytes, and resets.
	"reset-input": func(conn *net.TCPConn, n int64) string {
		_, _ = io.CopyN(io.Discard, conn, n)
		_ = conn.SetLinger(0)
		return "reset"
	},
	// It sends n bytes back, ends its answer, and reads the rest.
	"end-output": func(conn *net.TCPConn, n int64) string {
		_, _ = io.CopyN(conn, conn, n)
		_ = conn.CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
		return "ended"
	},
	// It reads, and answers with what it has seen.
	"witness": func(conn *net.TCPConn, n int64) string {
		got, err := io.Copy(io.Discard, conn)
		saw := fmt.Sprintf("%d bytes and an end", got)
		if err != nil {
			saw = fmt.Sprintf("%d bytes and a reset", got)
		}
		fmt.Fprintln(conn, saw)
		return saw
	},
}

// unacknowledged returns how much of what was written the other system has not taken.
func unacknowledged(conn *net.TCPConn) (n int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return n
}

// peer is a server of the test itself.
type peer struct {
	ln    *net.TCPListener
	calls sync.WaitGroup

	mu    sync.Mutex
	conns []*net.TCPConn
	log   []string // what was said of each call
}

// startPeer serves a behaviour. close must follow.
func startPeer(behave func(conn *net.TCPConn, n int64) string, n int64) (*peer, error) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	p := &peer{ln: ln}
	p.calls.Go(func() {
		for {
			conn, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			p.calls.Go(func() {
				defer conn.Close()
				said := behave(conn, n)
				p.mu.Lock()
				defer p.mu.Unlock()
				p.log = append(p.log, said)
			})
		}
	})
	return p, nil
}

// close ends the server, and all connections.
func (p *peer) close() {
	p.ln.Close()
	p.mu.Lock()
	for _, conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.calls.Wait()
}

// said returns what was said of the calls that have ended.
func (p *peer) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// peersKey is under which a script's peers are kept.
type peersKey struct{}

func peers(ts *testscript.TestScript) map[string]*peer {
	return ts.Value(peersKey{}).(map[string]*peer)
}

// cmdPeer is the script's command peer.
func cmdPeer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || behaviours[args[1]] == nil {
		ts.Fatalf("usage: peer NAME BEHAVIOUR BYTES")
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	p, err := startPeer(behaviours[args[1]], n)
	ts.Check(err)
	ts.Defer(p.close)
	ts.Setenv(args[0], p.ln.Addr().String())
	peers(ts)[args[0]] = p
}

// cmdSaw is the script's command saw.
func cmdSaw(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || peers(ts)[args[0]] == nil {
		ts.Fatalf("usage: [!] saw NAME REGEXP")
	}
	p, want := peers(ts)[args[0]], regexp.MustCompile(args[1])
	if neg {
		if slices.ContainsFunc(p.said(), want.MatchString) {
			ts.Fatalf("%s says %q", args[0], p.said())
		}
		return
	}
	if !eventually(patience, func() bool { return slices.ContainsFunc(p.said(), want.MatchString) }) {
		ts.Fatalf("%s says %q", args[0], p.said())
	}
}

// cmdClosed is the script's command closed.
func cmdClosed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: closed NAME")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], ln.Addr().String())
	ts.Check(ln.Close())
}
