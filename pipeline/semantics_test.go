package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rpipe/parser"
	"rpipe/pipeline"
)

// safetyNet ends a test that hangs. No test measures against it.
const safetyNet = 60 * time.Second

// bashPath returns bash, which the semantics are compared with.
func bashPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("bash")
	if err == nil {
		return path
	}
	if os.Getenv("RPIPE_TEST_ALL") == "1" {
		t.Fatal("bash is needed")
	}
	t.Skip("needs bash")
	return ""
}

// outcome is what can be seen of a script that ran.
type outcome struct {
	stdout string
	status int
}

// environ is a small environment that is the same everywhere.
func environ(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C", "TMPDIR=" + dir}
}

// runHere runs a script with the package under test.
func runHere(t *testing.T, script string, change ...func(*pipeline.Options)) (outcome, string, error) {
	t.Helper()
	prog, err := parser.Parse("test", []byte(script))
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	var stdout, stderr bytes.Buffer
	dir := t.TempDir()
	opts := pipeline.Options{
		Stdout: &stdout, Stderr: &stderr, Dir: dir, Env: environ(dir), Name: "test",
		Launcher: true, Command: true,
	}
	for _, f := range change {
		f(&opts)
	}
	ctx, cancel := context.WithTimeout(context.Background(), safetyNet)
	defer cancel()
	err = pipeline.Run(ctx, prog, opts)
	if ctx.Err() != nil {
		t.Fatalf("it hung:\n%s\nstdout so far: %q\nstderr: %q", script, stdout.String(), stderr.String())
	}
	var exit *pipeline.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("Run returned a %T, not an *ExitError: %v", err, err)
	}
	return outcome{stdout.String(), pipeline.ExitStatus(err)}, stderr.String(), err
}

// runBash runs a script with bash.
func runBash(t *testing.T, script string) outcome {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), safetyNet)
	defer cancel()
	cmd := exec.CommandContext(ctx, bashPath(t), "--norc", "-o", "pipefail", "-c", script, "test")
	cmd.Dir, cmd.Env = dir, environ(dir)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	status := cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		status = 128 + int(ws.Signal())
	}
	return outcome{string(out), status}
}

func TestScriptsBehaveAsInBash(t *testing.T) {
	files, err := filepath.Glob("testdata/semantics/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "\n---\n") {
			name, script, ok := strings.Cut(strings.TrimPrefix(part, "# "), "\n")
			if !ok {
				t.Fatalf("%s: a script without a name: %q", file, part)
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				want := runBash(t, script)
				got, stderr, _ := runHere(t, script)
				if got != want {
					t.Errorf("%s\nhere: %d %q\nbash: %d %q\nstderr here: %s",
						script, got.status, brief(got.stdout), want.status, brief(want.stdout), brief(stderr))
				}
			})
		}
	}
}

func brief(s string) string {
	if len(s) > 400 {
		return s[:400] + "..."
	}
	return s
}
