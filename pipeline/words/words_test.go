package words

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// table is an environment of plain variables.
type table map[string]expand.Variable

func (t table) Get(name string) expand.Variable { return t[name] }

func (t table) Each(f func(string, expand.Variable) bool) {
	for name, vr := range t {
		if !f(name, vr) {
			return
		}
	}
}

func (t table) Set(name string, vr expand.Variable) error { t[name] = vr; return nil }

var patterns = []struct{ pattern, matches, misses string }{
	{"", "", "a"},
	{"abc", "abc", "abcd ab ABC"},
	{"a*c", "ac abc abbc", "a c abcd"},
	{"?b?", "abc xbz", "ab abcd"},
	{"[a-c]x", "ax bx cx", "dx x"},
	{"[!a-c]x", "dx", "ax"},
	{"[]a]", "] a", "b"},
	{"[a-]", "a -", "b"},
	{"[[:digit:][:upper:]]*", "1 Ab", "a"},
	{`\*`, "*", "a"},
	{`[\]]`, "]", `\`},
	{"[", "[", "a"},
	{"[a", "[a", "a"},
	{"+(ab)", "ab abab", "a aba"},
	{"*(ab)c", "c abc ababc", "ab"},
	{"?(a)b", "b ab", "aab"},
	{"@(a|b*)", "a b bc", "ab c"},
	{"!(a|b)", "c ab x", "a b"},
	{"*.!(gz|xz)", "a.tar", ""},
	{"a@(b|+(c|d))e", "abe accde", "ae"},
	{"+(a", "+(a", "a"},
	{"**", "a abc", ""},
}

func TestPatternsMatchAsInBash(t *testing.T) {
	for _, p := range patterns {
		compiled := Compile(p.pattern, false, false)
		for _, s := range strings.Fields(p.matches) {
			if !compiled.Match(s) {
				t.Errorf("%q does not match %q", p.pattern, s)
			}
		}
		for _, s := range strings.Fields(p.misses) {
			if compiled.Match(s) {
				t.Errorf("%q matches %q", p.pattern, s)
			}
		}
	}
	path, err := exec.LookPath("bash")
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("bash is needed")
		}
		t.Skip("needs bash")
	}
	for _, p := range patterns {
		for _, s := range strings.Fields(p.matches + " " + p.misses) {
			cmd := exec.CommandContext(t.Context(), path, "--norc", "-O", "extglob", "-c", `[[ $2 == $1 ]]`, "bash", p.pattern, s)
			if inBash := cmd.Run() == nil; inBash != Compile(p.pattern, false, false).Match(s) {
				t.Errorf("%q and %q: %v in bash", p.pattern, s, inBash)
			}
		}
	}
}

func TestBytesAreCharactersInTheLocaleC(t *testing.T) {
	if Compile("?", true, false).Match("é") || !Compile("??", true, false).Match("é") || !Compile("?", false, false).Match("é") {
		t.Error("a character of two bytes")
	}
	if !Compile("?", false, false).Match("\xff") || Compile("é", false, false).Match("\xe9") {
		t.Error("a byte that is no character")
	}
}

func FuzzPatternsEnd(f *testing.F) {
	for _, p := range patterns {
		f.Add(p.pattern, p.matches)
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 64 || len(s) > 64 || strings.Count(pattern, "(") > 4 {
			return
		}
		for _, bytes := range []bool{false, true} {
			p := Compile(pattern, bytes, false)
			p.Match(s)
			cs := characters(s, bytes)
			if text(cs) != s {
				t.Errorf("%q is %q", s, text(cs))
			}
			p.replace(s, field{{"<&>", false}}, 0, true)
			for _, shortest := range []bool{false, true} {
				if begin := p.suffix(cs, shortest); begin > len(cs) {
					t.Errorf("a suffix of %q from %d", s, begin)
				}
			}
		}
	})
}

func FuzzQuoteIsReadAsOneWord(f *testing.F) {
	for _, s := range []string{"", "a b", "it's", "'", "\n\t\x1b", "é\xff", `\`, "$x `y`", "\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return
		}
		for _, bytes := range []bool{false, true} {
			file, err := syntax.NewParser().Parse(strings.NewReader("x "+Quote(s, bytes)), "")
			if err != nil {
				continue // the parser takes no bytes that are not UTF-8
			}
			call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) != 2 {
				t.Fatalf("%q is quoted as %s", s, Quote(s, bytes))
			}
			sh := &Shell{Vars: table{}}
			if got, err := sh.Fields(call.Args[1]); err != nil || len(got) != 1 || got[0] != s {
				t.Fatalf("%q is quoted as %s, which is %q, %v", s, Quote(s, bytes), got, err)
			}
		}
	})
}

func FuzzWordsEnd(f *testing.F) {
	for _, s := range []string{
		`a"b"'c'$x${x:-y}${x#?}${x/a/b}`, `${a[@]:1:2}`, `${!x}`, `${x@Q}`, `$((a[1]+=2))`, `~/x:~`, `{a,,b}`, `${x:?no}`, `${a[-9]}`, `"${a[@]/#/x}y"`, `${x:1:-9}`, `${x^^[a-z]}`,
	} {
		f.Add(s, " \t\n:")
	}
	f.Fuzz(func(t *testing.T, s, ifs string) {
		if len(s) > 256 || strings.Count(s, "{") > 6 {
			return
		}
		file, err := syntax.NewParser().Parse(strings.NewReader("x "+s), "")
		if err != nil || len(file.Stmts) == 0 {
			return
		}
		call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
		if !ok {
			return
		}
		sh := &Shell{
			Vars: table{
				"x": {Set: true, Kind: expand.String, Str: "a:b c"}, "IFS": {Set: true, Kind: expand.String, Str: ifs},
				"a": {Set: true, Kind: expand.Indexed, List: []string{"p", "", "q r"}, Indexes: []int{0, 2, 5}},
				"@": {Set: true, Kind: expand.Indexed, List: []string{"1", ""}},
				"m": {Set: true, Kind: expand.Associative, Map: map[string]string{"k": "v"}},
			},
			Command: func(*syntax.CmdSubst) (string, error) { return "out", nil },
			Process: func(*syntax.ProcSubst) (string, error) { return "/dev/fd/9", nil },
			Warn:    func(error) {},
		}
		for _, w := range call.Args {
			_, _ = sh.Fields(w)
			_, _ = sh.Literal(w)
			_, _ = sh.Value(w)
			_, _ = sh.Pattern(w)
		}
	})
}
