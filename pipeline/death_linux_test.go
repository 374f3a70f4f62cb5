package pipeline_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rpipe/pipeline"
)

// scriptVariable holds the script of a process that TestRunOfAnotherProcess is.
const scriptVariable = "RPIPE_TEST_SCRIPT"

// TestRunOfAnotherProcess runs a script, in a process that another test starts.
func TestRunOfAnotherProcess(t *testing.T) {
	script := os.Getenv(scriptVariable)
	if script == "" {
		t.Skip("runs in a process of its own only")
	}
	_ = pipeline.Run(t.Context(), mustParse(t, script), pipeline.Options{})
}

func TestLocalStagesDieWithAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	script := strings.ReplaceAll(`sh -c '`+pid("p")+`; exec sleep 1000' | sh -c '`+pid("q")+`; exec sleep 1000'`, "DIR", dir)
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunOfAnotherProcess$")
	cmd.Env = append(os.Environ(), scriptVariable+"="+script)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(safetyNet)
	for (!exists(dir, "p") || !exists(dir, "q")) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	left := alive(t, dir, "p", "q")
	for len(left) > 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
		left = alive(t, dir, "p", "q")
	}
	if len(left) > 0 {
		t.Errorf("left running: %v", left)
	}
}
