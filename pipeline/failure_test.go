package pipeline_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"

	"rpipe/pipeline"
	"rpipe/remote"
	"rpipe/remote/identity"
)

func TestARefusedStageKeepsAllOthersFromRunning(t *testing.T) {
	h := newHosts(t, "a", "b")
	for _, c := range []struct {
		name, script, statuses string
		status                 int
		stderr                 []string
	}{
		{
			"unknown program", `touch ran | @a:nosuch-zz | @b:sh -c 'touch ran' | { touch ran; }`,
			"127 127 127 127", 127,
			[]string{"rpipe: stage 2 @a:nosuch-zz: no program "},
		}, {
			"closed port", `touch ran | @closed:cat | @b:cat`,
			"69 69 69", 69,
			[]string{"rpipe: stage 2 @closed:cat: cannot reach 127.0.0.1:1: connection refused", "rpipe: hint: "},
		}, {
			"two refusals are told together, the rightmost counts", `touch ran | @closed:cat | @a:nosuch-zz | cat`,
			"127 69 127 127", 127,
			[]string{"stage 2 @closed:cat: ", "stage 3 @a:nosuch-zz: "},
		}, {
			"a bad address that is known when expanded", `h='a b'; touch ran | "@$h:cat" | cat`,
			"2 2 2", 2,
			[]string{`rpipe: stage 2: bad address "@a b:cat"`, " (column 22)\n"},
		}, {
			"arguments of a service that is known when expanded", `h=a; touch ran | @$h x | cat`,
			"2 2 2", 2,
			[]string{"rpipe: stage 2 @a: bad address \"@a\": this is a service, which takes no arguments"},
		}, {
			"with a substitution in its words", `touch ran | @a:nosuch-zz "$(echo q)" "$(echo r; sh -c 'sleep .1')"`,
			"127 127", 127,
			[]string{"stage 2 @a:nosuch-zz: no program ", "(column 13)"},
		}, {
			"beside a command that turned out to be local", `c=touch; $c ran | @a:nosuch-zz`,
			"127 127", 127,
			[]string{"stage 2 @a:nosuch-zz: no program "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, here := inDir(t)
			got, stderr, _ := runHere(t, c.script+"\necho \"$? ${PIPESTATUS[@]}\"", h.use, here)
			if want := strings.Fields(c.statuses); got.stdout != want[len(want)-1]+" "+c.statuses+"\n" && got.stdout != strings.Fields(got.stdout)[0]+" "+c.statuses+"\n" {
				t.Errorf("statuses are %q, want %q", got.stdout, c.statuses)
			}
			if exists(dir, "ran") {
				t.Error("a stage ran")
			}
			at := 0
			for _, text := range c.stderr {
				i := strings.Index(stderr[at:], text)
				if i < 0 {
					t.Fatalf("stderr lacks %q:\n%s", text, stderr)
				}
				at += i
			}
			_, _, err := runHere(t, c.script, h.use, here)
			if pipeline.ExitStatus(err) != c.status {
				t.Errorf("status %d, want %d", pipeline.ExitStatus(err), c.status)
			}
		})
	}
}

func TestWithoutADialerRemoteStagesAreRefused(t *testing.T) {
	got, stderr, _ := runHere(t, "echo x | @a:cat")
	if got.status != 69 || !strings.Contains(stderr, "rpipe: stage 2 @a:cat: cannot reach the host") {
		t.Errorf("%d, %s", got.status, stderr)
	}
}

func TestErrorsAreReachableWithErrorsAs(t *testing.T) {
	h := newHosts(t, "a")
	_, _, err := runHere(t, "cat </dev/null |\n  @a:nosuch-zz | @closed:cat", h.use)
	var (
		exit    *pipeline.ExitError
		stage   *pipeline.StageError
		all     *multierror.Error
		refused *remote.RefusedError
		dial    *remote.DialError
	)
	if !errors.As(err, &exit) || !errors.As(err, &stage) || !errors.As(err, &all) || !errors.As(err, &refused) || !errors.As(err, &dial) {
		t.Fatalf("%#v", err)
	}
	if len(all.Errors) != 2 {
		t.Errorf("%d errors", len(all.Errors))
	}
	want := pipeline.StageError{Pipeline: 1, Stage: 2, Host: "a", Program: "nosuch-zz", Line: 2, Column: 3, Status: 127, Err: stage.Err}
	if *stage != want {
		t.Errorf("%+v, want %+v", *stage, want)
	}
	_, _, err = runHere(t, "@a:sh -c 'exit 7'", h.use)
	var ended *remote.ExitError
	if !errors.As(err, &ended) || pipeline.ExitStatus(err) != 7 {
		t.Errorf("%#v", err)
	}
	_, _, err = runHere(t, "@a:false | false", h.use)
	if errors.As(err, &stage) && stage.Host != "" || pipeline.ExitStatus(err) != 1 {
		if exit := err.(*pipeline.ExitError); exit.Err != nil {
			t.Errorf("a local command decided, but Err is %v", exit.Err)
		}
	}
	if _, _, err := runHere(t, "@a:true; true | true", h.use); err != nil {
		t.Errorf("success is %#v, want nil", err)
	}
}

func TestAnUnknownHostKeyIs77(t *testing.T) {
	h := newHosts(t, "a")
	known, err := identity.NewKnownHosts(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.dialer.Hosts = known
	dir, here := inDir(t)
	got, stderr, _ := runHere(t, "touch ran | @a:cat", h.use, here)
	if got.status != 77 || exists(dir, "ran") || !strings.Contains(stderr, "stage 2 @a:cat: ") || !strings.Contains(stderr, "hint") {
		t.Errorf("%d, %s", got.status, stderr)
	}
}

func TestAnUnauthorisedCallerIs77(t *testing.T) {
	h := newHosts(t, "a")
	h.dialer.Key = generate(t)
	dir, here := inDir(t)
	got, stderr, _ := runHere(t, "touch ran | @a:cat", h.use, here)
	if got.status != 77 || exists(dir, "ran") {
		t.Errorf("%d, %s", got.status, stderr)
	}
}

func TestARefusalOutsideOfOurPipelinesIsAFailedCommand(t *testing.T) {
	h := newHosts(t, "a")
	got, stderr, _ := runHere(t, `f() { @a:nosuch-zz | cat; }; f; echo $?; x=$(@a:nosuch-zz); echo $?; @a:nosuch-zz || echo alt $?`, h.use)
	if got.stdout != "127\n127\nalt 127\n" {
		t.Errorf("%q", got.stdout)
	}
	if strings.Count(stderr, "@a:nosuch-zz: no program") != 3 || !strings.Contains(stderr, "stage 1 @a") {
		t.Error(stderr)
	}
}

func TestARemoteDeathBySignalIsTold(t *testing.T) {
	h := newHosts(t, "a")
	got, stderr, _ := runHere(t, `@a:sh -c 'kill -KILL $$' | cat; echo "$? ${PIPESTATUS[@]}"`, h.use)
	if got.stdout != "137 137 0\n" || !strings.Contains(stderr, "rpipe: stage 1 @a:sh: killed by signal: SIGKILL") {
		t.Errorf("%q, %s", got.stdout, stderr)
	}
	got, stderr, _ = runHere(t, `@a:sh -c 'exit 3'; @a:yes | head -1; echo $?`, h.use)
	if got.stdout != "y\n0\n" || stderr != "" {
		t.Errorf("%q, %s", got.stdout, stderr)
	}
}

func TestTheDiagnoseHookTakesTheMessages(t *testing.T) {
	h := newHosts(t, "a")
	var told []string
	_, stderr, _ := runHere(t, "@a:no1 | @a:no2; @a:no3; eval '@a:no4'", h.use, func(o *pipeline.Options) {
		o.Diagnose = func(e *pipeline.StageError) { told = append(told, strings.SplitN(e.Error(), ": ", 2)[0]) }
	})
	if got := strings.Join(told, ", "); stderr != "" || got != "stage 1 @a:no1, stage 2 @a:no2, stage 1 @a:no3, line 1 @a:no4" {
		t.Errorf("%s; %s", got, stderr)
	}
}

func TestReportsTellHowStagesEnded(t *testing.T) {
	h := newHosts(t, "a", "b")
	var got []pipeline.StageReport
	script := "echo x | @a:cat | { cat >/dev/null; false; }\n@b:sh -c 'exit 3'\nf() { @a:true; }; f\necho y | @a:nosuch-zz\neval '@a:true'"
	runHere(t, script, h.use, func(o *pipeline.Options) {
		o.StageDone = func(r pipeline.StageReport) { got = append(got, r) }
	})
	type brief struct {
		pipeline, stage, line int
		host                  string
		status                int
		ran, failed, result   bool
	}
	want := map[brief]int{
		{1, 1, 1, "", 0, true, false, false}:    1,
		{1, 2, 1, "a", 0, true, false, true}:    1,
		{1, 3, 1, "", 1, true, false, false}:    1,
		{4, 1, 2, "b", 3, true, true, true}:     1,
		{5, 1, 3, "a", 0, true, false, true}:    1,
		{7, 1, 4, "", 127, false, false, false}: 1,
		{7, 2, 4, "a", 127, false, true, false}: 1,
		{0, 0, 1, "a", 0, true, false, true}:    1,
	}
	for _, r := range got {
		b := brief{r.Pipeline, r.Stage, r.Line, r.Host, r.Status, r.Ran, r.Err != nil, r.Result != nil}
		if want[b]--; want[b] < 0 {
			t.Errorf("unexpected report %+v", r)
		}
	}
	for b, n := range want {
		if n > 0 {
			t.Errorf("no report %+v", b)
		}
	}
}

func TestMessagesHoldNoControlCharacters(t *testing.T) {
	e := &pipeline.StageError{Stage: 1, Host: "a", Program: "x", Err: errors.New("evil \x1b[2J\u009b\r\n\x00\u202e\xff end")}
	if got, want := e.Error(), `stage 1 @a:x: evil \x1b[2J\u009b\r\n\x00\u202e\xff end`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	_, stderr, _ := runHere(t, "$'no\\x1b[2Jsuch' | cat")
	if strings.Contains(stderr, "\x1b") || !strings.Contains(stderr, `line 1: no\x1b[2Jsuch: command not found`) {
		t.Errorf("%q", stderr)
	}
}

func TestAnIPv6LiteralIsNoPattern(t *testing.T) {
	h := newHosts(t, "2001:db8::1")
	dir, here := inDir(t)
	for _, name := range []string{"@2:tr", "@1:tr", "@b:tr"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := `shopt -s nullglob
echo a | @[2001:db8::1]:tr a b | cat; f() { @[2001:db8:0::1]:tr a c; }; echo a | f; ip=2001:db8::1; echo a | @[$ip]:tr a d; @[2001:db8::1]:echo e`
	got, stderr, _ := runHere(t, script, h.use, here)
	if got.stdout != "b\nc\nd\ne\n" {
		t.Errorf("%q, %s", got.stdout, stderr)
	}
}

func TestAPanicOfTheInterpreterIsABug(t *testing.T) {
	for _, script := range []string{"echo a\ndeclare -n r=''; r+=(x)\necho not reached", "echo a\n{ declare -n r=''; r+=(x); } | cat"} {
		got, stderr, err := runHere(t, script)
		if got.status != 2 || got.stdout != "a\n" || !strings.Contains(stderr, "bug in the shell interpreter") {
			t.Errorf("%d %q %s", got.status, got.stdout, stderr)
		}
		var stage *pipeline.StageError
		if !errors.As(err, &stage) || stage.Line == 0 {
			t.Errorf("%#v", err)
		}
	}
}

func TestTracingShowsNothingOfOurs(t *testing.T) {
	_, stderr, _ := runHere(t, `set -x; echo a | cat; false | true || echo "${PIPESTATUS[@]}"`)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if len(lines) != 5 || strings.Contains(stderr, "PIPE") || strings.Contains(stderr, "x00") {
		t.Error(stderr)
	}
}

func TestASubstitutionThatReadsAStageBeforeItDoesNotHang(t *testing.T) {
	h := newHosts(t, "a")
	got, stderr, _ := runHere(t, `echo word | @a:echo "$(cat)"`, h.use)
	if got.stdout != "word\n" || got.status != 0 {
		t.Errorf("%+v %s", got, stderr)
	}
}
