package pipeline_test

import (
	"errors"
	"strings"
	"testing"

	"rpipe/remote"
)

const end = `sh -c 'cat >/dev/null; touch end'`

func TestALossInsideAStageIsALossOfTheStage(t *testing.T) {
	for name, script := range map[string]string{
		"followed by a success":       "{ " + part + "; touch on; echo after; } | " + end,
		"in a subshell":               "(" + part + "; touch on; true) | " + end,
		"in a function":               "f() { " + part + "; touch on; true; }; f | " + end,
		"before a remote stage":       "f() { " + part + "; touch on; true; }; f | @b:sh -c 'cat && touch DIR/end'",
		"in a loop":                   "for i in 1 2; do " + part + "; touch on; true; done | " + end,
		"in a nested pipeline":        "{ " + part + " | sort; touch on; echo more; } | " + end,
		"twice nested":                "{ { " + part + " | cat; true; } | sort; touch on; } | " + end,
		"handled":                     "{ " + part + " || true; touch on; } | " + end,
		"handled with a pipeline":     "{ " + part + " | cat || true; touch on; } | " + end,
		"in a variable":               "{ x=$(" + part + "); touch on; echo $x; } | " + end,
		"in a pipeline in a variable": "{ x=$(" + part + " | cat); touch on; echo $x; } | " + end,
		"behind a pipe in a variable": "{ x=$(true | " + part + "); touch on; echo $x; } | " + end,
		"in nested substitutions":     "{ x=$(y=$(" + part + " | cat); echo $y | cat); touch on; echo $x; } | " + end,
		"in a function in a variable": "f() { " + part + " | cat; }; { x=$(f); touch on; echo $x; } | " + end,
		"in a pipeline in words":      `echo "$(` + part + ` | sort | cat)" | ` + end,
		"in a pipeline in a FIFO":     "cat <(" + part + " | sort) | " + end,
		"in a pipeline in a subshell": "(" + part + " | sort; touch on; true) | " + end,
		"in a subshell with a trap":   "(trap : EXIT; " + part + "; touch on; true) | " + end,
		"in a pipeline in eval":       "{ eval '" + strings.ReplaceAll(part, "'", `"`) + " | cat'; touch on; true; } | " + end,
		"in a function of eval":       "eval 'f() { " + strings.ReplaceAll(part, "'", `"`) + " | cat; true; }'; { f; touch on; true; } | " + end,
		"in a function of a function": "f() { g | cat; true; }; g() { " + part + " | cat; true; }; { f; touch on; true; } | " + end,
		"in words":                    `{ echo "$(` + part + `)"; touch on; } | ` + end,
		"in the words of a stage":     `echo "$(` + part + `)" | ` + end,
		"in a here-document":          "{ cat <<E\n$(" + part + ")\nE\ntouch on; } | " + end,
		"in the interpreter's pipe":   "f() { " + part + " | cat; touch on; true; }; f | " + end,
		"a loop behind its pipe":      "f() { " + part + " | while read x; do echo $x; done; touch on; true; }; f | " + end,
		"in the background":           "{ " + part + " & wait; touch on; } | " + end,
		"in the middle":               "true | { " + part + "; touch on; true; } | " + end,
		"through a FIFO":              "cat <(" + part + ") | " + end,
		"through a FIFO to a shell":   "{ mapfile -t a < <(" + part + "); touch on; true; } | " + end,
	} {
		t.Run(name, func(t *testing.T) {
			dir, here := inDir(t)
			got, stderr, err := runAndCut(t, strings.ReplaceAll(script, "DIR", dir), here)
			var lost *remote.LostError
			if got.status != 76 || !errors.As(err, &lost) {
				t.Errorf("status %d, %#v\n%s", got.status, err, stderr)
			}
			if exists(dir, "end") {
				t.Error("a stage saw an end of input")
			}
			if exists(dir, "on") {
				t.Error("the shell of the stage went on")
			}
			if strings.Count(stderr, "lost: ") != 1 {
				t.Error(stderr)
			}
		})
	}
}

func TestALossThatWentNowhereMayBeHandledInAStage(t *testing.T) {
	for _, script := range []string{
		"{ " + part + " >/dev/null || echo other; } | cat",
		"{ x=$(" + part + ") || x=other; echo $x; } | cat",
		"true | { " + part + " >/dev/null || echo other; }",
		"{ if ! " + part + " >/dev/null; then echo other; fi; } | cat",
	} {
		got, stderr, _ := runAndCut(t, script)
		if got.status != 0 || got.stdout != "other\n" {
			t.Errorf("%s: %+v\n%s", script, got, stderr)
		}
	}
}

func TestALossInASubstitutionKillsItsReader(t *testing.T) {
	for _, script := range []string{
		"sort <(" + part + ") && echo SUCCESS",
		"sort <(" + part + ") | cat && echo SUCCESS",
		"sort /dev/null <(" + part + ")",
		"sort < <(" + part + ") && echo SUCCESS",
		"cat <(" + part + ") | sort | " + end,
	} {
		dir, here := inDir(t)
		got, stderr, _ := runAndCut(t, script, here)
		if got.status != 76 || got.stdout != "" || exists(dir, "end") {
			t.Errorf("%s: %+v\n%s", script, got, stderr)
		}
	}
}

func TestALossThatNobodyLookedAtIsNoSuccess(t *testing.T) {
	for _, script := range []string{
		`echo "$(LOST)"`,
		`echo "$(LOST | cat)"`,
		"x=$(LOST | cat); true",
		"x=$(LOST | cat; true)",
		"x=$(true | LOST); true",
		"x=$(f() { LOST | cat; }; f); echo $x",
		"f() { LOST | cat; }; f; echo after",
		"f() { LOST | cat; true; }; f || true",
		"f() { x=$(LOST | cat); echo after; }; f || true",
		"(LOST | cat; true)",
		"(LOST | cat; true) || true",
		"cat <(LOST | cat) | sort; echo after",
		"mapfile -t a < <(LOST | cat)",
		"LOST | cat & wait",
		". <(LOST)",
		"source <(LOST | cat) || true",
		"{ LOST | cat; echo after; } & wait",
		"f() { LOST | cat & wait; }; f",
		"eval \"LOST | cat\"; echo after",
		"eval \"f() { LOST | cat; }\"; f; echo after",
		"trap \"LOST | cat; true\" EXIT; true",
		"x=$(LOST; true)",
		"x=$(LOST) y=2 :",
		"export x=$(LOST)",
		"cat <<E\n$(LOST)\nE",
		"LOST & wait",
		"LOST & wait $! || :",
		"LOST; echo after",
		"LOST | cat; echo after",
		"{ LOST || true; } | cat; echo after",
		"mapfile -t a < <(LOST)",
		"mapfile -t a < <(LOST) && echo next",
		"while read x; do :; done < <(LOST)",
		"for i in 1 2; do LOST; break; done || true",
		"if [ -n \"$(LOST)\" ]; then :; fi",
		"if { LOST; true; }; then :; fi",
		"! LOST",
		"! LOST && echo SUCCESS",
		"! LOST | cat && echo SUCCESS",
		"f() { LOST; true; }; f || true",
		"f() { LOST; }; f || true; false && f; true",
		"eval \"LOST\"; echo after",
		"exit $(LOST | wc -l | tr 1 0)",
		"LOST; exit 0",
	} {
		got, stderr, err := runAndCut(t, strings.ReplaceAll(script, "LOST", part))
		var lost *remote.LostError
		if got.status != 76 || !errors.As(err, &lost) {
			t.Errorf("%s: %+v %#v\n%s", script, got, err, stderr)
		}
	}
}

func TestALossThatIsLookedAtMayBecomeSuccess(t *testing.T) {
	for _, script := range []string{
		"LOST || echo alt",
		"LOST | cat || echo alt",
		"{ LOST; } || echo alt",
		"(LOST) || echo alt",
		"x=$(LOST) || echo alt",
		"sort <(LOST) || echo alt",
		"{ LOST; echo after; } | sort || echo alt",
		"if LOST; then :; else echo alt; fi",
		"if ! LOST; then echo alt; fi",
		"while LOST; do :; done; echo alt",
		"until ! LOST; do :; done; echo alt",
		"true && LOST || echo alt",
		"f() { LOST; }; f || echo alt",
		"f() { LOST | cat; }; f || echo alt",
		"x=$(LOST | cat) || echo alt",
		"x=$(true | LOST) || echo alt",
		"f() { LOST | cat || echo alt; }; f",
		"(LOST | cat) || echo alt",
		"f() { (LOST | cat); }; if ! f; then echo alt; fi",
		"f() { LOST | cat || echo alt; }; x=$(f); echo $x",
		"sort <(LOST | cat) || echo alt",
	} {
		got, stderr, _ := runAndCut(t, strings.ReplaceAll(script, "LOST", part))
		if got.status != 0 || !strings.HasSuffix(got.stdout, "alt\n") {
			t.Errorf("%s: %+v\n%s", script, got, stderr)
		}
	}
}

func TestARefusedHostIsNoSuccessBehindANegation(t *testing.T) {
	h := newHosts(t, "a")
	for script, want := range map[string]int{
		"! @closed:cat":                               69,
		"! @closed:cat && echo SUCCESS":               69,
		"! true | @closed:cat":                        69,
		"! { @closed:cat; }":                          69,
		"if ! @closed:cat; then echo alt; fi":         0,
		"! @a:false":                                  0,
		"@closed:cat; true":                           0,
		"! @closed:cat; false":                        1,
		"if ! @closed:cat && true; then echo alt; fi": 0,
	} {
		if got, stderr, _ := runHere(t, script, h.use); got.status != want {
			t.Errorf("%s: %+v, want %d\n%s", script, got, want, stderr)
		}
	}
}

func TestASubstitutionMayReadTheInputOfItsStage(t *testing.T) {
	h := newHosts(t, "a", "b")
	for script, want := range map[string]string{
		`echo hi | cat <(@b:sh -c "sleep .2; echo yo")`: "yo\n",
		`echo hi | cat <(sh -c "sleep .2; cat")`:        "hi\n",
		`echo hi | cat <(@b:sh -c "sleep .2; cat")`:     "hi\n",
		`echo hi | cat <(@b:cat) | cat`:                 "hi\n",
	} {
		if got, stderr, _ := runHere(t, script, h.use); got.stdout != want || got.status != 0 || stderr != "" {
			t.Errorf("%s: %+v\n%s", script, got, stderr)
		}
	}
}
