package pipeline_test

import (
	"strings"
	"testing"
)

func TestWhatIsWrongInAnExpansionIsToldWithItsLine(t *testing.T) {
	for script, want := range map[string]string{
		"\necho $((1/0))":              "rpipe: line 2: 1/0: division by 0",
		"x=ab\n\necho ${x:1:-9}":       "rpipe: line 3: -9: substring expression < 0",
		"((08))":                       "rpipe: line 1: 08: value too great for base",
		"set -u; echo ${nope@Q}":       "rpipe: line 1: nope: unbound variable",
		"f() { break; }; f":            "rpipe: line 1: break: only meaningful in a loop",
		"for i in 1; do break x; done": "rpipe: line 1: break: x: numeric argument required",
		"eval '\necho $((1%0))'":       "1%0: division by 0",
	} {
		_, stderr, _ := runHere(t, script)
		if !strings.Contains(stderr, want) {
			t.Errorf("%q: %q", script, stderr)
		}
	}
}

func TestProgramsSeeNoVariableOfOurs(t *testing.T) {
	got, stderr, _ := runHere(t, `set -a; while :; do { break; echo; }; done; for ((i=0;i<2;i++)); do false; done
x=${x/a/b}; a=(1 2); (( a[1]++ )); { false && :; }; set -e; { false && :; }; env`)
	for _, line := range strings.Split(got.stdout, "\n") {
		name, _, _ := strings.Cut(line, "=")
		if strings.ContainsAny(name, "\x00") || strings.Contains(name, "loop") || strings.Contains(name, "once") || strings.Contains(name, "kept") {
			t.Errorf("%q", line)
		}
	}
	if got.status != 0 {
		t.Error(got.status, stderr)
	}
}
