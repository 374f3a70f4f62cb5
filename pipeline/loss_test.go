package pipeline_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"rpipe/pipeline"
	"rpipe/remote"
)

// part is a remote stage that says something and then never ends.
const part = `@a:sh -c 'echo part; echo ready >&2; exec sleep 1000'`

// runAndCut runs a script in dir and cuts the wire to a as soon as something is
// written to stderr.
func runAndCut(t *testing.T, script string, change ...func(*pipeline.Options)) (outcome, string, error) {
	t.Helper()
	h := newHosts(t, "a", "b")
	stderr := &trigger{do: h.wires["a"].cut}
	change = append(change, h.use, func(o *pipeline.Options) { o.Stderr = stderr })
	got, _, err := runHere(t, script, change...)
	return got, stderr.String(), err
}

func TestStagesAfterALostOneSeeNoEndOfInput(t *testing.T) {
	for name, rest := range map[string]string{
		"a program":                      `| sh -c 'cat >/dev/null; touch end'`,
		"a program and what it started":  `| sh -c '(cat >/dev/null; touch end); :'`,
		"programs in a row":              `| cat | cat | sh -c 'cat >/dev/null; touch end'`,
		"a loop":                         `| { while read x; do :; done; touch end; }`,
		"a builtin":                      `| { mapfile x; touch end; }`,
		"a condition":                    `| if ! { read x && read x; }; then touch end; fi`,
		"a substitution":                 `| { x=$(cat); touch end; }`,
		"a substitution in words":        `| touch "end$(cat | tr -d 'a-z\n')"`,
		"a group with a pipeline":        `| { cat | cat; touch end; }`,
		"a pipeline in a group":          `| { cat | sh -c 'cat >/dev/null; touch end'; }`,
		"a builtin in a pipeline inside": `| { cat | { while read x; do :; done; touch end; }; }`,
		"a function":                     `| f`,
		"a subshell":                     `| (cat >/dev/null; touch end)`,
		"a background command":           `| { { cat; touch end; } & wait; }`,
		"a remote program":               `| @b:sh -c 'cat >/dev/null; touch DIR/end-there'`,
		"remote and local ones":          `| cat | @b:sh -c 'cat && touch DIR/end-there' | sh -c 'cat >/dev/null; touch end'`,
		"a remote one in a group":        `| { cat | @b:sh -c 'cat && touch DIR/end-there'; touch end; }`,
		"a redirection of the output":    `| tee >(sh -c 'cat >/dev/null; touch end') >/dev/null`,
	} {
		for _, terminal := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir, here := inDir(t)
				script := "f() { cat | sh -c 'cat >/dev/null; touch end'; }\n" + part + strings.ReplaceAll(rest, "DIR", dir)
				got, stderr, err := runAndCut(t, script, here, func(o *pipeline.Options) { o.Terminal = terminal })
				for _, end := range []string{"end", "end-there"} {
					if exists(dir, end) {
						t.Errorf("a stage saw an end of input: %s", end)
					}
				}
				if got.status != 76 {
					t.Errorf("status %d", got.status)
				}
				var lost *remote.LostError
				if !errors.As(err, &lost) {
					t.Errorf("%#v", err)
				}
				if !strings.Contains(stderr, "rpipe: stage 1 @a:sh: lost: ") || !strings.Contains(stderr, "rpipe: hint: ") {
					t.Error(stderr)
				}
			})
		}
	}
}

func TestALossIsSeenInTheStatuses(t *testing.T) {
	got, stderr, _ := runAndCut(t, "true | "+part+` | cat | sort; echo "$? ${PIPESTATUS[@]}"; set +o pipefail; true | false`)
	before := strings.Fields(got.stdout + " - -")[1] // it has ended, or nobody reads it any more
	if before != "0" && before != "141" || got.stdout != "76 "+before+" 76 137 137\n" || got.status != 1 {
		t.Errorf("%d %q", got.status, got.stdout)
	}
	if strings.Count(stderr, "rpipe: stage") != 1 {
		t.Error(stderr)
	}
	got, _, _ = runAndCut(t, "set +o pipefail; "+part+` | cat >/dev/null`)
	if got.status != 76 {
		t.Errorf("without pipefail: %d", got.status)
	}
}

func TestALossStopsTheStagesBeforeIt(t *testing.T) {
	got, _, _ := runAndCut(t, `yes | @a:sh -c 'head -1; echo ready >&2; exec sleep 1000' | cat >/dev/null; echo "${PIPESTATUS[@]}"`)
	if got.stdout != "141 76 137\n" {
		t.Errorf("%q", got.stdout)
	}
}

func TestALossInAGroupPoisonsWhatReadsTheGroup(t *testing.T) {
	for _, group := range []string{"{ " + part + "; }", "{ " + part + " | cat; }", "f", "g", "k", "( " + part + " )"} {
		dir, here := inDir(t)
		got, _, _ := runAndCut(t, "f() { "+part+"; }\ng() { "+part+" | { cat; :; }; }\nk() { "+part+" || exit $?; }\n"+group+" | sh -c 'cat >/dev/null; touch end'", here)
		if got.status != 76 || exists(dir, "end") {
			t.Errorf("%s: status %d, end seen: %v", group, got.status, exists(dir, "end"))
		}
	}
}

func TestAFailureIsNoLoss(t *testing.T) {
	h := newHosts(t, "a")
	dir, here := inDir(t)
	got, _, _ := runHere(t, `@a:sh -c 'echo part; exit 76' | sh -c 'cat; touch end'; echo "${PIPESTATUS[@]}"`, h.use, here)
	if got.stdout != "part\n76 0\n" || !exists(dir, "end") {
		t.Errorf("%q", got.stdout)
	}
}

func TestAnInputThatCannotBeReadPoisons(t *testing.T) {
	h := newHosts(t, "a")
	dir, here := inDir(t)
	got, stderr, _ := runHere(t, `@a:cat < . | sh -c 'cat; touch end'; echo "${PIPESTATUS[@]}"`, h.use, here)
	if got.stdout != "1 137\n" || exists(dir, "end") || !strings.Contains(stderr, "stage 1 @a:cat: cannot read its input: ") {
		t.Errorf("%q %s", got.stdout, stderr)
	}
}

func TestReadersInTheInterpretersPipesSeeNoEndOfInput(t *testing.T) {
	for name, rest := range map[string]string{
		"a program":                  `| sh -c 'cat >/dev/null; touch end'`,
		"programs in a row":          `| cat | cat | sh -c 'cat >/dev/null; touch end'`,
		"a loop":                     `| { while read x; do :; done; touch end; }`,
		"a group":                    `| { cat; touch end; }`,
		"a program behind a loop":    `| while read x; do echo $x; done | sh -c 'cat >/dev/null; touch end'`,
		"a remote program":           `| @b:sh -c 'cat >/dev/null; touch DIR/end-there'`,
		"what is started afterwards": `| { cat; sh -c 'cat >/dev/null; touch end'; }`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range []string{"f() { %; }; f", "x=$(%)", "(%)", "{ %; } & wait $!", "cat <(%) >/dev/null; wait $!"} {
				dir, here := inDir(t)
				script := strings.Replace(form, "%", part+strings.ReplaceAll(rest, "DIR", dir), 1)
				got, _, _ := runAndCut(t, script, here)
				for _, end := range []string{"end", "end-there"} {
					if exists(dir, end) {
						t.Errorf("%s: a stage saw an end of input: %s", form, end)
					}
				}
				if got.status != 76 && !strings.Contains(form, "<(") {
					t.Errorf("%s: status %d", form, got.status)
				}
			}
		})
	}
}

func TestALossOutsideOfOurPipelinesIs76(t *testing.T) {
	for _, script := range []string{
		part + " >/dev/null",
		"f() { " + part + " >/dev/null; }; f",
		"f() { " + part + " | cat >/dev/null; }; f",
		"x=$(" + part + ")",
		"(" + part + " >/dev/null)",
	} {
		if got, _, _ := runAndCut(t, script); got.status != 76 {
			t.Errorf("%s: %d", script, got.status)
		}
	}
}

func TestManyLossesLeaveNothingBehind(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	for range 20 {
		dir, here := inDir(t)
		runAndCut(t, part+" | sort | { while read x; do :; done; touch end; }", here)
		if exists(dir, "end") {
			t.Fatal("a stage saw an end of input")
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Fatal(entries, err)
		}
	}
}

func TestSilentStagesBeforeALostOneAreNotWaitedFor(t *testing.T) {
	for _, script := range []string{
		`sleep 1000 | PART`,
		`(sleep 1000) | PART`,
		`while read x; do :; done < <(sleep 1000) | PART`,
		`@b:sleep 1000 | PART`,
		`@a:sleep 1000 | cat | PART`,
		`sleep 1000 | @b:sh -c 'sleep 1000' | PART | cat`,
		`{ sleep 1000 | @b:cat; } | PART`,
	} {
		t.Run(script, func(t *testing.T) {
			_, here := inDir(t)
			script = strings.ReplaceAll(script, "PART", `@a:sh -c 'echo >&2; sleep 1000'`)
			got, stderr, _ := runAndCut(t, script, here)
			if got.status != 76 {
				t.Errorf("status %d: %s", got.status, stderr)
			}
		})
	}
}

func TestABlockedReaderDoesNotHoldUpALoss(t *testing.T) {
	for _, script := range []string{
		`@a:sh -c 'yes & echo >&2; wait' | sleep 1000`,
		`@a:sh -c 'yes & echo >&2; wait' | { sleep 1000; touch end; }`,
		`@a:sh -c 'yes & echo >&2; wait' | @a:cat | sleep 1000`,
	} {
		dir, here := inDir(t)
		got, stderr, _ := runAndCut(t, script, here)
		if got.status != 76 || exists(dir, "end") {
			t.Errorf("%s: status %d: %s", script, got.status, stderr)
		}
	}
	t.Run("outside of the script", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		got, stderr, _ := runAndCut(t, `@a:sh -c 'yes & echo >&2; wait'`, func(o *pipeline.Options) {
			o.Stdout, o.Grace = w, 10*time.Millisecond
		})
		if got.status != 76 {
			t.Errorf("status %d: %s", got.status, stderr)
		}
	})
}

func TestStagesBeforeALostOneEndAlsoIfTheyAreAChain(t *testing.T) {
	for _, script := range []string{
		`@b:sleep 1000 | @b:cat | cat | PART`,
		`@b:sleep 1000 | @a:cat | { PART; }`,
		`@b:sleep 1000 | @b:cat | while read x; do :; done | PART`,
	} {
		t.Run(script, func(t *testing.T) {
			got, stderr, _ := runAndCut(t, strings.ReplaceAll(script, "PART", `@a:sh -c 'echo >&2; sleep 1000'`))
			if got.status != 76 {
				t.Errorf("status %d: %s", got.status, stderr)
			}
		})
	}
}

func TestTheReaderOfAFIFOSeesNoEndOfALostPipeline(t *testing.T) {
	for _, script := range []string{
		part + ` | cat >f`,
		part + ` | @b:cat >f`,
		part + ` | @b:cat | cat >f`,
	} {
		dir, here := inDir(t)
		script = `mkfifo f; sh -c 'cat >/dev/null; touch end' <f & ` + script + `; wait`
		got, stderr, _ := runAndCut(t, script, here)
		if got.status != 76 || exists(dir, "end") {
			t.Errorf("%s: status %d: %s", script, got.status, stderr)
		}
	}
}

func TestAHostThatIsMissedInAStageIsAsBadAsALostOne(t *testing.T) {
	h := newHosts(t, "a")
	for _, script := range []string{
		`wc -c < <(@closed:cat | @closed:cat)`,
		`for h in a closed a; do @$h:echo hi; done | LOAD`,
		`(@a:echo 1; @closed:echo 2; @a:echo 3) | LOAD`,
		`@a:seq 5 | { @closed:cat; } | LOAD`,
		`f() { @closed:cat; }; @a:seq 5 | f | @a:cat | LOAD`,
	} {
		dir, here := inDir(t)
		got, stderr, _ := runHere(t, strings.ReplaceAll(script, "LOAD", `sh -c 'cat >/dev/null && touch end'`), h.use, here)
		if got.status != 69 || exists(dir, "end") {
			t.Errorf("%s: status %d: %s", script, got.status, stderr)
		}
	}
	got, stderr, _ := runHere(t, `{ @closed:echo x || @a:echo y; } | cat`, h.use)
	if got.status != 0 || got.stdout != "y\n" {
		t.Errorf("a failure that was looked at: status %d, %q: %s", got.status, got.stdout, stderr)
	}
}
