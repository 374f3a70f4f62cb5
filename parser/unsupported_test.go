package parser

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

var update = flag.Bool("update-manual", false, "write the list of docs/bash.md anew")

func TestEveryUnsupportedConstructIsRefusedAtItsPlace(t *testing.T) {
	for _, c := range Unsupported() {
		_, err := Parse("script", []byte("echo before\n"+c.Example+"\n"))
		unsupported, ok := errors.AsType[*UnsupportedError](err)
		if !ok || unsupported.Construct.Name != c.Name {
			t.Errorf("%s: %v", c.Example, err)
			continue
		}
		var list ErrorList
		if !errors.As(err, &list) || list[0].Line < 2 || !strings.Contains(err.Error(), c.Instead) || !strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: it is refused without its place, or a way round: %v", c.Example, err)
		}
		if !strings.Contains(c.Example, c.needs) {
			t.Errorf("%s: its own example does not have %q", c.Name, c.needs)
		}
	}
}

func TestWhatMayNotBeReachedIsRefusedThere(t *testing.T) {
	for _, script := range []string{
		"if [ -n \"$ZSH_VERSION\" ]; then cat </dev/tcp/a/1; fi",
		"false && cat </dev/tcp/a/1",
		"f() { cat </dev/tcp/a/1; }",
		"case x in y) cat </dev/tcp/a/1 ;; esac",
		"while false; do cat </dev/tcp/a/1; done",
		"exit\ncat </dev/tcp/a/1",
	} {
		prog, err := Parse("", []byte(script))
		if err != nil || len(prog.Refused) != 1 {
			t.Errorf("%s: %v", script, err)
			continue
		}
		for s, e := range prog.Refused {
			if _, ok := s.Cmd.(*syntax.CallExpr); !ok || len(s.Redirs) != 1 || e.Err == nil {
				t.Errorf("%s: %v is refused: %v", script, s, e)
			}
		}
	}
}

func TestWhatRunsRightIsNotRefused(t *testing.T) {
	for _, script := range []string{
		"cat <$x/dev/tcp/a/1", "cat '/dev/tcp/a/1'", "cat </dev/null", "echo /dev/tcp/x",
		"alias ll='ls -l'", "alias begin='{'", "shopt -s expand_aliases; alias ll='ls -l' la=ls",
		"! true", "! (! true)", "a[1]=2", "a=(1 2)", "a=1 env", "(( 1 + 2 ))", "( (echo a); echo b)", "echo $(( (1) + 2 ))",
	} {
		if prog, err := Parse("", []byte(script)); err != nil || len(prog.Refused) > 0 {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestErrorsOfSyntaxStayErrorsOfSyntax(t *testing.T) {
	for _, script := range []string{"if; then", "((1 +", "echo )", "!", "a=(1", "((echo a); echo"} {
		_, err := Parse("", []byte(script))
		if _, unsupported := errors.AsType[*UnsupportedError](err); err == nil || unsupported {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestTheManualListsWhatIsUnsupported holds docs/bash.md to the table, between two
// marks. -update-manual writes it.
func TestTheManualListsWhatIsUnsupported(t *testing.T) {
	const file, begin, end = "../docs/bash.md", "<!-- unsupported: begin -->\n", "<!-- unsupported: end -->\n"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has not the lines %q and %q", file, begin, end)
	}
	var list strings.Builder
	list.WriteString("\n| construct | as in | instead |\n|---|---|---|\n")
	for _, c := range Unsupported() {
		example := strings.ReplaceAll(c.Example, "\n", "; ")
		fmt.Fprintf(&list, "| %s | `%s` | %s |\n", c.Name, strings.ReplaceAll(example, "|", `\|`), strings.ReplaceAll(c.Instead, "|", `\|`))
	}
	list.WriteString("\n")
	want := head + begin + list.String() + end + tail
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s does not list what is unsupported as the table has it: go test ./parser -run Manual -update-manual", file)
	}
	if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
