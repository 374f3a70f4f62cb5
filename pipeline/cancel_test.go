//go:build unix

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rpipe/parser"
	"rpipe/pipeline"
)

// interrupted is a cause as the command line program has it.
type interrupted struct {
	signal syscall.Signal
	status int
}

func (i *interrupted) Error() string          { return "interrupted" }
func (i *interrupted) Signal() syscall.Signal { return i.signal }
func (i *interrupted) ExitStatus() int        { return i.status }

// runAndCancel runs a script in dir and cancels it with cause once all the named
// files exist there.
func runAndCancel(t *testing.T, dir, script string, cause error, ready []string, change ...func(*pipeline.Options)) (stdout string, err error) {
	t.Helper()
	prog, err := parser.Parse("test", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	net, stop := context.WithTimeout(context.Background(), safetyNet)
	defer stop()
	ctx, cancel := context.WithCancelCause(net)
	var out bytes.Buffer
	opts := pipeline.Options{Stdout: &out, Stderr: os.Stderr, Dir: dir, Env: environ(dir)}
	for _, f := range change {
		f(&opts)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, name := range ready {
			for !exists(dir, name) && net.Err() == nil {
				time.Sleep(time.Millisecond)
			}
		}
		cancel(cause)
	})
	err = pipeline.Run(ctx, prog, opts)
	wg.Wait()
	if net.Err() != nil {
		t.Fatalf("it hung: %s", script)
	}
	return out.String(), err
}

// alive returns which of the processes that wrote their ids to files in dir live.
func alive(t *testing.T, dir string, names ...string) []string {
	t.Helper()
	var found []string
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if lives(pid) {
			found = append(found, name)
		}
	}
	return found
}

// lives reports whether a process runs; one that nobody has waited for does not.
func lives(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, state, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(state, "Z")
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// pid is shell text that tells that a process runs.
func pid(name string) string {
	return "echo $$ > DIR/" + name + ".new; mv DIR/" + name + ".new DIR/" + name
}

func TestCancelEndsEveryStage(t *testing.T) {
	h := newHosts(t, "a", "b")
	for name, c := range map[string]struct {
		script string
		ready  []string
	}{
		"one program":              {`sh -c '` + pid("p") + `; exec sleep 1000'`, []string{"p"}},
		"a pipeline":               {`sh -c '` + pid("p") + `; exec sleep 1000' | sh -c '` + pid("q") + `; exec cat' | sh -c '` + pid("r") + `; exec sleep 1000'`, []string{"p", "q", "r"}},
		"what a program starts":    {`sh -c 'sh -c "` + strings.ReplaceAll(pid("p"), "$$", `\$\$`) + `; sleep 1000; :" & ` + pid("q") + `; wait'`, []string{"p", "q"}},
		"a function":               {`f() { sh -c '` + pid("p") + `; exec sleep 1000' | cat; }; f`, []string{"p"}},
		"a substitution":           {`x=$(sh -c '` + pid("p") + `; exec sleep 1000' | cat)`, []string{"p"}},
		"the background":           {`sh -c '` + pid("p") + `; exec sleep 1000' & { sh -c '` + pid("q") + `; exec sleep 1000' | cat; } & wait`, []string{"p", "q"}},
		"remote stages":            {`@a:sh -c '` + pid("p") + `; exec sleep 1000' | @b:sh -c '` + pid("q") + `; exec cat' | cat`, []string{"p", "q"}},
		"a remote stage alone":     {`@a:sh -c '` + pid("p") + `; exec sleep 1000'`, []string{"p"}},
		"a remote stage inside":    {`{ f() { @a:sh -c '` + pid("p") + `; exec sleep 1000'; }; f; } | cat`, []string{"p"}},
		"a loop":                   {`sh -c '` + pid("p") + `'; while :; do :; done`, []string{"p"}},
		"a loop in a stage":        {`sh -c '` + pid("p") + `'; while :; do echo x; done | cat >/dev/null`, []string{"p"}},
		"a read":                   {`sh -c '` + pid("p") + `; exec sleep 1000' | { read x; read y; }`, []string{"p"}},
		"a read after a program":   {`sh -c '` + pid("p") + `; echo a; exec sleep 1000' | { head -n 1; read y; }`, []string{"p"}},
		"a FIFO that nobody opens": {`mkfifo f; sh -c '` + pid("p") + `'; cat < f`, []string{"p"}},
		"a FIFO in a stage":        {`mkfifo f; sh -c '` + pid("p") + `'; cat > f | cat`, []string{"p"}},
	} {
		t.Run(name, func(t *testing.T) {
			for cause, status := range map[error]int{
				&interrupted{syscall.SIGINT, 130}:  130,
				&interrupted{syscall.SIGTERM, 143}: 143,
				&interrupted{syscall.SIGTERM, 124}: 124,
				nil:                                143,
			} {
				dir := t.TempDir()
				_, err := runAndCancel(t, dir, strings.ReplaceAll(c.script, "DIR", dir), cause, c.ready, h.use, withGrace(200*time.Millisecond))
				if pipeline.ExitStatus(err) != status {
					t.Errorf("status %d, want %d", pipeline.ExitStatus(err), status)
				}
				if cause != nil && !errors.Is(err, cause) {
					t.Errorf("%v does not wrap its cause", err)
				}
				if left := alive(t, dir, c.ready...); len(left) > 0 {
					t.Errorf("left running: %v", left)
				}
			}
		})
	}
}

func TestCancelSendsTheSignalOfItsCause(t *testing.T) {
	h := newHosts(t, "a")
	const traps = `trap "echo int > DIR/FILE.sig; exit 0" INT; trap "echo term > DIR/FILE.sig; exit 0" TERM; trap "echo hup > DIR/FILE.sig; exit 0" HUP; echo > DIR/FILE; while :; do sleep 0.01; done`
	script := `sh -c '` + strings.ReplaceAll(traps, "FILE", "p") + `' | @a:sh -c '` + strings.ReplaceAll(traps, "FILE", "q") + `'`
	for sig, name := range map[syscall.Signal]string{syscall.SIGINT: "int", syscall.SIGTERM: "term", syscall.SIGHUP: "hup"} {
		dir := t.TempDir()
		_, err := runAndCancel(t, dir, strings.ReplaceAll(script, "DIR", dir), &interrupted{sig, 99}, []string{"p", "q"}, h.use)
		if pipeline.ExitStatus(err) != 99 {
			t.Errorf("status %d", pipeline.ExitStatus(err))
		}
		for _, p := range []string{"p.sig", "q.sig"} {
			if got, _ := os.ReadFile(filepath.Join(dir, p)); string(got) != name+"\n" {
				t.Errorf("%s has %q, want %q", p, got, name)
			}
		}
	}
}

func TestWhatIgnoresTheSignalIsKilledAfterTheGrace(t *testing.T) {
	h := newHosts(t, "a")
	const deaf = `trap "" TERM INT; echo $$ > DIR/N.new; mv DIR/N.new DIR/N; while :; do sleep 0.01; done`
	for _, script := range []string{
		`sh -c 'DEAF' | cat`,
		`sh -c 'sh -c "DEAF2" & wait' | cat`,
		`@a:sh -c 'DEAF' | cat`,
	} {
		for _, terminal := range []bool{false, true} {
			dir := t.TempDir()
			script := strings.ReplaceAll(script, "DEAF2", strings.NewReplacer("$$", `\$\$`, `"`, `\"`).Replace(deaf))
			script = strings.ReplaceAll(script, "DEAF", deaf)
			script = strings.NewReplacer("DIR", dir, "/N", "/p").Replace(script)
			_, err := runAndCancel(t, dir, script, &interrupted{syscall.SIGTERM, 143}, []string{"p"}, h.use,
				withGrace(50*time.Millisecond), func(o *pipeline.Options) { o.Terminal = terminal })
			if pipeline.ExitStatus(err) != 143 {
				t.Errorf("status %d", pipeline.ExitStatus(err))
			}
			if left := alive(t, dir, "p"); len(left) > 0 {
				t.Errorf("left running after %s", script)
			}
		}
	}
}

func TestCancelDoesNotWaitForABuiltinThatCannotBeEnded(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	r.Fd() // a blocking file: its reads cannot be ended
	if _, err := w.WriteString("half a line"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, err = runAndCancel(t, dir, "> ready; read x; echo not reached", nil, []string{"ready"},
		func(o *pipeline.Options) { o.Stdin = r }, withGrace(10*time.Millisecond))
	if pipeline.ExitStatus(err) != 143 {
		t.Error(err)
	}
}

func TestADeadlineIs124(t *testing.T) {
	prog, err := parser.Parse("test", []byte("sleep 1000 | cat"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err = pipeline.Run(ctx, prog, pipeline.Options{})
	if pipeline.ExitStatus(err) != 124 || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestALocalProgramInTheBackgroundOutlivesTheScript(t *testing.T) {
	for _, script := range []string{
		"sh -c 'PID; exec sleep 1000' & echo end",
		"f() { sh -c 'PID; exec sleep 1000' & }; f; echo end",
		"true <(sh -c 'PID; exec sleep 1000'); echo end",
	} {
		dir := t.TempDir()
		out, err := os.Create(filepath.Join(dir, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		script = strings.ReplaceAll(strings.ReplaceAll(script, "PID", pid("p")), "DIR", dir)
		got, _, _ := runHere(t, script, func(o *pipeline.Options) { o.Dir, o.Stdout, o.Stderr = dir, out, out })
		if text, err := os.ReadFile(out.Name()); got.status != 0 || string(text) != "end\n" {
			t.Errorf("%s: %+v %q %v", script, got, text, err)
		}
		for !exists(dir, "p") {
			time.Sleep(time.Millisecond)
		}
		if left := alive(t, dir, "p"); len(left) == 0 {
			t.Errorf("%s: it was ended", script)
		}
		text, err := os.ReadFile(filepath.Join(dir, "p"))
		if err != nil {
			t.Fatal(err)
		}
		id, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

func TestRunWaitsForAllOtherBackgroundCommands(t *testing.T) {
	h := newHosts(t, "a")
	for _, script := range []string{
		"{ sh -c 'sleep .1'; echo late; } & :",
		"f() { sleep .1; echo late; }; f & :",
		"(sleep .1; echo late) & :",
		"sleep .1 | { cat; echo late; } & :",
		"@a:sh -c 'sleep .1; echo late' & :",
		"{ @a:sh -c 'sleep .1; echo late' & } | cat",
		"echo x | tee >(sh -c 'cat >/dev/null; sleep .1; echo late') >/dev/null",
		"sh -c 'sleep .1; echo late' & :",
	} {
		if got, stderr, _ := runHere(t, script, h.use); got != (outcome{"late\n", 0}) {
			t.Errorf("%s: %+v %s", script, got, stderr)
		}
	}
}

func TestCancelEndsWhatRunsAfterTheScript(t *testing.T) {
	h := newHosts(t, "a")
	dir := t.TempDir()
	script := `sh -c '` + pid("p") + `; exec sleep 1000' & @a:sh -c '` + pid("q") + `; exec sleep 1000' & { sh -c '` + pid("r") + `; exec sleep 1000' | cat; } &`
	_, err := runAndCancel(t, dir, strings.ReplaceAll(script, "DIR", dir), &interrupted{syscall.SIGTERM, 143}, []string{"p", "q", "r"}, h.use)
	if pipeline.ExitStatus(err) != 143 {
		t.Error(err)
	}
	if left := alive(t, dir, "p", "q", "r"); len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}

func TestEachProgramLeadsAGroupUnlessThereIsATerminal(t *testing.T) {
	for terminal, want := range map[bool]string{false: "own\n", true: "ours\n"} {
		got, _, _ := runHere(t, `sh -c 'set -- $(cut -d" " -f 5 /proc/$$/stat); [ $1 = $$ ] && echo own || echo ours'`,
			func(o *pipeline.Options) { o.Terminal = terminal })
		if got.stdout != want {
			t.Errorf("terminal %v: %q", terminal, got.stdout)
		}
	}
}

// withGrace is a change of options.
func withGrace(d time.Duration) func(*pipeline.Options) {
	return func(o *pipeline.Options) { o.Grace = d }
}
