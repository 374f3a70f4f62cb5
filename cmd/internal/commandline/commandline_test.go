package commandline

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestUsageErrorsAre2AndHelpIs0(t *testing.T) {
	type grammar struct {
		Number int `help:"A number."`
	}
	for _, test := range []struct {
		args      string
		status    int
		runs      bool
		out, diag string
	}{
		{"--number=3", 0, true, "", ""},
		{"--help", 0, false, "A number.", ""},
		{"--number=three", ExitUsage, false, "", "prog: --number: "},
		{"--nonsense", ExitUsage, false, "", "prog --help tells more"},
		{"too many", ExitUsage, false, "", "prog: unexpected argument too"},
	} {
		var g grammar
		var out, diag strings.Builder
		ctx, status := Parse(&g, "prog", "", strings.Fields(test.args), &out, &diag, nil)
		if status != test.status || (ctx != nil) != test.runs {
			t.Errorf("%s: status %d, runs %v, want %d, %v", test.args, status, ctx != nil, test.status, test.runs)
		}
		if !strings.Contains(out.String(), test.out) || !strings.Contains(diag.String(), test.diag) {
			t.Errorf("%s: stdout %q, stderr %q, want %q and %q in them", test.args, out.String(), diag.String(), test.out, test.diag)
		}
	}
}

type hinted struct{ error }

func (hinted) Hint() string { return "do \x1b[31mthis" }

func TestReportsHoldNoControlCharacters(t *testing.T) {
	var b strings.Builder
	Report(&b, "prog", hinted{errors.New("bad \x1b]0;title\a \xff \u009b line:\n\tsource ž")})
	want := "prog: bad \\x1b]0;title\\a \\xff \\u009b line:\n\tsource ž\nprog: do \\x1b[31mthis\n"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its folder has another place")
	}
	home, xdg := t.TempDir(), t.TempDir()
	for _, test := range []struct{ home, xdg, want string }{
		{home, "", filepath.Join(home, ".config/rpipe")},
		{home, xdg, filepath.Join(xdg, "rpipe")},
		{home, "relative", filepath.Join(home, ".config/rpipe")},
		{"", xdg, filepath.Join(xdg, "rpipe")},
		{"", "", ""},
		{"relative", "", ""},
	} {
		t.Setenv("HOME", test.home)
		t.Setenv("XDG_CONFIG_HOME", test.xdg)
		got, err := Folder()
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("HOME=%q XDG_CONFIG_HOME=%q: %q, %v, want %q", test.home, test.xdg, got, err, test.want)
		}
	}
}
