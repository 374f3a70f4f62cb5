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
	s := readmeSession(t, 0)
	cmd := exec.Command("bash", "-c", s[0].command)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOPATH="+goEnv(t, "GOPATH"))
	s[0].prints(t, cmd)
}

// shown is a command of README, and what it shows of its output.
type shown struct{ command, output string }

// prints fails if the command prints something else.
func (s shown) prints(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", s.command, err, &stderr)
	}
	if string(got) != s.output {
		t.Errorf("%s\nprints:\n%s\nREADME shows:\n%s", s.command, got, s.output)
	}
}

// readmeSession returns the commands of a block of README that begins with a prompt; 0 is
// the first.
func readmeSession(t *testing.T, number int) []shown {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const indent, prompt = "    ", "    $ "
	var session []shown
	for line := range strings.Lines(string(readme)) {
		command, isCommand := strings.CutPrefix(line, prompt)
		text, inside := strings.CutPrefix(line, indent)
		switch {
		case isCommand:
			session = append(session, shown{command: strings.TrimSuffix(command, "\n")})
		case session == nil:
		case inside:
			session[len(session)-1].output += text
		case number == 0:
			return session
		default:
			number--
			session = nil
		}
	}
	t.Fatal("README shows no such session")
	return nil
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
