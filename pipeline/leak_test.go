//go:build linux

package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"rpipe/parser"
	"rpipe/pipeline"
)

// holdings are what a process holds.
type holdings struct{ goroutines, files, children int }

func held(t *testing.T) holdings {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	h := holdings{goroutines: runtime.NumGoroutine(), files: len(files)}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil {
			h.children += len(strings.Fields(string(text)))
		}
	}
	return h
}

// settled waits until not more is held than before, and returns what is.
func settled(t *testing.T, before holdings) holdings {
	t.Helper()
	now := held(t)
	for range 1000 {
		if now.goroutines <= before.goroutines && now.files <= before.files && now.children <= before.children {
			break
		}
		time.Sleep(5 * time.Millisecond)
		now = held(t)
	}
	return now
}

func TestNothingIsLeftAfterManyRuns(t *testing.T) {
	h := newHosts(t, "a", "b")
	scripts := []string{
		"echo a | cat | cat",
		"yes | head -1; while :; do echo y; done | head -1",
		"printf 'b\\na\\n' | @a:sort | cat | @b:uniq -c",
		"yes | @a:head -1; @a:yes | head -1; @a:yes | @b:head -1",
		"echo x | @a:nosuch-zz | @b:cat",
		"echo x | @closed:cat | @b:cat",
		"@a:cat <<< x; f() { @b:cat; }; f <<< y; z=$(@a:echo z | cat)",
		"cat <(echo a) <(@a:echo b); true <(echo never); echo <(echo never)",
		"f=<(echo never); echo x | tee >(cat >&2)",
		"sleep 0.01 & sleep 0.01 | cat & echo end",
		"{ sleep 0.01 & echo x; } | cat",
		"x=$(seq 1000 | tail -1); ! false | true; exit 3 | cat",
		"(( a[5]=1 )) | cat",
		"cat <<EOF | @a:cat >/dev/null\n$(seq 100)\nEOF\ncat < nosuch | cat",
		"mkfifo p; { echo x > p; } | cat p; rm p",
	}
	run := func(script string) {
		prog, err := parser.Parse("test", []byte(script))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), safetyNet)
		defer cancel()
		dir := t.TempDir()
		var out, stderr strings.Builder
		_ = pipeline.Run(ctx, prog, pipeline.Options{
			Stdin: strings.NewReader("input\n"), Stdout: &out, Stderr: &stderr,
			Dir: dir, Env: environ(dir), Dialer: h.dialer, Grace: 100 * time.Millisecond,
		})
		if ctx.Err() != nil {
			t.Fatalf("it hung: %s", script)
		}
		if left, _ := filepath.Glob(dir + "/sh-interp-*"); len(left) > 0 {
			t.Errorf("%s left %v", script, left)
		}
	}
	for _, s := range scripts {
		run(s) // what is made once, such as idle connections
	}
	before := held(t)
	for i := range 100 {
		run(scripts[i%len(scripts)])
	}
	if after := settled(t, before); after.goroutines > before.goroutines || after.files > before.files || after.children > before.children {
		buf := make([]byte, 1<<20)
		t.Errorf("held before: %+v, after: %+v\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
}

func TestNothingIsLeftAfterCancelledRuns(t *testing.T) {
	h := newHosts(t, "a", "b")
	run := func() {
		for _, script := range []string{
			"> ready; sleep 1000 | cat | sleep 1000",
			"> ready; @a:sleep 1000 | @b:cat | cat",
			"> ready; while :; do :; done | { read x; }",
			"> ready; f() { sleep 1000 | cat; }; x=$(f)",
		} {
			dir := t.TempDir()
			_, err := runAndCancel(t, dir, script, nil, []string{"ready"}, h.use)
			if pipeline.ExitStatus(err) != 143 {
				t.Errorf("%s: status %d", script, pipeline.ExitStatus(err))
			}
		}
	}
	run()
	before := held(t)
	for range 10 {
		run()
	}
	if after := settled(t, before); after.goroutines > before.goroutines || after.files > before.files || after.children > before.children {
		buf := make([]byte, 1<<20)
		t.Errorf("held before: %+v, after: %+v\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
}

func TestALongLoopOfPipelinesHoldsNothing(t *testing.T) {
	before := held(t)
	most := before
	prog, err := parser.Parse("test", []byte("for i in {1..300}; do echo $i | { read x; :; }; done"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = pipeline.Run(t.Context(), prog, pipeline.Options{StageDone: func(pipeline.StageReport) {
		if n++; n%100 == 0 {
			now := held(t)
			most.files = max(most.files, now.files)
			most.goroutines = max(most.goroutines, now.goroutines)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if n != 600 {
		t.Errorf("%s reports", strconv.Itoa(n))
	}
	if most.files > before.files+10 || most.goroutines > before.goroutines+20 {
		t.Errorf("held before: %+v, at most: %+v", before, most)
	}
}
