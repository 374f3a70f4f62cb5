package pipeline_test

import (
	"os"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline"
)

// scriptsOf returns the scripts of a file of comparisons, by name.
func scriptsOf(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	scripts := make(map[string]string)
	for _, part := range strings.Split(string(text), "\n---\n") {
		name, script, ok := strings.Cut(strings.TrimPrefix(part, "# "), "\n")
		if !ok {
			t.Fatalf("%s: a script without a name: %q", file, part)
		}
		scripts[name] = script
	}
	return scripts
}

func TestRedirectionsAreTheSameInATextThatIsRun(t *testing.T) {
	for name, script := range scriptsOf(t, "testdata/semantics/descriptors.txt") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			quoted, err := syntax.Quote(script, syntax.LangBash)
			if err != nil {
				t.Fatal(err)
			}
			text := "eval " + quoted
			want := runBash(t, text)
			got, stderr, _ := runHere(t, text)
			if got != want {
				t.Errorf("%s\nhere: %d %q\nbash: %d %q\nstderr here: %s",
					script, got.status, brief(got.stdout), want.status, brief(want.stdout), brief(stderr))
			}
		})
	}
}

func TestErrorsOfRedirectionsNameTheLineAndTheFile(t *testing.T) {
	for script, want := range map[string]string{
		"echo a\n\necho x 3< nosuch":     "rpipe: line 3: nosuch: No such file or directory\n",
		"exec 3>&1\ncat <&7":             "rpipe: line 2: 7: Bad file descriptor\n",
		"x='a b'\necho > $x":             "rpipe: line 2: a b: Ambiguous redirect; put the word in quotes\n",
		"set -C\n> f\n: > f":             "rpipe: line 3: f: Cannot overwrite existing file; with >| it is overwritten\n",
		"umask 7777777":                  "rpipe: line 1: umask: 7777777: octal number out of range; it ends at 777\n",
		"ulimit -n x":                    "rpipe: line 1: ulimit: x: invalid number; write a number, soft, hard or unlimited\n",
		"exec 3>&1; exec -Z x":           "rpipe: line 1: exec: -Z: invalid option; it knows -a NAME, -c and -l\n",
		"eval 'true\n\ncat 3< nosuch x'": "rpipe: line 3: nosuch: No such file or directory\n",
	} {
		if _, stderr, _ := runHere(t, script); stderr != want {
			t.Errorf("%s\nhere: %q\nwant: %q", script, stderr, want)
		}
	}
}

func TestWithoutALauncherProgramsAreRefusedWhatTheyCannotBeGiven(t *testing.T) {
	without := func(o *pipeline.Options) { o.Launcher = false }
	got, stderr, _ := runHere(t, "umask 057; true; /bin/true; echo $?", without)
	if got.stdout != "126\n" || !strings.Contains(stderr, "umask") {
		t.Errorf("%+v %q", got, stderr)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	script := `mkfifo p; exec 3<>p 4>f; (exec 5>g); x=$(exec 6>h; echo x); f() { exec 7>i; } 2>/dev/null; f
echo a | { exec 8>j; cat; }; { exec 9>k; } & wait; exec {v}>l; cat < <(exec 3>m; echo z); trap 'exec 20>n' EXIT; exec 21<<< x; exit 3`
	before := openFiles(t)
	for range 3 {
		if got, stderr, _ := runHere(t, script); got.status != 3 {
			t.Fatalf("%+v %s", got, stderr)
		}
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files were open, now %d", before, after)
	}
}

// openFiles returns how many files this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(entries)
}

func TestALossReachesReadersThroughDescriptors(t *testing.T) {
	for name, script := range map[string]string{
		"a duplicate of the output":         "{ " + part + " >&3; touch on; } 3>&1 | " + end,
		"a pipeline to a duplicate":         "{ { " + part + " | cat >&4; touch on; } 4>&1; } | " + end,
		"a process substitution":            "exec 3> >(" + end + "); " + part + " >&3; exec 3>&-; wait",
		"a named descriptor":                "exec {fd}> >(" + end + "); " + part + " >&$fd; exec {fd}>&-; wait",
		"a FIFO":                            "mkfifo p; " + end + " <p & exec 3>p; " + part + " >&3; exec 3>&-; wait",
		"a FIFO of a stage":                 "mkfifo p; " + end + " <p & : | { exec 3>p; " + part + " >&3; }; wait",
		"a loop that reads a descriptor":    "{ while read x <&3; do :; done; touch end; } 3< <(" + part + ")",
		"a program that reads a descriptor": "sh -c 'cat <&3 >/dev/null; touch end' 3< <(" + part + ")",
		"a program's other input":           part + " | sh -c 'cat <&3 >/dev/null; touch end' 3<&0 </dev/null",
		"a program behind exec":             "exec 5< <(" + part + "); cat <&5 | " + end,
		"a program between descriptors":     "{ sh -c 'cat <&3 >&4' 3< <(" + part + ") | cat; } 4>&1 | " + end,
		"the input of a subshell":           "( while read x; do :; done; touch end ) 3< <(" + part + ") <&3",
		"a FIFO that a program has":         "mkfifo p; " + end + " <p & " + part + " | cat >p 3>/dev/null; wait",
		"a FIFO behind a program":           "mkfifo p; " + end + " <p & cat >p 3>/dev/null < <(" + part + "); wait",
		"in eval":                           "eval 'exec 3> >(" + strings.ReplaceAll(end, "'", `"`) + ")'; " + part + " >&3; exec 3>&-; wait",
	} {
		t.Run(name, func(t *testing.T) {
			dir, here := inDir(t)
			got, stderr, _ := runAndCut(t, script, here)
			if got.status != 76 {
				t.Errorf("status %d\n%s", got.status, stderr)
			}
			if exists(dir, "end") {
				t.Error("a reader saw an end of input")
			}
			if exists(dir, "on") {
				t.Error("the shell of the stage went on")
			}
		})
	}
}
