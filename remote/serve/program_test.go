package serve

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testTable() Table {
	return NewTable(map[string]*Program{
		"upper":  {Name: "upper", Run: []string{"/usr/bin/tr"}},
		"grep":   {Name: "grep", Run: []string{"/bin/grep"}, Allow: []string{"alice", "bob"}},
		"report": {Name: "report", Run: []string{"/bin/report"}, Allow: []string{"alice"}},
		"closed": {Name: "closed", Run: []string{"/bin/closed"}, Allow: []string{}},
	})
}

func names(list []*Program) string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestAListShowsWhatTheCallerMayRunInOrder(t *testing.T) {
	table := testTable()
	for caller, want := range map[string]string{
		"alice":   "grep report upper",
		"bob":     "grep upper",
		"mallory": "upper",
		"":        "upper",
	} {
		list := table.List(caller)
		if got := names(list); got != want {
			t.Errorf("%q may run %q, want %q", caller, got, want)
		}
		for _, p := range list {
			if got, err := table.Lookup(caller, p.Name); err != nil || got != p {
				t.Errorf("%q is listed for %q, and Lookup says %v", p.Name, caller, err)
			}
		}
	}
}

func TestAProgramForOthersIsRefusedAndAnUnknownOneIsNotFound(t *testing.T) {
	table := testTable()
	for _, test := range []struct {
		caller, name string
		status       int
		reason       string
	}{
		{"bob", "report", 126, `"report" is not for "bob" (its administrator would add that name to allow)`},
		{"alice", "closed", 126, `"closed" is not for "alice" (its administrator would add that name to allow)`},
		{"bob", "gerp", 127, `no program "gerp": did you mean "grep"?`},
		{"alice", "reprot", 127, `no program "reprot": did you mean "report"?`},
		{"bob", "reprot", 127, `no program "reprot": rpipe --list shows those that you may run`}, // no hint at what is not his
		{"bob", "", 127, `no program "": rpipe --list shows those that you may run`},
		{"bob", "../\x1b", 127, `no program "../\x1b": rpipe --list shows those that you may run`},
	} {
		_, err := table.Lookup(test.caller, test.name)
		if r := refusal(t, err); r.Status != test.status || r.Reason != test.reason {
			t.Errorf("Lookup(%q, %q): %d %s\nwant %d %s", test.caller, test.name, r.Status, r.Reason, test.status, test.reason)
		}
	}
}

func TestATableDoesNotFollowTheMapItWasMadeFrom(t *testing.T) {
	programs := map[string]*Program{"a": {Name: "a"}}
	table := NewTable(programs)
	maps.DeleteFunc(programs, func(string, *Program) bool { return true })
	if got := names(table.List("x")); got != "a" {
		t.Errorf("the table lists %q, want a", got)
	}
}

func TestArgumentsReachTheProgramAsTheyWereSent(t *testing.T) {
	args := []string{"", "two words", "\n", "$HOME", "*", "'\"", "\xff\xfe", "-x"}
	p := &Program{Name: "p", Run: []string{"/bin/p", "first"}, Args: ArgsAny}
	argv, _, err := p.Command(args, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{"/bin/p", "first"}, args...), argv); diff != "" {
		t.Errorf("argv (-want +got):\n%s", diff)
	}
	argv[1] = "changed"
	if p.Run[1] != "first" {
		t.Error("argv shares memory with the program")
	}
}

func TestTheEnvironmentHoldsNothingOfTheDaemons(t *testing.T) {
	t.Setenv("RPIPE_TEST_SECRET", "x")
	p := &Program{Name: "p", Run: []string{"/bin/p"}, Env: []string{"FOO", "APP_*"}}
	_, environ, err := p.Command(nil, []EnvVar{
		{Name: "FOO", Value: "1"},
		{Name: "APP_B", Value: "a=b c\n"},
		{Name: "FOO", Value: "2"},
		{Name: "LANG", Value: "C"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"APP_B=a=b c\n", "FOO=2", "HOME=/", "PATH=" + DefaultPath}
	if diff := cmp.Diff(want, environ); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestAnyProgramFindsWhatThePathHas(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs files that are executable by their mode")
	}
	first, second := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "both"):    0o755,
		filepath.Join(second, "both"):   0o755,
		filepath.Join(second, "one"):    0o755,
		filepath.Join(second, "data"):   0o644,
		filepath.Join(second, "9digit"): 0o755,
		filepath.Join(second, "a b"):    0o755,
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", strings.Join([]string{first, filepath.Join(first, "gone"), second}, string(filepath.ListSeparator)))
	t.Setenv("HOME", "/home/daemon")

	var table AnyProgram
	if got := names(table.List("bob")); got != "both one" {
		t.Errorf("lists %q, want both and one", got)
	}
	p, err := table.Lookup("bob", "both")
	if err != nil {
		t.Fatal(err)
	}
	argv, environ, err := p.Command([]string{"-x"}, []EnvVar{{Name: "LD_X", Value: "../y", Required: true}, {Name: "HOME", Value: "/h", Required: true}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{filepath.Join(first, "both"), "-x"}; !slices.Equal(argv, want) {
		t.Errorf("runs %q, want %q", argv, want)
	}
	for _, want := range []string{"PATH=" + os.Getenv("PATH"), "HOME=/h", "LD_X=../y"} {
		if !slices.Contains(environ, want) {
			t.Errorf("the environment %q has no %q", environ, want)
		}
	}
	for _, name := range []string{"none", "data", "9digit", "a b", "", ".", "..", "./both", filepath.Join(second, "one")} {
		_, err := table.Lookup("bob", name)
		if r := refusal(t, err); r.Status != StatusNotFound {
			t.Errorf("%q: %d %s, want %d", name, r.Status, r.Reason, StatusNotFound)
		}
	}
}

func TestAnyProgramNeverRunsFromARelativeFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs files that are executable by their mode")
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "here"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	for _, path := range []string{".", "", "./"} {
		t.Setenv("PATH", path)
		_, err := AnyProgram{}.Lookup("bob", "here")
		if r := refusal(t, err); r.Status != StatusNotFound {
			t.Errorf("PATH=%q: %v, want not found", path, err)
		}
	}
}
