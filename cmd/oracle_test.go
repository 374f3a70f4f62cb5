//go:build linux

package cmd_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var writeBash = flag.Bool("bash", false, "write docs/bash.md from what TestBashIsTheJudge sees")

// An outcome is what can be seen of a script that ran.
type outcome struct {
	stdout string
	status int
}

func (o outcome) String() string {
	s := o.stdout
	if len(s) > 600 {
		s = s[:600] + "..."
	}
	return fmt.Sprintf("%d %q", o.status, s)
}

// An oracle runs scripts with bash, and with rpipe.
type oracle struct {
	site *site
	bash string
	bin  string // the folder of an rpipe without race detector: it is started thousands of times
}

// newOracle makes an oracle with its hosts.
func newOracle(t *testing.T) *oracle {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("bash is needed")
		}
		t.Skip("needs bash")
	}
	o := &oracle{site: newSite(t), bash: bash, bin: t.TempDir()}
	quick := exec.Command("go", "build", "-o", o.bin, "./rpipe")
	quick.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := quick.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", quick, err, out)
	}
	var config strings.Builder
	for name := range remotePrograms {
		fmt.Fprintf(&config, "[programs.%s]\nrun = [%q]\nargs = \"any\"\n", name, name)
		if slices.Contains(unreading, name) {
			config.WriteString("stdin = false\n")
		}
	}
	for _, name := range oracleHosts {
		h := o.site.addHost(name)
		h.start(config.String())
		o.site.know(h, h.address)
	}
	return o
}

// byBash returns what bash makes of a script.
func (o *oracle) byBash(t *testing.T, script string) outcome {
	t.Helper()
	out, _ := o.run(t, nil, o.bash, "--norc", "-o", "pipefail", "-c", script, "test")
	return out
}

// byRpipe returns what rpipe makes of it, and what it says.
func (o *oracle) byRpipe(t *testing.T, script string) (outcome, string) {
	t.Helper()
	home := []string{"XDG_CONFIG_HOME=" + filepath.Dir(o.site.home())}
	return o.run(t, home, filepath.Join(o.bin, "rpipe"), "-c", script, "test")
}

// run runs a command in a new folder, with a small environment that is always the
// same, in a session of its own, and waits for its output to end.
func (o *oracle) run(t *testing.T, more []string, words ...string) (outcome, string) {
	t.Helper()
	dir, err := os.MkdirTemp(o.site.dir, "run-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cwd := filepath.Join(dir, "cwd")
	if err := os.Mkdir(cwd, 0o700); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = cwd
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TMPDIR=" + dir, "GORACE=" + os.Getenv("GORACE")}, more...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(patience, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Wait()
	if !limit.Stop() {
		t.Errorf("it hangs: %q\n%s", words, &stderr)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := cmd.ProcessState.ExitCode()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		status = 128 + int(ws.Signal())
	}
	return outcome{stdout.String(), status}, stderr.String()
}

// TestBashIsTheJudge runs every case with bash, and with rpipe: as it stands,
// with all the stages that can be on three hosts there, and with about half of them.
// What programs write to stdout, and the status, are equal; where a case is marked, they
// are not.
func TestBashIsTheJudge(t *testing.T) {
	cases := bashCases(t)
	o := newOracle(t)
	tally := &tally{equal: make(map[string]bool)}
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.file+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				o.judge(t, c, tally)
			})
		}
	})
	if !t.Failed() && tally.cases == len(cases) { // else a part was asked for
		tally.check(t, cases)
	}
}

// judge compares all runs of a case.
func (o *oracle) judge(t *testing.T, c bashCase, tally *tally) {
	tally.count()
	want := o.byBash(t, c.script)
	got, said := o.byRpipe(t, c.script)
	refused := got.status == 2 && strings.Contains(said, "rpipe: ") && got != want
	switch {
	case c.marks[markRefused] != "":
		if !refused {
			t.Errorf("it is marked as refused, but was run\n%s\nbash:  %v\nrpipe: %v\n%s", c.script, want, got, said)
		}
		return
	case c.marks[markDiffers] != "":
		if got == want {
			t.Errorf("it is marked as different, but is equal: take the mark away\n%s", c.script)
		}
		return
	}
	if got != want {
		t.Errorf("%s\nbash:  %v\nrpipe: %v\n%s", c.script, want, got, said)
		return
	}
	tally.add(c)
	if c.marks[markLocal] != "" {
		return
	}
	tried := map[string]bool{c.script: true}
	for _, choose := range []func(int) bool{all, halfOf(c.script)} {
		script, _ := withHosts(c.script, choose)
		if tried[script] {
			continue
		}
		tried[script] = true
		tally.addRemote()
		if got, said := o.byRpipe(t, script); got != want {
			t.Errorf("%s\nbash:  %v\nrpipe: %v\n%s", script, want, got, said)
		}
	}
}

// A tally counts what is equal.
type tally struct {
	mu     sync.Mutex
	cases  int
	equal  map[string]bool // by file and name
	remote int             // scripts with remote stages
}

func (a *tally) count() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cases++
}

func (a *tally) add(c bashCase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.equal[c.file+"/"+c.name] = true
}

func (a *tally) addRemote() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remote++
}
