package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
	"rpipe/pipeline"
)

func mustParse(t *testing.T, script string) *parser.Program {
	t.Helper()
	prog, err := parser.Parse("test", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	return prog
}

func TestTheZeroOptionsGiveNoInputAndDiscardTheOutput(t *testing.T) {
	if err := pipeline.Run(t.Context(), mustParse(t, "cat | cat; read x && exit 9; echo out; echo err >&2; exit 3"), pipeline.Options{}); pipeline.ExitStatus(err) != 3 {
		t.Error(err)
	}
}

func TestReadersAndWritersThatAreNoFiles(t *testing.T) {
	var out, stderr bytes.Buffer
	err := pipeline.Run(t.Context(), mustParse(t, "read x; echo $x; cat | tr a-z A-Z; echo err >&2; sh -c 'echo more >&2'"), pipeline.Options{
		Stdin: strings.NewReader("one\ntwo\nthree\n"), Stdout: &out, Stderr: &stderr,
	})
	if err != nil || out.String() != "one\nTWO\nTHREE\n" || stderr.String() != "err\nmore\n" {
		t.Errorf("%v %q %q", err, out.String(), stderr.String())
	}
}

func TestOneWriterForBothKeepsTheOrder(t *testing.T) {
	var both bytes.Buffer
	err := pipeline.Run(t.Context(), mustParse(t, "for i in 1 2 3; do echo o; sh -c 'echo e >&2'; echo b >&2; done"), pipeline.Options{Stdout: &both, Stderr: &both})
	if err != nil || both.String() != strings.Repeat("o\ne\nb\n", 3) {
		t.Errorf("%v %q", err, both.String())
	}
}

func TestFilesAreHandedOnAsTheyAre(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = pipeline.Run(t.Context(), mustParse(t, "sh -c 'readlink /proc/$$/fd/1' | cat; sh -c 'readlink /proc/$$/fd/1 /proc/$$/fd/2' 2>&1"), pipeline.Options{Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(text))
	if len(names) != 3 || names[1] != names[2] || names[0] == names[1] {
		t.Errorf("%q", names)
	}
}

// brokenWriter fails every write.
type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestOutputThatCannotBeWrittenIsNoSuccess(t *testing.T) {
	err := pipeline.Run(t.Context(), mustParse(t, "echo x"), pipeline.Options{Stdout: brokenWriter{}})
	if pipeline.ExitStatus(err) != 1 || !errors.Is(err, errBroken) {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), safetyNet)
	defer cancel()
	if err := pipeline.Run(ctx, mustParse(t, "yes; echo $? >&2"), pipeline.Options{Stdout: brokenWriter{}}); ctx.Err() != nil || err == nil {
		t.Error(err)
	}
}

// endless is a reader that never ends, and that blocks after its first read.
type endless struct{ read, stop chan struct{} }

func (e *endless) Read(p []byte) (int, error) {
	select {
	case e.read <- struct{}{}:
		return copy(p, "line\n"), nil
	case <-e.stop:
		return 0, io.EOF
	}
}

func TestAReaderThatBlocksHoldsNothingUp(t *testing.T) {
	e := &endless{read: make(chan struct{}, 1), stop: make(chan struct{})}
	defer close(e.stop)
	var out bytes.Buffer
	err := pipeline.Run(t.Context(), mustParse(t, "head -n 1"), pipeline.Options{Stdin: e, Stdout: &out})
	if err != nil || out.String() != "line\n" {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestNameParametersFolderAndEnvironment(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	err := pipeline.Run(t.Context(), mustParse(t, `echo "$0 $# $1 $2"; pwd; echo "$0 $2" | cat; f() { echo "$0 $1"; }; f x | cat; env | grep ^A=; echo -$B-`), pipeline.Options{
		Stdout: &out, Dir: dir, Name: "name", Params: []string{"-x", "two words"}, Env: []string{"PATH=" + os.Getenv("PATH"), "A=1", "A=2"},
	})
	want := "name 2 -x two words\n" + dir + "\nname two words\nname x\nA=2\n--\n"
	if err != nil || out.String() != want {
		t.Errorf("%v\n%q, want\n%q", err, out.String(), want)
	}
	err = pipeline.Run(t.Context(), mustParse(t, "echo"), pipeline.Options{Dir: dir + "/nosuch"})
	if pipeline.ExitStatus(err) != 2 {
		t.Error(err)
	}
}

func TestAProgramMayRunManyTimesAtOnce(t *testing.T) {
	prog := mustParse(t, `x=$1; echo "$x" | { read y; echo "$y" | cat; } | tr a-z A-Z; echo "${PIPESTATUS[@]}"`)
	done := make(chan string)
	for _, name := range []string{"a", "b", "c", "d"} {
		go func() {
			var out bytes.Buffer
			err := pipeline.Run(t.Context(), prog, pipeline.Options{Stdout: &out, Params: []string{name}})
			if want := strings.ToUpper(name) + "\n0 0 0\n"; err != nil || out.String() != want {
				done <- out.String()
				return
			}
			done <- ""
		}()
	}
	for range 4 {
		if problem := <-done; problem != "" {
			t.Errorf("%q", problem)
		}
	}
}

func TestTheProgramIsNotChanged(t *testing.T) {
	prog := mustParse(t, "! { a | @[::1]:b; } | c; time d | e; if f | g; then echo ${PIPESTATUS[@]}; fi & echo <(x)")
	before := dump(t, prog)
	_ = pipeline.Run(t.Context(), prog, pipeline.Options{Env: []string{"PATH="}})
	if dump(t, prog) != before {
		t.Error("the tree has changed")
	}
}

// dump returns the whole tree of a program as text.
func dump(t *testing.T, prog *parser.Program) string {
	t.Helper()
	var b strings.Builder
	if err := syntax.DebugPrint(&b, prog.File); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
