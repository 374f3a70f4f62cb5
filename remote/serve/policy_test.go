package serve

import (
	"errors"
	"strings"
	"testing"
)

// refusal returns the *Refusal in err and fails the test if there is none.
func refusal(t *testing.T, err error) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("%T %v, want a *Refusal", err, err)
	}
	if strings.ContainsFunc(r.Reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("control character in %q", r.Reason)
	}
	return r
}

func TestRefusalsNameTheArgumentOrVariableAndTheRule(t *testing.T) {
	upper := &Program{Name: "upper", Run: []string{"/usr/bin/tr", "a-z", "A-Z"}}
	grep := &Program{Name: "grep", Run: []string{"/bin/grep"}, Args: ArgsAny}
	app := &Program{Name: "app", Run: []string{"/bin/app"}, Env: []string{"APP_*"}}
	bare := &Program{Name: "bare", Run: []string{"/bin/bare"}, Env: []string{}}
	for _, test := range []struct {
		name string
		p    *Program
		args []string
		env  []EnvVar
		want string
	}{
		{"no arguments", upper, []string{"-x"}, nil,
			`argument "-x": "upper" takes no arguments (its administrator would set args = "any")`},
		{"also no empty one", upper, []string{""}, nil,
			`argument "": "upper" takes no arguments (its administrator would set args = "any")`},
		{"control characters are quoted", upper, []string{"\x1b[2J\n"}, nil,
			`argument "\x1b[2J\n": "upper" takes no arguments (its administrator would set args = "any")`},
		{"long arguments are cut", upper, []string{strings.Repeat("a", 100)}, nil,
			`argument "` + strings.Repeat("a", 64) + `"...: "upper" takes no arguments (its administrator would set args = "any")`},
		{"NUL in an argument", grep, []string{"ok", "a\x00b"}, nil,
			`argument "a\x00b" has a NUL byte, which no program can be given`},
		{"NUL in a value", grep, nil, []EnvVar{{Name: "LANG", Value: "\x00"}},
			`variable "LANG" has a NUL byte, which no program can be given`},
		{"NUL in a name", grep, nil, []EnvVar{{Name: "LA\x00NG"}},
			`variable "LA\x00NG" has a NUL byte, which no program can be given`},
		{"a variable out of the default", grep, nil, []EnvVar{{Name: "LD_PRELOAD", Value: "x.so", Required: true}},
			`variable "LD_PRELOAD" is not accepted by "grep" (its administrator would list it in env)`},
		{"a variable out of the list", app, nil, []EnvVar{{Name: "LC_ALL", Value: "C", Required: true}},
			`variable "LC_ALL" is not accepted by "app" (its administrator would list it in env)`},
		{"an empty list takes none", bare, nil, []EnvVar{{Name: "TZ", Value: "UTC", Required: true}},
			`variable "TZ" is not accepted by "bare" (its administrator would list it in env)`},
		{"no name", app, nil, []EnvVar{{Name: "APP_X=1", Required: true}},
			`variable "APP_X=1" is not a name that a shell could assign to`},
		{"a bash function", app, nil, []EnvVar{{Name: "APP_X%%", Value: "() { :; }", Required: true}},
			`variable "APP_X%%" is not a name that a shell could assign to`},
		{"a path as locale", grep, nil, []EnvVar{{Name: "LC_ALL", Value: "../../tmp/x", Required: true}},
			`variable "LC_ALL" does not have the name of a locale, such as C or de_DE.UTF-8`},
		{"a path as zone", grep, nil, []EnvVar{{Name: "TZ", Value: ":/etc/shadow", Required: true}},
			`variable "TZ" does not have the value of a time zone, such as UTC or Europe/Berlin`},
		{"a path out of the zones", grep, nil, []EnvVar{{Name: "TZ", Value: "Europe/../../../x", Required: true}},
			`variable "TZ" does not have the value of a time zone, such as UTC or Europe/Berlin`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := test.p.Command(test.args, test.env)
			if r := refusal(t, err); r.Status != StatusDenied || r.ExitStatus() != 126 || r.Reason != test.want {
				t.Errorf("refused with %d\n got %s\nwant %s", r.Status, r.Reason, test.want)
			}
		})
	}
}

func TestAVariableThatIsNotRequiredIsDroppedInsteadOfRefused(t *testing.T) {
	p := &Program{Name: "p", Run: []string{"/bin/p"}}
	_, environ, err := p.Command(nil, []EnvVar{
		{Name: "SECRET", Value: "x"},
		{Name: "LC_ALL", Value: "../x"},
		{Name: "A=B", Value: "x"},
		{Name: "LANG", Value: "C"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "HOME=/ LANG=C PATH=" + DefaultPath
	if got := strings.Join(environ, " "); got != want {
		t.Errorf("environment %s, want %s", got, want)
	}
}

func TestUsualLocalesAndZonesGetIn(t *testing.T) {
	p := &Program{Name: "p", Run: []string{"/bin/p"}}
	for _, v := range []EnvVar{
		{Name: "LANG", Value: ""},
		{Name: "LANG", Value: "C"},
		{Name: "LC_ALL", Value: "de_DE.UTF-8@euro"},
		{Name: "LC_CTYPE", Value: "C.utf8"},
		{Name: "TZ", Value: ""},
		{Name: "TZ", Value: "UTC"},
		{Name: "TZ", Value: ":Europe/Berlin"},
		{Name: "TZ", Value: "America/Argentina/Buenos_Aires"},
		{Name: "TZ", Value: "<+0330>-3:30"},
		{Name: "TZ", Value: "CET-1CEST,M3.5.0,M10.5.0/3"},
	} {
		v.Required = true
		if _, _, err := p.Command(nil, []EnvVar{v}); err != nil {
			t.Errorf("%s=%s: %v", v.Name, v.Value, err)
		}
	}
}

func TestNoPatternOfAConfigurationReachesAReservedVariable(t *testing.T) {
	for _, r := range reservedEnv {
		name := strings.TrimSuffix(r.pattern, "*")
		for n := 1; n <= len(name); n++ {
			if envPatternProblem(name[:n]+"*") == "" {
				t.Errorf("%q is accepted though it covers %q", name[:n]+"*", r.pattern)
			}
		}
		for _, pattern := range []string{r.pattern, name, strings.Replace(r.pattern, "*", "X", 1), strings.Replace(r.pattern, "*", "X*", 1)} {
			if envPatternProblem(pattern) == "" {
				t.Errorf("%q is accepted though %q is reserved", pattern, r.pattern)
			}
		}
	}
	for _, pattern := range append([]string{"FOO", "APP_*", "_", "http_proxy", "PATHS"}, defaultEnv...) {
		if problem := envPatternProblem(pattern); problem != "" {
			t.Errorf("%q %s", pattern, problem)
		}
	}
}

func TestAPolicyIsWrittenAsInTheFile(t *testing.T) {
	for p, want := range map[ArgsPolicy]string{ArgsNone: "none", ArgsAny: "any", 7: "ArgsPolicy(7)"} {
		if got := p.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(p), got, want)
		}
	}
}

func TestNearestFindsSlipsAndNothingElse(t *testing.T) {
	names := []string{"grep", "sort", "upper", "uniq", "wc"}
	for name, want := range map[string]string{
		"gerp": "grep", "grepp": "grep", "Grep": "grep", "uppr": "upper", "unqi": "uniq", "ws": "wc",
		"": "", "x": "", "cat": "", "lower": "", "sort": "sort", strings.Repeat("grep", 100): "",
	} {
		if got := nearest(name, names); got != want {
			t.Errorf("nearest(%.20q) is %q, want %q", name, got, want)
		}
	}
}
