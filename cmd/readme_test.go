package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestReadmeSessionIsReal runs the first command of README and compares what it
// prints with what README shows.
func TestReadmeSessionIsReal(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		missingTool(t, "bash")
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const prompt = "    $ "
	_, session, found := strings.Cut(string(readme), prompt)
	if !found {
		t.Fatal("README shows no session")
	}
	command, rest, _ := strings.Cut(session, "\n")
	var want strings.Builder
	for line := range strings.Lines(rest) {
		shown, ok := strings.CutPrefix(line, "    ")
		if !ok {
			break
		}
		want.WriteString(shown)
	}
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPATH="+goEnv(t, "GOPATH"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, &stderr)
	}
	if string(got) != want.String() {
		t.Errorf("%s\nprints:\n%s\nREADME shows:\n%s", command, got, want.String())
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// missingTool skips a test for lack of a tool; with RPIPE_TEST_ALL=1 it fails.
func missingTool(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("RPIPE_TEST_ALL") == "1" {
		t.Fatalf("%s is missing, and RPIPE_TEST_ALL wants every test", name)
	}
	t.Skipf("%s is missing", name)
}
