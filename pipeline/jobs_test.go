//go:build unix

package pipeline_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rpipe/pipeline"
)

func TestAJobThatIsNoProgramHasANumberThatNoProcessCanHave(t *testing.T) {
	h := newHosts(t, "a")
	for _, job := range []string{"{ true; }", "(true; true)", "f", "true | true", "@a:true", ":", "true && true"} {
		script := "f() { true; }; " + job + " & p=$!; wait $p; echo $? $p; kill -0 $p 2>/dev/null; echo $?; sh -c \"kill -0 $p\" 2>/dev/null; echo $?"
		got, stderr, _ := runHere(t, script, h.use)
		lines := strings.Fields(got.stdout)
		if len(lines) != 4 || lines[0] != "0" || lines[2] != "1" || lines[3] != "1" {
			t.Fatalf("%s: %q %s", job, got.stdout, stderr)
		}
		if n, err := strconv.Atoi(lines[1]); err != nil || n <= 1<<22 {
			t.Errorf("%s has the number %q", job, lines[1])
		}
	}
}

func TestRemoteJobsAreWaitedForAndKilled(t *testing.T) {
	h := newHosts(t, "a")
	for script, want := range map[string]string{
		"@a:sh -c 'exit 3' & wait $!; echo $?":     "3\n",
		"@a:sh -c 'exit 3' & wait -n; echo $?":     "3\n",
		"@a:echo a | @a:tr a b & wait %1; echo $?": "b\n0\n",
		"for i in 1 2 3; do @a:sh -c \"exit $i\" & p=\"$p $!\"; done; for j in $p; do wait $j; echo $?; done": "1\n2\n3\n",
		"@a:sleep 1000 & kill $!; wait $!; echo $?":                                                           "143\n",
		"@a:sleep 1000 | cat & kill -KILL %1; wait $!; echo $?":                                               "137\n",
		"{ @a:sleep 1000; echo no; } & kill -HUP $!; wait $!; echo $?":                                        "129\n",
		"@a:sleep 1000 & jobs; kill %%; wait":                                                                 "[1]+  Running                 @a:sleep 1000 &\n",
		"trap 'kill %1; wait; echo cleaned' EXIT; @a:sleep 1000 & :; exit 0":                                  "cleaned\n",
		"{ @a:sh -c 'sleep .1; echo late' & echo early; } | cat":                                              "early\nlate\n",
		"x=$(@a:sh -c 'sleep .1; echo late' & echo early); echo $x":                                           "early late\n",
		"trap 'echo \"err $?\"' ERR; @a:sh -c 'exit 3'; true | @a:false; echo on":                             "err 3\nerr 1\non\n",
	} {
		got, stderr, _ := runHere(t, script, h.use)
		if got.stdout != want || got.status != 0 {
			t.Errorf("%s: %d %q %s", script, got.status, got.stdout, stderr)
		}
	}
}

func TestALostJobIsNoSuccessUnlessSomebodyLooks(t *testing.T) {
	for script, want := range map[string]outcome{
		part + " & wait":                            {"", 76},
		part + " & wait $!; echo $?":                {"76\n", 76},
		part + " & wait $!":                         {"", 76},
		"{ " + part + "; } & wait -n":               {"", 76},
		"{ " + part + " | cat >/dev/null; } & wait": {"", 76},
		"trap 'exit 0' EXIT; " + part + " & wait":   {"", 76},
	} {
		got, stderr, _ := runAndCut(t, script)
		got.stdout = strings.ReplaceAll(got.stdout, "part\n", "")
		if got != want {
			t.Errorf("%s: %d %q, not %d %q: %s", script, got.status, got.stdout, want.status, want.stdout, stderr)
		}
	}
}

func TestAPanicInAJobIsTheEndOfThatJob(t *testing.T) {
	got, stderr, _ := runHere(t, "{ (( a[5]=7 )); echo no; } & wait $!; echo $?; echo on")
	if got.stdout != "2\non\n" || got.status != 0 || !strings.Contains(stderr, "bug in the shell interpreter") {
		t.Errorf("%+v %s", got, stderr)
	}
}

func TestTheTextsOfJobsAreAsWritten(t *testing.T) {
	got, stderr, _ := runHere(t, "f() { { echo a | cat; sleep 50; } & jobs; kill %1; }; f >out; declare -f f; cat out")
	if strings.ContainsAny(got.stdout, "\x00") || strings.Contains(got.stdout, "job") != strings.Contains(got.stdout, "jobs") ||
		!strings.Contains(got.stdout, "[1]+  Running                 { echo a | cat; sleep 50; } &\n") {
		t.Errorf("%q %s", got.stdout, stderr)
	}
}

// source is where signals come from.
type source struct {
	mu     sync.Mutex
	caught map[syscall.Signal]func()
}

func (s *source) Catch(sig syscall.Signal, deliver func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caught == nil {
		s.caught = make(map[syscall.Signal]func())
	}
	if deliver == nil {
		delete(s.caught, sig)
		return
	}
	s.caught[sig] = deliver
}

func (s *source) Settle() {}

// send makes a signal come, and reports whether it is caught.
func (s *source) send(sig syscall.Signal) bool {
	s.mu.Lock()
	deliver := s.caught[sig]
	s.mu.Unlock()
	if deliver != nil {
		deliver()
	}
	return deliver != nil
}

func TestOnlyTrappedSignalsAreCaught(t *testing.T) {
	for script, want := range map[string]bool{
		"trap : TERM":                          true,
		"trap '' TERM":                         true,
		"eval 'trap : TERM'":                   true,
		"f() { trap : TERM; }; f":              true,
		"(trap : TERM)":                        false,
		"trap : TERM; trap - TERM":             false,
		"trap : TERM; (trap - TERM)":           true,
		"{ trap : TERM; } | cat":               false,
		"{ trap : TERM; touch x; } & wait":     false,
		"trap 'trap - TERM' USR1; trap : TERM": true,
	} {
		var s source
		caught := false
		got, stderr, _ := runHere(t, script+"\n@probe:now", func(o *pipeline.Options) {
			o.Signals = &s
			o.Diagnose = func(*pipeline.StageError) { caught = s.send(syscall.SIGTERM) }
		})
		if got.status != 69 || caught != want {
			t.Errorf("%s: status %d, caught %v: %s", script, got.status, caught, stderr)
		}
		if s.send(syscall.SIGTERM) {
			t.Errorf("%s: it is caught after the end", script)
		}
	}
}

func TestTheEndOfAScriptByItsOwnSignalHasItsStatusOnly(t *testing.T) {
	_, stderr, err := runHere(t, "sleep 1000 & trap 'echo bye' EXIT; kill $$; echo no")
	var exit *pipeline.ExitError
	if !errors.As(err, &exit) || exit.Status != 143 || exit.Err != nil || stderr != "" {
		t.Errorf("%#v %s", err, stderr)
	}
}

func TestNothingOfOursIsInTheEnvironmentOfPrograms(t *testing.T) {
	got, _, _ := runHere(t, "set -a; true & wait; true | true; env", func(o *pipeline.Options) { o.Env = append(o.Env, "X=1") })
	for _, line := range strings.Split(got.stdout, "\n") {
		if name, _, _ := strings.Cut(line, "="); len(name) > 20 || strings.HasPrefix(name, "_") && name != "_" {
			t.Errorf("%q of %s", line, os.Args[0])
		}
	}
}
