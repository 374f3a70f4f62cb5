package pipeline_test

import (
	"strings"
	"testing"
)

func TestTextThatCannotBeRunAsByBashIsNotRunAtAll(t *testing.T) {
	for _, script := range []string{
		"eval 'echo ran; cat </dev/tcp/localhost/1'; echo status $?",
		"printf 'echo ran\\ncat </dev/tcp/localhost/1\\n' >text; . ./text; echo status $?",
		"source <(echo 'echo ran; cat </dev/tcp/localhost/1'); echo status $?",
		"if true; then cat </dev/tcp/localhost/1; fi; echo status $?",
		"f() { echo ran | cat </dev/tcp/localhost/1; }; f; echo status $?",
		"eval 'eval \"cat </dev/tcp/localhost/1\"'; echo status $?",
	} {
		got, stderr, _ := runHere(t, script)
		if want := (outcome{"status 2\n", 0}); got != want {
			t.Errorf("%s: %v, want %v", script, got, want)
		}
		if !strings.Contains(stderr, "is not supported: ") || !strings.Contains(stderr, "^") {
			t.Errorf("%s: it is not told where and what: %q", script, stderr)
		}
	}
}
