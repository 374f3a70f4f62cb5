package launcher_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rpipe/pipeline/launcher"
)

func TestMain(m *testing.M) {
	if launcher.Asked() {
		os.Exit(launcher.Main())
	}
	os.Exit(m.Run())
}

// launch runs a program as a Spec says, and returns its output.
func launch(t *testing.T, s launcher.Spec, path string, args ...string) (string, int) {
	t.Helper()
	file, argv, err := s.Command(path, args)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := &exec.Cmd{Path: file, Args: argv, Stdout: &out, Stderr: &out}
	_ = cmd.Run()
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestAProgramGetsWhatTheSpecSays(t *testing.T) {
	mask := uint32(0o137)
	all := launcher.Spec{
		Mask:    &mask,
		Limits:  []launcher.Limit{{Resource: syscall.RLIMIT_NOFILE, Soft: 41, Hard: 42}, {Resource: syscall.RLIMIT_CORE}},
		Ignored: []int{int(syscall.SIGUSR1)},
		Closed:  []int{0},
	}
	script := `umask; ulimit -n; ulimit -Hn; ulimit -c; kill -USR1 $$; [ -e /proc/$$/fd/0 ] || echo closed; echo $0 $1; exit 5`
	out, status := launch(t, all, "/bin/sh", "name", "-c", script, "zero", "one")
	if out != "0137\n41\n42\n0\nclosed\nzero one\n" || status != 5 {
		t.Errorf("%d %q", status, out)
	}
}

func TestAProgramKeepsItsProcess(t *testing.T) {
	mask := uint32(0o22)
	file, argv, err := launcher.Spec{Mask: &mask}.Command("/bin/sh", []string{"sh", "-c", "echo $$; exec sleep 1000"})
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: file, Args: argv}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, _ := out.Read(line)
	if pid := strings.TrimSpace(string(line[:n])); pid != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("%s, not %d", pid, cmd.Process.Pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func TestAScriptWithoutAFirstLineIsRunByTheShell(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("echo $1; exit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	mask := uint32(0o22)
	if out, status := launch(t, launcher.Spec{Mask: &mask}, script, script, "arg"); out != "arg\n" || status != 3 {
		t.Errorf("%d %q", status, out)
	}
}

func TestWhatCannotBeRunIsRefused(t *testing.T) {
	mask := uint32(0o22)
	if out, status := launch(t, launcher.Spec{Mask: &mask}, "/etc/passwd", "passwd"); status != 126 || !strings.Contains(out, "passwd") {
		t.Errorf("%d %q", status, out)
	}
}

func TestTheZeroSpecIsNothing(t *testing.T) {
	if !(launcher.Spec{}).IsZero() || (launcher.Spec{Ignored: []int{1}}).IsZero() {
		t.Error("IsZero")
	}
}
