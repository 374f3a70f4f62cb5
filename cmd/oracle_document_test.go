//go:build linux

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

const bashDocument = "../docs/bash.md"

// The part of docs/bash.md between these lines is written by the test.
const (
	beginTally = "<!-- written by: go test ./cmd -run TestBashIsTheJudge -bash -->\n"
	endTally   = "<!-- end -->\n"
)

// check compares docs/bash.md with what was seen, or writes it.
func (a *tally) check(t *testing.T, cases []bashCase) {
	t.Helper()
	old, err := os.ReadFile(bashDocument)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(old, []byte(beginTally))
	_, after, ended := bytes.Cut(rest, []byte(endTally))
	if !ok || !ended {
		t.Fatalf("%s has no place for the tally", bashDocument)
	}
	now := bytes.Join([][]byte{before, []byte(beginTally), a.document(cases), []byte(endTally), after}, nil)
	if bytes.Equal(old, now) {
		return
	}
	if !*writeBash {
		t.Errorf("%s is not what was seen: go test ./cmd -run TestBashIsTheJudge -bash", bashDocument)
		return
	}
	if err := os.WriteFile(bashDocument, now, 0o644); err != nil {
		t.Fatal(err)
	}
}

// document is the part of docs/bash.md that tells what was seen.
func (a *tally) document(cases []bashCase) []byte {
	var b bytes.Buffer
	gaps, equalGaps, equal := 0, 0, 0
	marked := map[string][]bashCase{}
	for _, c := range cases {
		if c.file == gapsFile {
			gaps++
		}
		if a.equal[c.file+"/"+c.name] {
			equal++
			if c.file == gapsFile {
				equalGaps++
			}
		}
		for kind := range c.marks {
			marked[kind] = append(marked[kind], c)
		}
	}
	refusedGaps := 0
	for _, c := range marked[markRefused] {
		if c.file == gapsFile {
			refusedGaps++
		}
	}
	fmt.Fprintf(&b, "\nOf %d scripts, bash 5.2 and rpipe agree on %d in output and status; %d of those were also run with stages on three hosts.\n",
		len(cases), equal, a.remote)
	fmt.Fprintf(&b, "Of the %d scripts in which the bare interpreter differs from bash, rpipe gives bash's result in %d, refuses %d and differs on purpose in %d.\n",
		gaps, equalGaps, refusedGaps, gaps-equalGaps-refusedGaps)
	for _, list := range []struct{ kind, title string }{
		{markRefused, "Refused"}, {markDiffers, "Different on purpose"},
	} {
		fmt.Fprintf(&b, "\n### %s\n\n", list.title)
		if len(marked[list.kind]) == 0 {
			b.WriteString("Nothing.\n")
			continue
		}
		b.WriteString("| what | script | why |\n|---|---|---|\n")
		for _, c := range marked[list.kind] {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cell1(c.name), code(c.script), cell1(c.marks[list.kind]))
		}
	}
	b.WriteString("\n")
	return b.Bytes()
}

// cell1 is a text as a cell of a table.
func cell1(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// code is a script in one cell of a table.
func code(s string) string {
	return "`" + strings.ReplaceAll(cell1(strings.TrimSpace(s)), "\n", "⏎") + "`"
}
