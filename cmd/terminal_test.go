//go:build linux

package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A terminal is the user's side of a pseudo-terminal (pty(7)) that is the
// controlling terminal of a command in a session of its own.
type terminal struct {
	t    *testing.T
	keys *os.File // what is typed, and what is shown
	*call

	mu    sync.Mutex
	shown strings.Builder
}

// onTerminal starts a command of the site there.
func (s *site) onTerminal(words ...string) *terminal {
	s.t.Helper()
	// Without the poller, which takes no ioctl(2).
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	s.check(err)
	s.check(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	s.check(err)
	s.check(unix.SetNonblock(fd, true))
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	s.check(err)
	defer tty.Close()
	s.check(unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))

	p := &terminal{t: s.t, keys: os.NewFile(uintptr(fd), "/dev/ptmx"), call: s.prepare()}
	p.cmd = exec.Command(words[0], words[1:]...)
	p.cmd.Env = append(s.environ(filepath.Join(s.dir, "home"), filepath.Join(s.dir, "tmp")),
		"TERM=xterm", "LESS=", "PS1=$ ", "PATH="+bin+":"+os.Getenv("PATH"))
	p.cmd.Dir = s.dir
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = tty, tty, tty
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	s.check(p.call.start())
	var reading sync.WaitGroup
	reading.Go(p.read)
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		p.keys.Close()
		reading.Wait()
	})
	return p
}

// read takes what is shown until nobody has the terminal any more (EIO), or keys is
// closed.
func (p *terminal) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.keys.Read(buf)
		p.mu.Lock()
		p.shown.Write(buf[:n])
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// screen returns all that was shown.
func (p *terminal) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

func (p *terminal) press(keys string) {
	p.t.Helper()
	if _, err := p.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlZ = "\x1a"
)

// shows waits until what is shown matches.
func (p *terminal) shows(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	if !eventually(patience, func() bool { return re.MatchString(p.screen()) }) {
		p.t.Fatalf("the terminal does not show %q, but %q", pattern, p.screen())
	}
}

// newTerminalSite makes a user and hosts a and b.
func newTerminalSite(t *testing.T, config string) *site {
	t.Helper()
	s := newSite(t)
	for _, name := range []string{"a", "b"} {
		h := s.addHost(name)
		h.start(config + anyProgram("sleep", "cat", "seq"))
		s.know(h, h.address)
	}
	return s
}

func (s *site) rpipeOnTerminal(args ...string) *terminal {
	s.t.Helper()
	return s.onTerminal(append([]string{filepath.Join(bin, "rpipe")}, args...)...)
}

func (s *site) awaitSessions(want int) {
	s.t.Helper()
	ok := eventually(patience, func() bool {
		n := 0
		for _, h := range s.hosts {
			n += h.sessions()
		}
		return n == want
	})
	if !ok {
		s.t.Fatalf("there are never %d sessions\n%s", want, s.logs())
	}
}

func TestCtrlCEndsAllStages(t *testing.T) {
	s := newTerminalSite(t, "")
	before := s.held()
	for script, sessions := range map[string]int{
		"@a:sleep 1000 | cat":    1,
		"@a:sleep 1000 | @b:cat": 2,
		"sleep 1000 | @b:cat":    1,
		"cat | @b:cat":           1,
		"@a:cat | @b:cat":        2,
		"f() { @a:sleep 1000 | cat; }; f; echo not here":   1,
		"while :; do @a:sleep 1000; done; echo not here":   1,
		"x=$(@a:sleep 1000 | @b:cat); echo not here":       2,
		"@a:sleep 1000 | less":                             1,
		"{ @a:sleep 1000; echo not here; } | @b:cat | cat": 2,
	} {
		p := s.rpipeOnTerminal(script)
		s.awaitSessions(sessions)
		p.press(ctrlC)
		status, ok := p.wait(patience)
		if status != 130 || !ok || strings.Contains(p.screen(), "not here") {
			t.Errorf("%s: status %d, want 130; ended in time: %v; shown: %q", script, status, ok, p.screen())
		}
		if err := s.leavesNothing(before); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	s.ends(before)
}

// TestCtrlCEndsRemoteStagesAlsoWhereItIsTrapped holds that the trap runs, and the script goes
// on, as in bash where the stages are local.
func TestCtrlCEndsRemoteStagesAlsoWhereItIsTrapped(t *testing.T) {
	s := newTerminalSite(t, "")
	before := s.held()
	for script, sessions := range map[string]int{
		"trap 'echo caught' INT; @a:sleep 1000; echo on $?":                    1,
		"trap 'echo caught; echo on 130' INT; @a:sleep 1000 | @b:cat":          2,
		"trap 'echo caught' INT; f() { @a:sleep 1000 | cat; }; f; echo on 130": 1,
		"trap 'echo caught' INT; x=$(@a:sleep 1000); echo on $?":               1,
	} {
		p := s.rpipeOnTerminal(script)
		s.awaitSessions(sessions)
		p.press(ctrlC)
		_, ok := p.wait(patience)
		if shown := p.screen(); !ok || !strings.Contains(shown, "caught") || !strings.Contains(shown, "on 130") {
			t.Errorf("%s: ended in time: %v; shown: %q", script, ok, shown)
		}
		if err := s.leavesNothing(before); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	s.ends(before)
}

// TestCtrlCIsNoEndOfInput interrupts a local stage whose output a host commits at
// its end. The terminal sends the signal to rpipe and to its local stages at once,
// and which of them is first differs: so it looks often.
func TestCtrlCIsNoEndOfInput(t *testing.T) {
	rounds := 40
	if *matrix {
		rounds = 400
	}
	f := newField(t)
	h := f.addHost("b")
	h.start(fmt.Sprintf("[programs.load]\nrun = [%q, %q, \"load\", %q, \"6\", \"never\"]\n", testBinary(t), programWord, f.dir))
	f.know(h, h.address)
	before := f.held()
	for _, source := range []string{"cat", "{ cat; }", `sh -c 'trap "exit 0" INT; cat'`} {
		committed := 0
		for range rounds {
			p := f.rpipeOnTerminal(source + " | @b:load")
			f.call, f.seen = p.call, make(map[string]bool)
			f.await("load start")
			p.press("hello\n")
			f.await("load at 6")
			p.press(ctrlC)
			if status, ok := p.wait(patience); status != 130 || !ok {
				t.Errorf("%s: status %d, want 130; ended in time: %v; shown: %q", source, status, ok, p.screen())
			}
			if err := f.leavesNothing(before); err != nil {
				t.Fatal(err)
			}
			f.hasStarted() // takes what was told since
			if os.Remove(filepath.Join(f.dir, "committed")) == nil {
				committed++
			}
		}
		if committed > 0 {
			t.Errorf("%s: in %d of %d rounds the end by ctrl-C was taken for the end of the input, and committed", source, committed, rounds)
		}
	}
}

func TestAPagerIsLeftWithQ(t *testing.T) {
	if _, err := exec.LookPath("less"); err != nil {
		missingTool(t, "less")
	}
	s := newTerminalSite(t, "")
	before := s.held()
	quit := func(t *testing.T, script string) {
		p := s.rpipeOnTerminal(script)
		p.shows(`(?s)1\r\n2\r\n3\r\n`)
		p.press("q")
		if status, ok := p.wait(patience); status != 0 || !ok {
			t.Errorf("%s: status %d; ended in time: %v; shown: %q", script, status, ok, p.screen())
		}
	}
	quit(t, "seq 1000000 | @a:cat | @b:cat | less")
	quit(t, "@a:seq 1000000 </dev/null | less")
	quit(t, "@a:seq 10 </dev/null | less")
	t.Run("with the keyboard as input", func(t *testing.T) {
		for range 5 {
			quit(t, "@a:seq 1000000 | less")
		}
	})
	s.ends(before)
}

// TestAStoppedPipelineGoesOn stops rpipe from the keyboard and continues it, for
// less than the dead time-out.
func TestAStoppedPipelineGoesOn(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		missingTool(t, "bash")
	}
	s := newTerminalSite(t, "")
	before := s.held()
	for script, sessions := range map[string]int{"@a:cat | cat": 1, "cat | @a:cat | @b:cat": 2, "@a:cat": 1} {
		p := s.onTerminal("bash", "--norc", "--noprofile", "-i")
		p.shows(`\$ $`)
		p.press("rpipe '" + script + "'\n")
		s.awaitSessions(sessions) // then the terminal is rpipe's
		p.press("hello\n")
		p.shows(`hello\r\nhello\r\n`)
		p.press(ctrlZ)
		p.shows(`Stopped`)
		p.press("fg\n")
		p.shows(`Stopped(?s:.*)rpipe '(?s:.*)rpipe '`)
		p.press("world\n")
		p.shows(`world\r\n(.*\r\n)*world\r\n`)
		p.press(ctrlD)
		p.press("echo ended $?\n")
		p.shows(`[\r\n]ended 0`)
		p.press("exit\n")
		if status, ok := p.wait(patience); status != 0 || !ok {
			t.Errorf("%s: status %d; ended in time: %v; shown: %q", script, status, ok, p.screen())
		}
	}
	s.ends(before)
}

func TestAHangUpEndsAllStages(t *testing.T) {
	s := newTerminalSite(t, "")
	before := s.held()
	for script, sessions := range map[string]int{"@a:sleep 1000 | @b:cat": 2, "cat | @b:cat": 1, "@a:seq 100000000": 1} {
		p := s.rpipeOnTerminal(script)
		s.awaitSessions(sessions)
		p.keys.Close() // the terminal goes away
		if status, ok := p.wait(patience); status == 0 || !ok {
			t.Errorf("%s: status %d; ended in time: %v", script, status, ok)
		}
		if err := s.leavesNothing(before); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	s.ends(before)
}
