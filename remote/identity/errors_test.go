package identity

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestPathsInHintsAreOneWordForAShellAndPrintable(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("bash is not installed")
		}
		t.Skip("bash is not installed")
	}
	for _, path := range []string{
		"", "/etc/rpipe/identity", "/home/o'neil/a b", "/tmp/$(id)`id`\\", "~root", "*", "/tmp/ключ", "/tmp/new\nline", "/tmp/\x1b[2J'\\", "/tmp/\xff\xc2\x9b",
	} {
		word := shellWord(path)
		out, err := exec.Command(bash, "-c", "printf %s. "+word).Output()
		if err != nil || strings.TrimSuffix(string(out), ".") != path {
			t.Errorf("%q is written %s, which bash reads as %q, %v", path, word, out, err)
		}
		if printable(word) != word {
			t.Errorf("%q is not printable", word)
		}
	}
}
