package format_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"rpipe/pipeline/format"
)

// More is compared with bash in the scripts of testdata/semantics.
func TestPrintfGivesWhatItSays(t *testing.T) {
	for _, c := range []struct {
		format string
		args   []string
		want   string
		status int
	}{
		{"%s-%d\n", []string{"a", "1", "b"}, "a-1\nb-0\n", 0},
		{"%5.1f|%-6x|%+d", []string{"2.25", "255", "3"}, "  2.2|ff    |+3", 0},
		{"%d", []string{"12abc"}, "12", 1},
		{"%q", []string{"it's"}, `it\'s`, 0},
		{"%b%s", []string{`a\cb`, "x"}, "a", 0},
		{"a%k", nil, "a", 1},
		{"%.20f", []string{"0.1"}, "0.10000000000000000000", 0},
		{"%(%Y-%m)T", []string{"0"}, "1970-01", 0},
		{"%*.*s|", []string{"-5", "2", "abc"}, "ab   |", 0},
	} {
		p := format.Printf{Now: func() time.Time { return time.Unix(0, 0).UTC() }}
		out, status := p.Format(nil, c.format, c.args)
		if string(out) != c.want || status != c.status {
			t.Errorf("%q %q: %q %d; want %q %d", c.format, c.args, out, status, c.want, c.status)
		}
	}
}

func TestCharactersNeedALocale(t *testing.T) {
	if got := string(format.Echo(nil, []string{"-en", `\u00e9\U1F600`}, false, false)); got != `\u00E9\U0001F600` {
		t.Errorf("in C: %q", got)
	}
	if got := string(format.Echo(nil, []string{"-en", `\u00e9\U1F600`}, false, true)); got != "é😀" {
		t.Errorf("in UTF-8: %q", got)
	}
	if got := format.Quote("é", true); got != "é" {
		t.Errorf("quoted in UTF-8: %q", got)
	}
}

func TestZonesOfPOSIXAreKnown(t *testing.T) {
	for rule, want := range map[string]string{
		"CET-1CEST,M3.5.0,M10.5.0/3": "2023-11-14 23:13 +0100",
		"XXX3":                       "2023-11-14 19:13 -0300",
		"no rule":                    "2023-11-14 22:13 +0000",
	} {
		at := time.Unix(1700000000, 0).In(format.Zone(rule))
		if got := format.Time(at, "%F %R %z"); got != want {
			t.Errorf("%q: %q, want %q", rule, got, want)
		}
	}
}

func FuzzPrintf(f *testing.F) {
	for _, seed := range []string{"%s %d\n", "%*.*f|%-08x", "%(%Y%Z)T", `\x4\u00e9\0`, "%q%b%%", "%.3e%a%G", "%-", "%(", `\`, "%#08.3o%'d"} {
		f.Add(seed, "12", "abc")
	}
	f.Fuzz(func(t *testing.T, layout, a, b string) {
		p := format.Printf{Now: func() time.Time { return time.Unix(1, 0).UTC() }}
		if strings.ContainsAny(layout, "*") || longNumber(layout) {
			return // as much as it asks for
		}
		out, status := p.Format([]byte("kept"), layout, []string{a, b})
		if !strings.HasPrefix(string(out), "kept") || status < 0 || status > 1 {
			t.Errorf("%q: %q %d", layout, out, status)
		}
	})
}

// longNumber reports whether a number in s has more than four digits.
func longNumber(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			n = 0
			continue
		}
		if n++; n > 4 {
			return true
		}
	}
	return false
}

func FuzzQuoteIsReadBack(f *testing.F) {
	for _, seed := range []string{"", "a b", "it's", "\x01\xff", "~x:~", "é", "\\", "$'x'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, isUTF8 := range []bool{false, true} {
			quoted := format.Quote(s, isUTF8)
			if got := unquoted(quoted); got != s && !strings.Contains(s, "\x00") {
				t.Errorf("%q: %q reads as %q", s, quoted, got)
			}
			if isUTF8 && utf8.ValidString(s) && !utf8.ValidString(quoted) {
				t.Errorf("%q: %q", s, quoted)
			}
		}
	})
}

// unquoted reads a word as a shell does.
func unquoted(word string) string {
	if word == "''" {
		return ""
	}
	if inner, ok := strings.CutPrefix(word, "$'"); ok {
		inner = strings.TrimSuffix(inner, "'")
		out, _ := format.Printf{}.Format(nil, strings.ReplaceAll(inner, "%", "%%"), nil)
		return string(out)
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] == '\\' {
			i++
		}
		b.WriteByte(word[i])
	}
	return b.String()
}

func TestFieldsOfALine(t *testing.T) {
	line := format.Line{Text: []byte(" a : b::c: "), Escaped: nil}
	if got := line.Fields(" :"); strings.Join(got, "|") != "a|b||c" {
		t.Errorf("%q", got)
	}
	if got := line.Split(" :", 2); strings.Join(got, "|") != "a|b::c:" {
		t.Errorf("%q", got)
	}
	escaped := format.Line{Text: []byte("a b"), Escaped: []bool{false, true, false}}
	if got := escaped.Split(" ", 2); got[0] != "a b" || got[1] != "" {
		t.Errorf("%q", got)
	}
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{" a b ", "a:b::", ":", "", " : : ", "\\ x"} {
		f.Add(seed, " :", 2)
		f.Add(seed, "", 1)
	}
	f.Fuzz(func(t *testing.T, text, separators string, names int) {
		names = 1 + (names&0x7fffffff)%5
		line := format.Line{Text: []byte(text)}
		if got := line.Split(separators, names); len(got) != names {
			t.Errorf("%d fields for %d names", len(got), names)
		}
		for _, field := range line.Fields(separators) {
			if separators != "" && strings.ContainsAny(field, ascii(separators)) {
				t.Errorf("%q in %q at %q", field, text, separators)
			}
		}
	})
}

func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, s)
}
