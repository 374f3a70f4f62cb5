package pipeline_test

import (
	"context"
	"os"
	"testing"

	"rpipe/parser"
	"rpipe/pipeline"
)

// runUntil runs a script whose builtin waits, and ends it when the script has put out
// something.
func runUntil(t *testing.T, script string, stdin *os.File) (status int) {
	t.Helper()
	prog, err := parser.Parse("test", []byte(script))
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), safetyNet)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- pipeline.Run(ctx, prog, pipeline.Options{Stdin: stdin, Stdout: w, Env: environ(t.TempDir())})
		w.Close()
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	return pipeline.ExitStatus(<-ended)
}

func TestABuiltinThatWaitsForInputEndsWithTheContext(t *testing.T) {
	for _, script := range []string{
		"echo x; read a; echo never", "echo x; mapfile a", "echo x; read -n 5 a", "echo x; read -d '' a", "echo x; read -t 50 a",
		"echo x; while read a; do :; done", "echo x; mapfile -n 2 a", "f() { echo x; read a; }; f",
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if status := runUntil(t, script, r); status == 0 {
			t.Errorf("%s: success", script)
		}
		r.Close()
		w.Close()
	}
}

func TestABuiltinThatWaitsForItsReaderEndsWithTheContext(t *testing.T) {
	for _, script := range []string{
		`while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done`,
		`printf '%0300000d' 1`,
	} {
		if status := runUntil(t, script, nil); status == 0 {
			t.Errorf("%s: success", script)
		}
	}
}

func TestABuiltinTellsWhatIsWrongWithItsLineAndName(t *testing.T) {
	for script, want := range map[string]string{
		"\nprintf '%d' x":       "rpipe: line 2: printf: x: invalid number\n",
		"read -t no a":          "rpipe: line 1: read: no: invalid timeout specification\n",
		"cd /nonexistent":       "rpipe: line 1: cd: /nonexistent: No such file or directory\n",
		"[ a -eq 1 ]":           "rpipe: line 1: [: a: integer expression expected\n",
		"echo x >/dev/full":     "rpipe: line 1: echo: write error: No space left on device\n",
		"shift x":               "rpipe: line 1: shift: x: numeric argument required\n",
		"compgen -F f":          "rpipe: line 1: compgen: -F: not supported; it knows -A, -W, -P, -S, -X and -abcdefkv\n",
		"enable -f lib x":       "rpipe: line 1: enable: -f: not supported; builtins cannot be loaded here\n",
		"read $'a\\e[31m' <<<x": "rpipe: line 1: read: `a\\x1b[31m': not a valid identifier\n",
	} {
		if _, stderr, _ := runHere(t, script); stderr != want {
			t.Errorf("%s: %q, want %q", script, stderr, want)
		}
	}
}
