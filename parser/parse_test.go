package parser_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// Every way to nest, deep enough to end a parser that only trusts the stack.
func TestDeepNestingIsAnError(t *testing.T) {
	const n = 200_000
	for name, unit := range map[string]string{
		"subshell":              "(",
		"subshell with spaces":  "( ",
		"group":                 "{ ",
		"substitution":          "$(",
		"quoted substitution":   `"$(`,
		"backquotes in quotes":  "\"`",
		"brace substitution":    "${ ",
		"expansion":             "${a:-",
		"quoted expansion":      `"${a:-`,
		"subscript":             "${a[",
		"process substitution":  "<(",
		"array":                 "a=($(",
		"if":                    "if ",
		"while":                 "while ",
		"for":                   "for i in a; do ",
		"case":                  "case a in a) ",
		"function":              "f() ",
		"function with keyword": "function f { ",
		"time":                  "time ",
		"coproc":                "coproc ",
		"comment":               "#\n",
		"arithmetic":            "((a+$(",
		"here-document":         "cat <<E\n$(",
	} {
		refused(t, name, strings.Repeat(unit, n))
	}
	for name, script := range map[string]string{
		"arithmetic parentheses": "((" + strings.Repeat("( ", n),
		"arithmetic negation":    "((" + strings.Repeat("- ", n) + "1))",
		"arithmetic power":       "((" + strings.Repeat("a**", n) + "1))",
		"arithmetic assignment":  "((" + strings.Repeat("a=", n) + "1))",
		"arithmetic condition":   "((" + strings.Repeat("a?b:", n) + "1))",
		"arithmetic sum":         "((" + strings.Repeat("a+", n) + "1))",
		"let":                    "let " + strings.Repeat("-", n) + "1",
		"test negation":          "[[ " + strings.Repeat("! ", n) + "a ]]",
		"test parentheses":       "[[ " + strings.Repeat("( ", n),
		"test and":               "[[ " + strings.Repeat("a && ", n) + "a ]]",
		"pipeline":               strings.Repeat("a | ", n) + "a",
		"remote pipeline":        strings.Repeat("@a:x | ", n) + "a",
		"list":                   strings.Repeat("a && ", n) + "a",
		"else if":                "if a; then b; " + strings.Repeat("elif a; then b; ", n) + "fi",
	} {
		refused(t, name, script)
	}
}

func refused(t *testing.T, name, script string) {
	t.Helper()
	_, err := parser.Parse("x", []byte(script))
	list, ok := err.(parser.ErrorList)
	if !ok || len(list) != 1 {
		t.Errorf("%s: %T, want an ErrorList of one", name, err)
	} else if l := list[0]; l.Line < 1 || l.Column < 1 || len(err.Error()) > 1000 {
		t.Errorf("%s: %.1000v", name, err)
	}
}

func TestModerateNestingAndLongListsAreNoError(t *testing.T) {
	for name, script := range map[string]string{
		"subshells":     strings.Repeat("( ", 200) + "a" + strings.Repeat(" )", 200),
		"substitutions": strings.Repeat(`"$(a `, 200) + strings.Repeat(`)"`, 200),
		"arithmetic":    "echo $((" + strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200) + "))",
		"pipeline":      strings.Repeat("a | ", 5000) + "a",
		"list":          strings.Repeat("a && ", 5000) + "a",
		"statements":    strings.Repeat("@a:x | b\n", 50_000),
		"comments":      strings.Repeat("# a comment\n", 5000),
		"one long line": "echo " + strings.Repeat("x ", 500_000) + "| @a:y",
		"open braces":   strings.Repeat("{a,", 500_000),
		"here-document": "@a:x <<E\n" + strings.Repeat("line\n", 500_000) + "E\n",
	} {
		if _, err := parser.Parse("x", []byte(script)); err != nil {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

// The positions of the syntax package count no further than this.
func TestPlacesAreExactInLongLinesAndFiles(t *testing.T) {
	script := strings.Repeat("\n", 300_000) + strings.Repeat(" ", 50_000) + "a | @b:c"
	p, err := parser.Parse("x", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Pipelines[0].Stages[1]
	if s.Line() != 300_001 || s.Column() != 50_005 {
		t.Errorf("the stage is at %d:%d, want 300001:50005", s.Line(), s.Column())
	}
	if line, column := p.Position(s.Pos); line != s.Line() || column != s.Column() {
		t.Errorf("Position is %d:%d", line, column)
	}
	_, err = parser.Parse("x", []byte(script+" | @b:"))
	if !strings.HasPrefix(fmt.Sprint(err), "x:300001:50015: ") {
		t.Errorf("the error is at another place: %.200v", err)
	}
}

func TestBytesThatAreNotUTF8StayInTheTree(t *testing.T) {
	script := "echo a\xff'\xfe\xff'\"\xfd\" \x01 ž\xc5 # \x80\ncat <<\xfa\n\x99$x\n\xfa\n"
	p, err := parser.Parse("x", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	syntax.Walk(p.File, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Lit:
			texts = append(texts, node.Value)
		case *syntax.SglQuoted:
			texts = append(texts, node.Value)
		}
		return true
	})
	want := []string{"echo", "a\xff", "\xfe\xff", "\xfd", "\x01", "ž\xc5", "cat", "\xfa", "\x99", "x", "\n"}
	if got := fmt.Sprintf("%q", texts); got != fmt.Sprintf("%q", want) {
		t.Errorf("the tree holds %s, want %q", got, want)
	}
	if got := p.Pipelines[0].String(); got != `echo a\xff'\xfe\xff'"\xfd" \x01 ž\xc5` {
		t.Errorf("the pipeline is %s", got)
	}
	if string(p.Source) != script {
		t.Errorf("the source is %q", p.Source)
	}
}

func TestBinaryGarbageIsAnError(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	if _, err := parser.Parse("x", bytes.Repeat(all, 3)); err == nil {
		t.Error("there is a program in all bytes")
	}
	script := "echo '"
	for c := 0x80; c < 0x100; c++ {
		script += string([]byte{byte(c)})
	}
	_, err := parser.Parse("x", []byte(script+"'"))
	if err == nil || !strings.Contains(err.Error(), "invalid UTF-8") {
		t.Errorf("too many bytes that are not UTF-8: %v", err)
	}
}

func TestNULBytesAreLeftOutAsBashDoes(t *testing.T) {
	p, err := parser.Parse("x", []byte("e\x00cho | @\x00a:\x00x y\x00"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.Pipelines[0].Stages[1].Address, (parser.Address{Host: "a", Program: "x"}); got != want {
		t.Errorf("the address is %+v, want %+v", got, want)
	}
	_, err = parser.Parse("x", []byte("@\x00a:\x00x*"))
	if !strings.HasPrefix(fmt.Sprint(err), "x:1:7: ") {
		t.Errorf("the error is at another place: %v", err)
	}
}

func TestErrorsKeepTheirParts(t *testing.T) {
	_, err := parser.Parse("a\x1bname", []byte("\t@a: |\n\n@b:0\n"))
	list, ok := err.(parser.ErrorList)
	if !ok || len(list) != 2 {
		t.Fatalf("%#v, want a list of two", err)
	}
	if l := list[1]; l.Name != "a\x1bname" || l.Line != 3 || l.Column != 4 || l.SourceLine != "@b:0" {
		t.Errorf("the second error is %+v", *l)
	}
	if !strings.HasPrefix(err.Error(), `a\x1bname:1:5: `) {
		t.Errorf("the name is not made visible: %v", err)
	}
	if bad, ok := errors.AsType[*parser.AddressError](err); !ok || bad.Word != "@a:" || bad.Offset != 3 {
		t.Errorf("the cause is %+v", bad)
	}
	if list.ExitStatus() != 2 {
		t.Errorf("the status is %d, want 2", list.ExitStatus())
	}
	if _, err := parser.Parse("", []byte("fi")); !strings.HasPrefix(fmt.Sprint(err), "1:1: ") {
		t.Errorf("without a name: %v", err)
	}
	if p, err := parser.Parse("x", nil); err != nil || len(p.Pipelines) != 0 {
		t.Errorf("the empty script: %+v, %v", p, err)
	}
}

func TestRedirectionsOfAChainAreThoseOfItsEnds(t *testing.T) {
	p, err := parser.Parse("x", []byte("cat | 0<<<in @a:x | @b:y | @c:z >out 1>>more | cat"))
	if err != nil {
		t.Fatal(err)
	}
	pl := p.Pipelines[0]
	if len(pl.Chains) != 1 {
		t.Fatalf("chains %v", pl.Chains)
	}
	var got []string
	for _, r := range pl.Redirs(pl.Chains[0]) {
		got = append(got, r.Op.String()+r.Word.Lit())
	}
	if want := "<<<in >out >>more"; strings.Join(got, " ") != want {
		t.Errorf("redirections %q, want %s", got, want)
	}
}

func TestParseMayRunConcurrently(t *testing.T) {
	all := scripts(t)
	done := make(chan string, 4)
	for range cap(done) {
		go func() {
			var b strings.Builder
			for _, src := range all {
				if p, err := parser.Parse("x", src); err != nil {
					fmt.Fprintln(&b, err)
				} else {
					b.WriteString(plan(p))
				}
			}
			done <- b.String()
		}()
	}
	first := <-done
	for range cap(done) - 1 {
		if <-done != first {
			t.Error("two results differ")
		}
	}
}
