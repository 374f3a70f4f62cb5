//go:build linux

package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A bashCase is a script that bash is the judge of. In the files of testdata/bash, and
// in those of the pipeline package, "---" stands between cases. A case is a line
// "# NAME", maybe marks, and the script. A mark is a line of its own:
//
//	#! refused: REASON   rpipe does not run it, and says so: status 2
//	#! differs: REASON   rpipe does on purpose what bash does not
//	#! local: REASON     its stages cannot be on other hosts
type bashCase struct {
	file, name string
	script     string
	marks      map[string]string // reasons
}

// The marks that there are.
const (
	markRefused = "refused"
	markDiffers = "differs"
	markLocal   = "local"
)

// gapsFile holds the scripts in which the interpreter is known to differ from bash.
const gapsFile = "gaps.txt"

// bashCases returns all cases, by file.
func bashCases(t *testing.T) []bashCase {
	t.Helper()
	var cases []bashCase
	for _, pattern := range []string{"testdata/bash/*.txt", "../pipeline/testdata/semantics/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no cases: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for part := range strings.SplitSeq(string(text), "\n---\n") {
				c, err := parseCase(part)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				c.file = filepath.Base(file)
				cases = append(cases, c)
			}
		}
	}
	return cases
}

func parseCase(text string) (bashCase, error) {
	name, rest, ok := strings.Cut(text, "\n")
	if !ok || !strings.HasPrefix(name, "# ") {
		return bashCase{}, fmt.Errorf("a case without a name: %q", text)
	}
	c := bashCase{name: strings.TrimPrefix(name, "# "), marks: make(map[string]string)}
	for strings.HasPrefix(rest, "#! ") {
		var mark string
		mark, rest, _ = strings.Cut(rest, "\n")
		kind, reason, ok := strings.Cut(strings.TrimPrefix(mark, "#! "), ": ")
		if !ok || reason == "" || kind != markRefused && kind != markDiffers && kind != markLocal {
			return bashCase{}, fmt.Errorf("%q: what is %q?", c.name, mark)
		}
		c.marks[kind] = reason
	}
	c.script = rest
	return c, nil
}
