package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rpipe/pipeline"
)

func TestPrintedFunctionsAreWhatWasWritten(t *testing.T) {
	for _, script := range []string{
		"f() { a | b; (return 3); time c | d; }\ndeclare -f f",
		"f() { while a | b; do :; done; }\ntypeset -f f nosuch",
		"eval 'f() { a | b; }; c | true'; declare -f f",
		"n=f; f() { a | b; }; x=$(declare -f $n); echo \"$x\"",
		"f() { a | b; }; f() { c | d; }; declare -f f | cat",
		"g() { a | b; }; f() { declare -f g; }; (f)",
		"f() { eval 'g() { echo x | cat; }'; g; }; f",
		"f() { local x y=1; ! a | b; trap 'c | d' EXIT; echo $-; }; eval 'declare -f f'",
	} {
		want := runBash(t, script+" 2>/dev/null")
		if got, stderr, _ := runHere(t, script+" 2>/dev/null"); got != want {
			t.Errorf("%s:\n%+v\nwant\n%+v\n%s", script, got, want, stderr)
		}
	}
}

func TestPrintedTrapsAreWhatWasWritten(t *testing.T) {
	got, stderr, _ := runHere(t, `trap 'echo "a b" | cat' EXIT; trap ': | :' ERR; trap; trap --; trap - EXIT ERR; trap; trap 'echo c' EXIT; trap`)
	want := strings.Repeat("trap -- 'echo \"a b\" | cat' EXIT\ntrap -- ': | :' ERR\n", 2) + "trap -- 'echo c' EXIT\nc\n"
	if got.stdout != want || stderr != "" {
		t.Errorf("%s\nwant\n%s\n%s", got.stdout, want, stderr)
	}
}

// A text with a bad address is left to the interpreter, which makes shells that this
// package does not know of.
func TestFunctionsRunInTheRightShellWhoeverMakesIt(t *testing.T) {
	script := `f() { local v=$1 w; echo "$v" | { read w; echo "$w $x ${PIPESTATUS[0]}"; }; w=$(echo "$v" | tr a-z A-Z); echo "$w"; }
x=outer
for i in 1 2 3; do
eval '(x=sub; f a); y=$(x=subst; f b); echo "$y"; { x=group; f c; } | { x=last; sort; f d; }
{ x=back; f e; } & wait; cat <(x=proc; f g); @bad:::x' 2>/dev/null
done`
	got, stderr, _ := runHere(t, script)
	one := "a sub 0\nA\nb subst 0\nB\nC\nc group 0\nd last 0\nD\ne back 0\nE\ng proc 0\nG\n"
	if got.stdout != strings.Repeat(one, 3) {
		t.Errorf("%s\nwant three times\n%s\n%s", got.stdout, one, stderr)
	}
}

func TestStagesAreReportedWhereverTheyStand(t *testing.T) {
	h := newHosts(t, "a")
	for script, want := range map[string][]string{
		"f() { true | @a:false; }\nf":                        {"1.1 true 1:7 0", "1.2 @a:false 1:14 1"},
		"x=$(false | cat)":                                   {"2.1 false 1:5 1", "2.2 cat 1:13 0"},
		"cat <(true | @a:cat)":                               {"2.1 true 1:7 0", "2.2 @a:cat 1:14 0"},
		"(true |\n@a:false)":                                 {"1.1 true 1:2 0", "1.2 @a:false 2:1 1"},
		"true | @a:cat & wait":                               {"1.1 true 1:1 0", "1.2 @a:cat 1:8 0"},
		"eval '\n true | @a:false'":                          {"0.0 true 2:2 0", "0.0 @a:false 2:9 1"},
		"eval 'true |\n true &\nwait; a=$(:) |\n:; @a:true'": {"0.0 true 1:1 0", "0.0 true 2:2 0", "0.0 a=$(:) 3:7 0", "0.0 : 4:1 0", "0.0  4:4 0"},
		"eval 'f() {\n true | @a:cat; }'; f; f":              {"0.0 true 2:2 0", "0.0 @a:cat 2:9 0", "0.0 true 2:2 0", "0.0 @a:cat 2:9 0"},
		"eval 'true |\n true; @a:true'":                      {"0.0 true 1:1 0", "0.0 true 2:2 0", "0.0  2:8 0"},
		"trap 'true | false' EXIT":                           {"0.0 true 1:1 0", "0.0 false 1:8 1"},
		"echo 'true | false' > s; . ./s; true":               {"0.0 true 1:1 0", "0.0 false 1:8 1"},
		"f() { @a:true; }; f; eval '@a:true'; (f)":           {"1.1 @a:true 1:7 0", "0.0  1:1 0", "1.1 @a:true 1:7 0"},
	} {
		var got []string
		runHere(t, script, h.use, func(o *pipeline.Options) {
			o.StageDone = func(r pipeline.StageReport) {
				got = append(got, fmt.Sprintf("%d.%d %s %d:%d %d", r.Pipeline, r.Stage, r.Text, r.Line, r.Column, r.Status))
			}
		})
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

func TestFailuresInTextsNameTheirLine(t *testing.T) {
	h := newHosts(t, "a")
	got, stderr, _ := runHere(t, "eval 'true |\n @a:nosuch-zz'; echo $?; echo 'f() {\n\n @a:nosuch-zz | cat; }' > s; . ./s; f", h.use)
	if got != (outcome{"127\n", 127}) || !strings.Contains(stderr, "line 2 @a:nosuch-zz: ") || !strings.Contains(stderr, "line 3 @a:nosuch-zz: ") {
		t.Errorf("%+v\n%s", got, stderr)
	}
}

func TestAssignmentsTravelFromTexts(t *testing.T) {
	h := newHosts(t, "a")
	got, stderr, _ := runHere(t, `eval 'true | LC_X=7 @a:sh -c "echo \$LC_X"; f() { LC_X=8 @a:sh -c "echo \$LC_X" | cat; }; f'`, h.use)
	if got.stdout != "7\n8\n" {
		t.Errorf("%+v\n%s", got, stderr)
	}
}

func TestStagesInFunctionsStartInTwoPhases(t *testing.T) {
	h := newHosts(t, "a")
	for _, form := range []string{"f() { %; }; f", "x=$(%)", "(%)", "{ %; } & wait $!", "eval '%'", "cat <(%)", "trap '%' EXIT"} {
		dir, here := inDir(t)
		script := strings.Replace(form, "%", "{ touch ran; cat; } | @a:cat | @closed:cat", 1)
		runHere(t, script, h.use, here)
		if exists(dir, "ran") {
			t.Errorf("%s: a stage ran though a host was refused", script)
		}
	}
}
