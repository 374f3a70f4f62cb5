//go:build linux

package cmd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each is a service that says its number and its parent's, and "ready" when it is about to read. It
// writes the file $0 when its input ends.
var loads = map[string]string{
	"alone":    `echo $$ $PPID; exec awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$0" -`,
	"filtered": `echo $$ $PPID; cat | awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$0" -`,
	"escaped":  `exec 3<&0; echo $$ $PPID; setsid awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$0" - <&3 3<&- & exec 3<&-; wait`,
}

// A loading is a connection to a service that has got half of its input.
type loading struct {
	daemon          *service
	conn            *net.TCPConn
	program, parent int
	committed       string // the file
}

// startLoading sends half of an input to one of loads.
func startLoading(t *testing.T, load, stdio string, args ...string) *loading {
	t.Helper()
	l := &loading{committed: filepath.Join(t.TempDir(), "committed")}
	l.daemon = serveOne(t, append(args, "--stdio", stdio, "--", "sh", "-c", loads[load], l.committed)...)
	l.conn = dialStream(t, l.daemon.addresses[0])
	if _, err := l.conn.Write([]byte(strings.Repeat("half\n", 20000))); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(l.conn)
	line, err := r.ReadString('\n')
	if _, serr := fmt.Sscan(line, &l.program, &l.parent); err != nil || serr != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := r.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	time.Sleep(rand.N(3 * time.Millisecond)) // anywhere in the input
	return l
}

// isLost wants a reset, no process that is left, and no part taken for the whole.
func (l *loading) isLost(t *testing.T, what string) {
	t.Helper()
	if _, err := io.Copy(io.Discard, l.conn); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: the client sees %v", what, err)
	}
	l.conn.Close()
	awaitGone(t, l.program)
	if !eventually(patience, func() bool { return len(l.left()) == 0 }) {
		t.Errorf("%s: left: %v", what, l.left())
	}
	if _, err := os.Stat(l.committed); err == nil {
		t.Errorf("%s: the program took a part of the input for all of it", what)
	}
}

// left returns what runs of the load, zombies apart.
func (l *loading) left() []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		args, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(args), l.committed) && !strings.HasPrefix(string(args), bin) {
			found = append(found, strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

func TestAServicesInputDoesNotEndWithItsDaemonItsReaperOrItsProgram(t *testing.T) {
	rounds := 5
	if testing.Short() || raceFlag == "-race" {
		rounds = 1
	}
	strikes := map[string]func(*loading){
		"kill -9 of the daemon":  func(l *loading) { _ = l.daemon.cmd.Process.Kill() },
		"kill -9 of the reaper":  func(l *loading) { _ = syscall.Kill(l.parent, syscall.SIGKILL) },
		"kill -9 of the program": func(l *loading) { _ = syscall.Kill(l.program, syscall.SIGKILL) },
		"RST of the client": func(l *loading) {
			_ = l.conn.SetLinger(0)
			_ = l.conn.Close()
		},
		"a second SIGTERM": func(l *loading) {
			_ = l.daemon.cmd.Process.Signal(syscall.SIGTERM)
			l.daemon.await(t, "msg=draining", 1)
			_ = l.daemon.cmd.Process.Signal(syscall.SIGTERM)
		},
	}
	for what, strike := range strikes {
		for load := range loads {
			if what == "kill -9 of the program" && load != "alone" {
				continue // the others are not killed, and go on
			}
			for _, stdio := range []string{"pipe", "socket"} {
				if what == "RST of the client" && load == "filtered" && stdio == "socket" {
					continue // cat has the reset before anybody else, and ends what it writes
				}
				for range rounds {
					l := startLoading(t, load, stdio)
					strike(l)
					name := what + ", " + load + ", " + stdio
					if what == "RST of the client" {
						awaitGone(t, l.program)
						if _, err := os.Stat(l.committed); err == nil {
							t.Errorf("%s: the program took a part of the input for all of it", name)
						}
						continue
					}
					l.isLost(t, name)
				}
			}
		}
	}
}

func TestATimeLimitIsNoEndOfAServicesInput(t *testing.T) {
	for _, stdio := range []string{"pipe", "socket"} {
		l := startLoading(t, "filtered", stdio, "--max-time", "1s")
		l.isLost(t, "limit, "+stdio)
		l.daemon.await(t, "it took longer than 1s", 1)
	}
}

func TestADrainThatIsOverIsNoEndOfAServicesInput(t *testing.T) {
	for _, stdio := range []string{"pipe", "socket"} {
		l := startLoading(t, "filtered", stdio, "--drain", "100ms")
		_ = l.daemon.cmd.Process.Signal(syscall.SIGTERM)
		l.isLost(t, "drain, "+stdio)
		l.daemon.await(t, "this daemon was stopped", 1)
		l.daemon.await(t, "msg=stopped", 1)
	}
}

func TestTheEndOfAServicesInputIsOne(t *testing.T) {
	for load := range loads {
		for _, stdio := range []string{"pipe", "socket"} {
			l := startLoading(t, load, stdio)
			l.conn.CloseWrite()
			if _, err := io.Copy(io.Discard, l.conn); err != nil {
				t.Errorf("%s, %s: %v", load, stdio, err)
			}
			if _, err := os.Stat(l.committed); err != nil {
				t.Errorf("%s, %s: %v", load, stdio, err)
			}
		}
	}
}
