package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"

	"rpipe/parser"
)

// planOf returns the plan of a script.
func planOf(t *testing.T, script string) *plan {
	t.Helper()
	prog, err := parser.Parse("test", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	return newPlan(prog, "test", expand.ListEnviron())
}

func TestTextsWithPipelinesAreAllPrepared(t *testing.T) {
	files, err := filepath.Glob("testdata/semantics/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	p := planOf(t, "set -e; eval \"$1\"")
	for _, file := range append(files, "testdata/remote.txt") {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(content), "\n---\n")
		for _, script := range append(parts, strings.Join(parts, "\n")) {
			prog, err := parser.Parse("", []byte(script))
			if err != nil {
				t.Fatal(err)
			}
			pipes := 0
			for _, pl := range prog.Pipelines {
				if len(pl.Stages) > 1 {
					pipes++
				}
			}
			prepared := p.prepare(script)
			if pipes > 0 && prepared.script == nil {
				t.Errorf("not prepared:\n%s", script)
				continue
			}
			if prepared.script != nil && len(prepared.script.pipelines) != pipes {
				t.Errorf("%d of %d pipelines are owned:\n%s", len(prepared.script.pipelines), pipes, script)
			}
			p.release(prepared)
		}
	}
}

func TestTextsThatAreOverAreForgotten(t *testing.T) {
	p := planOf(t, "eval \"$1\"")
	for i := range 4 * maxTexts {
		p.release(p.prepare(fmt.Sprintf("echo %d | cat", i)))
	}
	if len(p.texts.sorted) > maxTexts || len(p.texts.byText) > maxTexts {
		t.Errorf("%d scripts, %d texts are kept", len(p.texts.sorted), len(p.texts.byText))
	}
	kept := p.prepare("f() { echo x | cat; }")
	again := p.prepare("f() { echo x | cat; }")
	if kept != again {
		t.Error("a text that is in use is prepared twice")
	}
	p.release(kept)
	p.release(again)
	if p.script(kept.script.id) != kept.script {
		t.Error("what defines a function is forgotten")
	}
}

func TestCommandsOfATextStayOnTheirLines(t *testing.T) {
	p := planOf(t, "eval \"$1\"")
	text := p.prepare("\necho a |\n  cat; at3\nf() {\n  :\n}\n  at7; b | c; at7\nif true; then :; fi\nat9")
	for i, line := range strings.Split(text.printed, "\n") {
		for at := range 10 {
			if strings.Contains(line, fmt.Sprintf("at%d", at)) && at != i+1 {
				t.Errorf("at%d is on line %d of\n%s", at, i+1, text.printed)
			}
		}
	}
	if strings.Count(text.printed, "at") < 4 {
		t.Error(text.printed)
	}
}
