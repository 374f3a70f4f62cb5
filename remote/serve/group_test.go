//go:build unix

package serve

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rpipe/remote/serve/reaper"
	"rpipe/remote/wire"
)

// overBoth runs a test with programs as children of this process, and of a reaper.
func overBoth(t *testing.T, test func(t *testing.T, reapers *reaper.Pool)) {
	t.Run("children", func(t *testing.T) { test(t, nil) })
	t.Run("reaper", func(t *testing.T) {
		pool := reaper.NewPool(reaper.Options{})
		if pool == nil {
			t.Skip("no reapers on this system")
		}
		t.Cleanup(pool.Close)
		test(t, pool)
	})
}

// sh is a program called name that is a shell's script.
func sh(name, script string, args ...string) command {
	return command{name: name, argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...), environ: []string{"PATH=" + DefaultPath}}
}

// result is what came out of a group.
type result struct {
	stdout, stderr string
	ends           []wire.End
	err            error
}

// words is how the programs ended, as in the log.
func (r result) words() string { return endLines(r.ends) }

// run runs a group, whose programs get the input, as a session would. The functions
// are called before the start, and when all have started.
func run(t *testing.T, reapers *reaper.Pool, input string, before, during func(*group), commands ...command) result {
	t.Helper()
	g, err := newGroup(commands, t.TempDir(), reapers)
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	if before != nil {
		before(g)
	}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	var r result
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.WriteString(g.stdin, input)
		g.closeStdin()
	})
	read := func(p *outputPipe, to *string) {
		wg.Go(func() {
			b, err := io.ReadAll(p)
			if err != nil && r.err == nil {
				t.Errorf("output: %v", err)
			}
			*to = string(b)
			p.Close()
		})
	}
	if during != nil {
		during(g)
	}
	read(g.stdout, &r.stdout)
	read(g.stderr, &r.stderr)
	g.awaitExits()
	r.ends, r.err = g.end()
	wg.Wait()
	return r
}

func TestStatusesOfPrograms(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		for want, scripts := range map[string][]string{
			"0":                   {"true"},
			"1":                   {"false"},
			"255":                 {"exit 255"},
			"SIGKILL":             {"kill -KILL $$"},
			"SIGTERM":             {"kill -TERM $$"},
			"0 4 0":               {"cat", "cat; exit 4", "cat"},
			"7 SIGINT 0":          {"exit 7", "kill -INT $$", "cat"},
			"3 0":                 {"exec >&-; read x; exit 3", "cat; echo >&2"}, // the later ends first
			"0 0 0 0 0 0 0 0 0 0": {"cat", "cat", "cat", "cat", "cat", "cat", "cat", "cat", "cat", "cat"},
		} {
			var commands []command
			for _, s := range scripts {
				commands = append(commands, sh("p", s))
			}
			r := run(t, reapers, "hello\n", nil, nil, commands...)
			if r.words() != want || r.err != nil {
				t.Errorf("%q: %s, %v, want %s", scripts, r.words(), r.err, want)
			}
			for i, e := range r.ends {
				if e.Program != i {
					t.Errorf("%q: program %d is told as %d", scripts, i, e.Program)
				}
			}
		}
	})
}

func TestProgramsAreJoinedInOrder(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		r := run(t, reapers, "b\na\nb\n", nil, nil, sh("p", "sort; echo one >&2"), sh("p", "uniq -c; sleep 0; echo two >&2"), sh("p", "sort -rn"))
		if got := strings.Join(strings.Fields(r.stdout), " "); got != "2 b 1 a" || len(r.stderr) != len("one\ntwo\n") {
			t.Errorf("%q, %q", got, r.stderr)
		}
	})
}

func TestProgramsThatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	plain, junk := filepath.Join(dir, "plain"), filepath.Join(dir, "junk")
	for file, mode := range map[string]fs.FileMode{plain: 0o600, junk: 0o700} {
		if err := os.WriteFile(file, []byte("\x00junk"), mode); err != nil {
			t.Fatal(err)
		}
	}
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		for _, test := range []struct{ path, arg, status, stderr string }{
			{filepath.Join(dir, "none"), "", "127", "rpiped: bad: no such file or directory\n"},
			{plain, "", "126", "rpiped: bad: permission denied\n"},
			{junk, "", "126", "rpiped: bad: exec format error\n"},
			{"/bin/true", strings.Repeat("x", 8<<20), "126", "rpiped: bad: argument list too long\n"},
		} {
			bad := command{name: "bad", argv: []string{test.path, test.arg}}
			r := run(t, reapers, "", nil, nil, bad)
			if r.words() != test.status || r.stderr != test.stderr || r.stdout != "" {
				t.Errorf("%s: %s, %q, want %s, %q", test.path, r.words(), r.stderr, test.status, test.stderr)
			}
			// The others run, also those that fill stderr before anybody reads it.
			r = run(t, reapers, "", nil, nil, sh("p", "head -c 300000 /dev/zero >&2"), bad, sh("p", "cat"), bad)
			if want := "0 " + test.status + " 0 " + test.status; r.words() != want {
				t.Errorf("%s among others: %s, want %s", test.path, r.words(), want)
			}
			if want := test.stderr + test.stderr; !strings.HasPrefix(r.stderr, want) || len(r.stderr) != len(want)+300000 {
				t.Errorf("%s among others: %.100q of %d bytes, want %q first", test.path, r.stderr, len(r.stderr), want)
			}
		}
	})
}

func TestKillBeforeTheStartKeepsProgramsFromStarting(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		r := run(t, reapers, "", (*group).kill, nil, sh("p", "echo out"), sh("q", "cat; echo out"))
		if r.words() != "126 126" || r.stdout != "" || r.stderr != "rpiped: p: killed before it started\nrpiped: q: killed before it started\n" {
			t.Errorf("%s, %q, %q", r.words(), r.stdout, r.stderr)
		}
	})
}

func TestSignalsReachTheGroup(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		asleep := sh("p", "exec sleep 1000")
		early := func(g *group) { g.signal("TERM") }
		if r := run(t, reapers, "", early, nil, asleep, asleep, asleep); r.words() != "SIGTERM SIGTERM SIGTERM" {
			t.Errorf("sent before the start: %s", r.words())
		}
		late := func(g *group) {
			if _, err := g.stdout.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			g.signal("NOSUCH")
			g.signal("INT")
		}
		trap := sh("p", "trap 'echo got INT; exit 5' INT; echo; while :; do sleep 0.01; done")
		if r := run(t, reapers, "", nil, late, trap); r.words() != "5" || r.stdout != "got INT\n" {
			t.Errorf("%s, %q", r.words(), r.stdout)
		}
		// Processes that programs have left in the group get it too.
		g := started(t, reapers, sh("p", "(trap 'echo got TERM; exit' TERM; echo; while :; do sleep 0.01; done) & exit 0"))
		g.closeStdin()
		g.awaitExits()
		if _, err := g.stdout.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		g.signal("TERM")
		if b, err := io.ReadAll(g.stdout); string(b) != "got TERM\n" || err != nil {
			t.Errorf("what was left behind: %q, %v", b, err)
		}
		if ends, err := g.end(); endLines(ends) != "0" || err != nil {
			t.Errorf("%v, %v", ends, err)
		}
		g.signal("KILL") // too late, and nobody else's
	})
}

// started returns a group that runs, and frees it with the test, which ends it.
func started(t *testing.T, reapers *reaper.Pool, commands ...command) *group {
	t.Helper()
	g, err := newGroup(commands, t.TempDir(), reapers)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.watchable(); err != nil {
		t.Fatal(err)
	}
	if err := g.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closeAll(g.stdin, g.stdout.File, g.stderr.File)
		g.close()
	})
	return g
}

func TestReaderThatLeavesIsSIGPIPE(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		r := run(t, reapers, "", nil, nil, sh("p", "exec yes"), sh("p", "head -n 1"))
		if r.words() != "SIGPIPE 0" || r.stdout != "y\n" {
			t.Errorf("between programs: %s, %q", r.words(), r.stdout)
		}
		g := started(t, reapers, sh("p", "exec yes"))
		g.stdout.Close()
		g.awaitExits()
		if ends, err := g.end(); endLines(ends) != "SIGPIPE" || err != nil {
			t.Errorf("%v, %v", ends, err)
		}
	})
}

func TestReaderOfInputThatLeavesIsSeen(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		g := started(t, reapers, sh("p", "exec <&-; exec sleep 1000"))
		if !g.awaitReaderGone() {
			t.Error("it was not seen")
		}
		g.kill()
		g.awaitExits()
		if ends, err := g.end(); endLines(ends) != "SIGKILL" || err != nil {
			t.Errorf("%v, %v", ends, err)
		}
	})
}

func TestUsageIsTold(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		r := run(t, reapers, "", nil, nil, sh("p", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), sh("p", "true"))
		busy, idle := r.ends[0], r.ends[1]
		if busy.User == 0 || busy.MaxRSS < 100<<10 || busy.MaxRSS > 1<<30 || busy.User+busy.System <= idle.User+idle.System {
			t.Errorf("%+v\n%+v", busy, idle)
		}
	})
}

func TestBackgroundProcessesAreKilledAtTheEnd(t *testing.T) {
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		fifo := filepath.Join(t.TempDir(), "alive")
		if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
			t.Skipf("mkfifo: %v, %s", err, out)
		}
		alive, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		// It holds a writer of fifo, and nothing of the session.
		run(t, reapers, "", nil, nil, sh("p", `exec 3>"$1"; sleep 1000 </dev/null >/dev/null 2>&1 & exit 0`, fifo))
		reader, err := os.Open(fifo)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		alive.Close()
		if n, err := reader.Read(make([]byte, 1)); n != 0 || err != io.EOF { // when the last writer has gone
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestAProgramSeesTheSameWorldUnderBothParents(t *testing.T) {
	look := `ls -A | wc -l; env | grep -v ^PWD | sort; umask; ulimit -a; echo "$0" "$@"
		[ "$(ps -o pgid= -p $$ | tr -d ' ')" = $$ ] && echo leader
		if [ -d /proc/self/fd ]; then
			grep 'Sig[BIC]' /proc/self/status; grep -h flags /proc/$$/fdinfo/[012]; cat /proc/$$/cmdline | tr '\0' '\n'
			cut -d' ' -f18,19 /proc/self/stat; cat /proc/self/oom_score_adj
		fi`
	var worlds []string
	overBoth(t, func(t *testing.T, reapers *reaper.Pool) {
		r := run(t, reapers, "", nil, nil, sh("p", look, "", "a b", "\xff"))
		if r.words() != "0" {
			t.Errorf("%s, %q", r.words(), r.stderr)
		}
		worlds = append(worlds, r.stdout)
	})
	if len(worlds) == 2 && worlds[0] != worlds[1] {
		t.Errorf("children:\n%s\nreaper:\n%s", worlds[0], worlds[1])
	}
}

func TestAReapersProgramsHaveThreeDescriptors(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc/self/fd on this system")
	}
	// One that this process was given, say, and is not close-on-exec.
	strange, err := syscall.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(strange)
	pool := reaper.NewPool(reaper.Options{})
	if pool == nil {
		t.Skip("no reapers on this system")
	}
	defer pool.Close()
	look := sh("p", "ls /proc/$$/fd")
	if r := run(t, pool, "", nil, nil, look, look, look); r.stdout != "0\n1\n2\n" {
		t.Errorf("%q, want 0, 1 and 2", r.stdout)
	}
}
