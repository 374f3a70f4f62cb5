package reaper_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
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

func TestNothingOutlivesItsSession(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	for name, file := range runaways(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if out, err := c.output(t, runAway+"echo up", file, dir); err != nil || out != "up" {
				t.Fatalf("%q, %v", out, err)
			}
			for range 10 { // at once, and not for a moment only
				if left := alive(dir); len(left) > 0 {
					t.Fatalf("left: %q", left)
				}
			}
		})
	}
	d.end(t)
}

func TestNothingOutlivesItsClient(t *testing.T) {
	d := play(t, "daemon")
	for name, file := range runaways(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			script := fmt.Sprintf("set -- '%s' '%s'; %s echo up; cat >/dev/null; : >'%s/committed'", file, dir, runAway, dir)
			client := play(t, "client "+d.first+" "+script)
			client.kill()
			nothingLeft(t, dir)
			if _, err := os.Stat(filepath.Join(dir, "committed")); err == nil {
				t.Error("a part of the input was taken for all of it")
			}
		})
	}
	d.end(t)
}

func TestNothingOutlivesItsDaemon(t *testing.T) {
	for name, file := range runaways(t) {
		t.Run(name, func(t *testing.T) {
			d := play(t, "daemon")
			c := call(t, d.first)
			dir := t.TempDir()
			ready := newFirstLine()
			cmd := c.command(t, runAway+"echo $PPID; cat", file, dir)
			cmd.Stdin, cmd.Stdout = lines{}, ready
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			parent := number(t, <-ready.line)
			d.kill()
			var lost *remote.LostError
			if err := cmd.Wait(); !errors.As(err, &lost) {
				t.Errorf("%v, want a loss", err)
			}
			nothingLeft(t, dir)
			eventually(t, "the reaper is gone", func() bool { return !exists(parent) })
		})
	}
}

// loads are programs that write the file $1 when their input ends, and a line when
// they read it.
var loads = []string{
	`exec awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" -`,
	`cat | awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" -`,
	`setsid awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" - <&3 3<&- & exec 3<&-; wait`,
	`awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" - <&3 3<&- & exec 3<&-; exec cat >/dev/null`,
}

func TestAKilledDaemonIsNoEndOfInput(t *testing.T) {
	rounds := 52
	if testing.Short() || raced {
		rounds = 8
	}
	for round := range rounds {
		cutInput(t, "daemon", loads[round%len(loads)], func(d *process, _ int) { d.kill() })
	}
}

func TestAKilledReaperIsNoEndOfInput(t *testing.T) {
	rounds := 24
	if testing.Short() || raced {
		rounds = 8
	}
	for round := range rounds {
		cutInput(t, "daemon", loads[round%len(loads)], func(_ *process, parent int) { _ = syscall.Kill(parent, syscall.SIGKILL) })
	}
}

// cutInput strikes in the middle of the input of a load, which must be lost, commit
// nothing and leave nothing.
func cutInput(t *testing.T, role, load string, strike func(d *process, parent int)) {
	t.Helper()
	dir := t.TempDir()
	committed := filepath.Join(dir, "committed")
	d := play(t, role)
	c := call(t, d.first)
	parents := newFirstLine()
	cmd := c.command(t, `echo $PPID >&2; exec 3<&0; `+load, committed)
	ready := newFirstLine()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = lines{}, ready, parents
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parent := number(t, <-parents.line)
	<-ready.line
	time.Sleep(rand.N(5 * time.Millisecond)) // anywhere in the input
	strike(d, parent)
	var lost *remote.LostError
	if err := cmd.Wait(); !errors.As(err, &lost) {
		t.Errorf("%s: %v, want a loss", load, err)
	}
	nothingLeft(t, dir)
	if _, err := os.Stat(committed); err == nil {
		t.Errorf("%s: a part of the input was taken for all of it", load)
	}
	if d.ProcessState == nil {
		d.end(t)
	}
	eventually(t, "the reaper is gone", func() bool { return !exists(parent) })
}

func TestAnInputThatEndedIsAnEnd(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	for _, load := range loads[:3] {
		committed := filepath.Join(t.TempDir(), "committed")
		cmd := c.command(t, `exec 3<&0; `+load, committed)
		cmd.Stdin = strings.NewReader("x\n")
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v", load, err)
		}
		if _, err := os.Stat(committed); err != nil {
			t.Errorf("%s: %v", load, err)
		}
	}
	d.end(t)
}

func TestAKilledReaperIsALossAndLeavesNothing(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	for name, file := range runaways(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			// Some of it stays in the group, some does not, all holds the output.
			script := runAway + `sh -c 'while :; do sleep 1; done' "$2" & "$1" "$2" & echo $PPID; [ -z "$3" ] || exit 0; wait; cat`
			for _, exits := range []string{"", "program is gone"} {
				ready := newFirstLine()
				cmd := c.command(t, script, file, dir, exits)
				cmd.Stdin, cmd.Stdout = lines{}, ready
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				parent := number(t, <-ready.line)
				_ = syscall.Kill(parent, syscall.SIGKILL)
				var lost *remote.LostError
				if err := cmd.Wait(); !errors.As(err, &lost) {
					t.Errorf("%v, want a loss", err)
				}
				nothingLeft(t, dir)
				next, err := c.output(t, "echo $PPID")
				if err != nil || number(t, next) == parent {
					t.Errorf("after that: %q, %v", next, err)
				}
			}
		})
	}
	eventually(t, "no zombies", func() bool { return !strings.Contains(strings.Join(childrenOf(t, d.Process.Pid), "\n"), "Z ") })
	d.end(t)
}

func TestAReaperThatStandsStillIsReplaced(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	dir := t.TempDir()
	ready := newFirstLine()
	cmd := c.command(t, `sh -c 'while :; do sleep 1; done' "$1" & echo $PPID; exec cat "$1" -`, dir)
	cmd.Stdin, cmd.Stdout = lines{}, ready
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	parent := number(t, <-ready.line)
	_ = syscall.Kill(parent, syscall.SIGSTOP)
	cmd.Abort()
	_ = cmd.Wait()
	for end := time.Now().Add(3 * within); exists(parent) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	nothingLeft(t, dir)
	if next, err := c.output(t, "echo $PPID"); err != nil || number(t, next) == parent {
		t.Errorf("after that: %q, %v", next, err)
	}
	d.end(t)
}

func TestSignalsToAReaperAreNoMatter(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	for _, sig := range []string{"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "PIPE", "ALRM", "CHLD", "CONT", "TSTP", "TTIN", "TTOU", "URG", "40"} {
		out, err := c.output(t, `kill -$1 $PPID; echo $PPID; exit 3`, sig)
		var exit *remote.ExitError
		if !errors.As(err, &exit) || exit.Status != 3 || number(t, out) == d.Process.Pid {
			t.Errorf("%s: %q, %v", sig, out, err)
		}
	}
	d.end(t)
}

func TestReapersAreUsedAgainAndFewAreKept(t *testing.T) {
	d := play(t, "daemon")
	c := call(t, d.first)
	parents := map[string]bool{}
	for range 30 {
		out, err := c.output(t, "echo $PPID")
		if err != nil {
			t.Fatal(err)
		}
		parents[out] = true
	}
	if len(parents) > 2 {
		t.Errorf("%d reapers for sessions one after another", len(parents))
	}
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			if out, err := c.output(t, `setsid sleep 1000 >/dev/null 2>&1 & echo $PPID`); err != nil {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	crowd.Wait()
	eventually(t, "few are kept, and no zombies", func() bool {
		left := childrenOf(t, d.Process.Pid)
		return len(left) <= 4 && !strings.Contains(strings.Join(left, "\n"), "Z ")
	})
	d.end(t)
}

// TestReapersStartWhereTheDaemonDoes runs a daemon whose file was removed, as
// another user too.
func TestReapersStartWhereTheDaemonDoes(t *testing.T) {
	for _, user := range []uint32{uint32(os.Geteuid()), 65534} {
		dir, err := os.MkdirTemp("", "reaper-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "daemon")
		b, err := os.ReadFile(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o755); err != nil {
			t.Fatal(err)
		}
		d := play(t, "daemon", func(cmd *exec.Cmd) {
			cmd.Path, cmd.Dir = file, "/"
			if int(user) != os.Geteuid() {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
				if os.Geteuid() != 0 {
					t.Skip("another user's daemon needs root")
				}
			}
		})
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		c := call(t, d.first)
		before, err := c.output(t, "echo $PPID")
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(number(t, before), syscall.SIGKILL)
		eventually(t, "the reaper is gone", func() bool { // in all its threads, and waited for
			_, err := os.Stat("/proc/" + before)
			return err != nil
		})
		for range 5 { // one that was started ahead, and those that come later
			out, err := c.output(t, "id -u; exec setsid sh -c 'setsid sleep 1000 >/dev/null 2>&1 &'")
			if err != nil || number(t, out) != int(user) {
				t.Errorf("%q, %v, want user %d", out, err, user)
			}
		}
		d.end(t)
	}
}
