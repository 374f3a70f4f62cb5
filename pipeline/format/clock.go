package format

import (
	"strconv"
	"strings"
	"time"
)

// timeLayout returns the format of the time in a "%(...)T", what follows its first
// bracket, and its length. bad is the character that stands where "T" should, or "".
func timeLayout(s string) (layout string, n int, bad string) {
	depth := 1
	for n < len(s) {
		switch s[n] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			break
		}
		n++
	}
	layout = s[:n]
	n++
	switch {
	case n < len(s) && s[n] == 'T':
		return layout, n + 1, ""
	case n < len(s):
		return "", 0, s[n : n+1]
	case depth > 0 && len(s) > 0:
		return "", 0, s[len(s)-1:]
	}
	return "", 0, "\x00"
}

// time takes the argument of a %(...)T, which may be missing.
func (p *Printf) time(layout string) string {
	seconds, negative := uint64(1), true
	if len(p.args) > 0 {
		seconds, negative = p.signed()
	}
	var now time.Time
	if p.Now != nil {
		now = p.Now()
	}
	t := now
	switch {
	case negative && seconds == 1:
	case negative && seconds == 2:
		t = p.Began.In(now.Location())
	case negative:
		t = time.Unix(-int64(seconds), 0).In(now.Location())
	default:
		t = time.Unix(int64(seconds), 0).In(now.Location())
	}
	if layout == "" {
		layout = "%X"
	}
	text := Time(t, layout)
	if len(text) >= longestTime {
		return ""
	}
	return text
}

// longestTime is the length of a time for which printf has no room any more.
const longestTime = 128

// Time returns a time in the form of strftime(3), in the C locale.
func Time(t time.Time, layout string) string {
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' || i+1 == len(layout) {
			b.WriteByte(layout[i])
			continue
		}
		at := i
		i++
		var f timeField
		for i < len(layout) && strings.IndexByte("_-0^#", layout[i]) >= 0 {
			f.flag(layout[i])
			i++
		}
		i += number(layout[i:], &f.width)
		f.width = min(f.width, 1024)
		if i < len(layout) && (layout[i] == 'E' || layout[i] == 'O') {
			i++
		}
		if i == len(layout) {
			b.WriteString(layout[at:])
			break
		}
		text, ok := f.text(t, layout[i])
		if !ok {
			text = layout[at : i+1]
		}
		b.WriteString(text)
	}
	return b.String()
}

// A timeField is how a conversion of strftime(3) is written.
type timeField struct {
	pad         byte // 0 is that of the conversion, '-' is none
	upper, swap bool
	width       int
}

func (f *timeField) flag(c byte) {
	switch c {
	case '_':
		f.pad = ' '
	case '-':
		f.pad = '-'
	case '0':
		f.pad = '0'
	case '^':
		f.upper = true
	case '#':
		f.swap = true
	}
}

// number returns a number that has so many digits, padded with pad.
func (f *timeField) number(n, width int, pad byte) string {
	if f.pad != 0 {
		pad = f.pad
	}
	if pad == '-' {
		return strconv.Itoa(n)
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	text := strconv.Itoa(n)
	missing := max(0, max(width, f.width)-len(text)-len(sign))
	if pad == ' ' {
		return strings.Repeat(" ", missing) + sign + text
	}
	return sign + strings.Repeat("0", missing) + text
}

// word returns a text that is no number.
func (f *timeField) word(s string) string {
	if f.upper {
		s = strings.ToUpper(s)
	}
	pad := " "
	if f.pad == '0' {
		pad = "0"
	}
	return strings.Repeat(pad, max(0, f.width-len(s))) + s
}

// text returns a conversion. ok is false where there is no such one.
func (f *timeField) text(t time.Time, verb byte) (text string, ok bool) {
	hour12 := (t.Hour()+11)%12 + 1
	switch verb {
	case '%':
		return f.word("%"), true
	case 'n':
		return f.word("\n"), true
	case 't':
		return f.word("\t"), true
	case 'a':
		f.upper = f.upper || f.swap
		return f.word(t.Weekday().String()[:3]), true
	case 'A':
		f.upper = f.upper || f.swap
		return f.word(t.Weekday().String()), true
	case 'b', 'h':
		f.upper = f.upper || f.swap
		return f.word(t.Month().String()[:3]), true
	case 'B':
		f.upper = f.upper || f.swap
		return f.word(t.Month().String()), true
	case 'c':
		return f.word(Time(t, "%a %b %e %H:%M:%S %Y")), true
	case 'C':
		return f.number(t.Year()/100, 2, '0'), true
	case 'd':
		return f.number(t.Day(), 2, '0'), true
	case 'D', 'x':
		return f.word(Time(t, "%m/%d/%y")), true
	case 'e':
		return f.number(t.Day(), 2, ' '), true
	case 'F':
		return f.word(Time(t, "%Y-%m-%d")), true
	case 'g', 'G', 'V':
		year, week := t.ISOWeek()
		switch verb {
		case 'g':
			return f.number(year%100, 2, '0'), true
		case 'G':
			return f.number(year, 1, '0'), true
		}
		return f.number(week, 2, '0'), true
	case 'H':
		return f.number(t.Hour(), 2, '0'), true
	case 'I':
		return f.number(hour12, 2, '0'), true
	case 'j':
		return f.number(t.YearDay(), 3, '0'), true
	case 'k':
		return f.number(t.Hour(), 2, ' '), true
	case 'l':
		return f.number(hour12, 2, ' '), true
	case 'm':
		return f.number(int(t.Month()), 2, '0'), true
	case 'M':
		return f.number(t.Minute(), 2, '0'), true
	case 'p', 'P':
		half := "AM"
		if t.Hour() >= 12 {
			half = "PM"
		}
		if verb == 'P' || f.swap {
			half = strings.ToLower(half)
		}
		return f.word(half), true
	case 'r':
		return f.word(Time(t, "%I:%M:%S %p")), true
	case 'R':
		return f.word(Time(t, "%H:%M")), true
	case 's':
		return f.number(int(t.Unix()), 1, '0'), true
	case 'S':
		return f.number(t.Second(), 2, '0'), true
	case 'T', 'X':
		return f.word(Time(t, "%H:%M:%S")), true
	case 'u':
		return f.number((int(t.Weekday())+6)%7+1, 1, '0'), true
	case 'w':
		return f.number(int(t.Weekday()), 1, '0'), true
	case 'U':
		return f.number((t.YearDay()+6-int(t.Weekday()))/7, 2, '0'), true
	case 'W':
		return f.number((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0'), true
	case 'y':
		return f.number(t.Year()%100, 2, '0'), true
	case 'Y':
		return f.number(t.Year(), 1, '0'), true
	case 'z':
		return f.word(t.Format("-0700")), true
	case 'Z':
		name, _ := t.Zone()
		if f.swap {
			name = strings.ToLower(name)
		}
		return f.word(name), true
	}
	return "", false
}
