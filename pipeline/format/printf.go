package format

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Printf is what printf needs to know of its shell. The zero value is one in the C
// locale that tells nothing of what is wrong.
type Printf struct {
	UTF8    bool              // of the locale
	Now     func() time.Time  // in the zone that %(...)T shows; nil is the zero time
	Began   time.Time         // of the shell: the argument -2 of %(...)T
	Problem func(text string) // is told what is wrong; nil: nobody is

	// Count is given what %n asks for: the number of bytes that this use of the
	// format has put out. It returns false where that is no name of a variable. nil
	// refuses all names.
	Count func(name string, n int) bool

	args   []string
	failed bool // a number was none
}

// A conversion is one that stands in a format.
type conversion struct {
	left, plus, space, alt, zero, group bool
	width, precision                    int // a precision of -1 is none
}

// maxPadding bounds widths and precisions: more is refused as too large.
const maxPadding = math.MaxInt32

// Format appends to dst what printf puts out for a format and its arguments. The format
// is used again for as long as it takes arguments. It returns the status of printf: 1
// where a number was none, or the format is wrong, which ends it.
func (p Printf) Format(dst []byte, format string, args []string) ([]byte, int) {
	p.args, p.failed = args, false
	status := 0
	for {
		before := len(p.args)
		var more bool
		if dst, more, status = p.pass(dst, format); !more {
			break
		}
		if len(p.args) == 0 || len(p.args) == before {
			break
		}
	}
	if p.failed {
		status = 1
	}
	return dst, status
}

// pass uses the format once. more is false where printf is at its end.
func (p *Printf) pass(dst []byte, format string) (out []byte, more bool, status int) {
	begin := len(dst)
	for i := 0; i < len(format); {
		switch c := format[i]; {
		case c == '\\':
			var n int
			dst, n, _ = p.escape(dst, format[i+1:], false)
			i += 1 + n
		case c != '%':
			next := strings.IndexAny(format[i:], `\%`)
			if next < 0 {
				next = len(format) - i
			}
			dst = append(dst, format[i:i+next]...)
			i += next
		case strings.HasPrefix(format[i:], "%%"):
			dst = append(dst, '%')
			i += 2
		default:
			at := i
			spec, n := p.read(format[i+1:])
			i += 1 + n
			if i == len(format) {
				p.problem("`%s': missing format character", format[at:])
				return dst, false, 1
			}
			verb := format[i]
			i++
			switch verb {
			case '(':
				layout, n, bad := timeLayout(format[i:])
				if bad != "" {
					p.problem("warning: `%s': invalid time format specification", bad)
					dst = append(dst, '%')
					i = at + 1
					break
				}
				i += n
				dst = spec.pad(dst, p.time(layout))
			case 'n':
				if name := p.next(); name != "" {
					if p.Count == nil || !p.Count(name, len(dst)-begin) {
						return dst, false, 1
					}
				}
			case 'b':
				text, stop := p.expand(p.next())
				dst = spec.pad(dst, text)
				if stop {
					p.failed = false // as bash has it
					return dst, false, 0
				}
			default:
				var ok bool
				if dst, ok = p.convert(dst, spec, verb); !ok {
					p.problem("`%c': invalid format character", verb)
					return dst, false, 1
				}
			}
		}
	}
	return dst, true, 0
}

// read reads what stands between the "%" and the letter of a conversion.
func (p *Printf) read(s string) (c conversion, n int) {
	c.precision = -1
flags:
	for ; n < len(s); n++ {
		switch s[n] {
		case '#':
			c.alt = true
		case '\'':
			c.group = true
		case '-':
			c.left = true
		case '+':
			c.plus = true
		case ' ':
			c.space = true
		case '0':
			c.zero = true
		default:
			break flags
		}
	}
	if n < len(s) && s[n] == '*' {
		n++
		if c.width = p.padding(); c.width < 0 {
			c.left, c.width = true, -c.width
		}
	} else {
		n += number(s[n:], &c.width)
	}
	if n < len(s) && s[n] == '.' {
		n++
		c.precision = 0
		switch {
		case n < len(s) && s[n] == '*':
			n++
			c.precision = max(p.padding(), -1)
		case n < len(s) && s[n] == '-':
			var ignored int
			n += 1 + number(s[n+1:], &ignored)
			c.precision = -1
		default:
			n += number(s[n:], &c.precision)
		}
	}
	for n < len(s) && strings.IndexByte("hjlLtz", s[n]) >= 0 {
		n++
	}
	return c, n
}

// number reads digits, if there are any.
func number(s string, value *int) (n int) {
	*value = 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		*value = min(*value*10+int(s[n]-'0'), maxPadding)
		n++
	}
	return n
}

// convert appends a conversion that needs no more than its argument.
func (p *Printf) convert(dst []byte, c conversion, verb byte) (out []byte, ok bool) {
	switch verb {
	case 's':
		return c.pad(dst, p.next()), true
	case 'c':
		arg := p.next()
		if arg == "" {
			arg = "\x00"
		}
		c.precision = -1
		return c.pad(dst, arg[:1]), true
	case 'q':
		return c.pad(dst, Quote(p.next(), p.UTF8)), true
	case 'Q':
		arg := p.next()
		if c.precision >= 0 && c.precision < len(arg) {
			arg = arg[:c.precision]
		}
		c.precision = -1
		return c.pad(dst, Quote(arg, p.UTF8)), true
	case 'd', 'i':
		value, negative := p.signed()
		return c.integer(dst, value, negative, true, verb), true
	case 'o', 'u', 'x', 'X':
		return c.integer(dst, p.unsigned(), false, false, verb), true
	case 'a', 'A', 'e', 'E', 'f', 'F', 'g', 'G':
		return c.float(dst, p.float(), verb), true
	}
	return dst, false
}

// pad appends a string with its width and precision, which count bytes.
func (c conversion) pad(dst []byte, s string) []byte {
	if c.precision >= 0 && c.precision < len(s) {
		s = s[:c.precision]
	}
	if !c.left {
		dst = fill(dst, ' ', c.width-len(s))
	}
	dst = append(dst, s...)
	if c.left {
		dst = fill(dst, ' ', c.width-len(s))
	}
	return dst
}

func fill(dst []byte, c byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, c)
	}
	return dst
}

// integer appends a number that has a magnitude and a sign.
func (c conversion) integer(dst []byte, value uint64, negative, signed bool, verb byte) []byte {
	base := 10
	switch verb {
	case 'o':
		base = 8
	case 'x', 'X':
		base = 16
	}
	var buf [24]byte
	text := strconv.AppendUint(buf[:0], value, base)
	if c.precision == 0 && value == 0 {
		text = nil
	}
	sign := ""
	switch {
	case negative:
		sign = "-"
	case signed && c.plus:
		sign = "+"
	case signed && c.space:
		sign = " "
	case c.alt && base == 16 && value != 0:
		sign = "0x"
	}
	zeros := c.precision - len(text)
	if c.alt && base == 8 && zeros <= 0 && (len(text) == 0 || text[0] != '0') {
		zeros = 1
	}
	if c.precision < 0 && c.zero && !c.left {
		zeros = max(zeros, c.width-len(sign)-len(text))
	}
	zeros = max(zeros, 0)
	padding := c.width - len(sign) - zeros - len(text)
	if !c.left {
		dst = fill(dst, ' ', padding)
	}
	begin := len(dst)
	dst = append(dst, sign...)
	dst = fill(dst, '0', zeros)
	dst = append(dst, text...)
	if verb == 'X' {
		upper(dst[begin:])
	}
	if c.left {
		dst = fill(dst, ' ', padding)
	}
	return dst
}

func upper(b []byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - ('a' - 'A')
		}
	}
}

// next takes the next argument; it is empty where there is none.
func (p *Printf) next() string {
	if len(p.args) == 0 {
		return ""
	}
	arg := p.args[0]
	p.args = p.args[1:]
	return arg
}

// expand interprets the backslashes of an argument of %b. stop reports a \c.
func (p *Printf) expand(arg string) (text string, stop bool) {
	if strings.IndexByte(arg, '\\') < 0 {
		return arg, false
	}
	var dst []byte
	for i := 0; i < len(arg); {
		if arg[i] != '\\' || i+1 == len(arg) {
			dst = append(dst, arg[i])
			i++
			continue
		}
		var n int
		if dst, n, stop = p.escape(dst, arg[i+1:], true); stop {
			break
		}
		i += 1 + n
	}
	return string(dst), stop
}

// charValue returns the value of an argument that begins with a quote: that of the
// character behind it (POSIX, printf).
func (p *Printf) charValue(arg string) (value uint64, is bool) {
	if arg == "" || arg[0] != '\'' && arg[0] != '"' {
		return 0, false
	}
	if arg = arg[1:]; arg == "" {
		return 0, true
	}
	if r, size := utf8.DecodeRuneInString(arg); p.UTF8 && (r != utf8.RuneError || size > 1) {
		return uint64(r), true
	}
	return uint64(arg[0]), true
}

// padding takes the argument of a "*".
func (p *Printf) padding() int {
	arg := ""
	if len(p.args) > 0 {
		arg = p.args[0]
	}
	value, negative := p.signed()
	if value > maxPadding {
		p.problem("warning: %s: Numerical result out of range", arg)
		value = maxPadding
	}
	if negative {
		return -int(value)
	}
	return int(value)
}

// signed takes an argument as an intmax_t.
func (p *Printf) signed() (magnitude uint64, negative bool) {
	arg := p.next()
	if value, is := p.charValue(arg); is {
		return value, false
	}
	magnitude, negative, overflow, ok := integer(arg)
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	overflow = overflow || magnitude > limit
	p.checked(arg, ok, overflow)
	return min(magnitude, limit), negative && magnitude > 0
}

// unsigned takes an argument as a uintmax_t.
func (p *Printf) unsigned() uint64 {
	arg := p.next()
	if value, is := p.charValue(arg); is {
		return value
	}
	magnitude, negative, overflow, ok := integer(arg)
	p.checked(arg, ok, overflow)
	if negative && !overflow {
		return -magnitude
	}
	return magnitude
}

// checked tells of a number that was none, or too large.
func (p *Printf) checked(arg string, ok, overflow bool) {
	switch {
	case !ok:
		kind := "number"
		switch s := strings.TrimLeft(arg, " \t\n\v\f\r+-"); {
		case len(s) > 1 && s[0] == '0' && '0' <= s[1] && s[1] <= '9':
			kind = "octal number"
		case len(s) > 1 && s[0] == '0' && s[1] == 'x':
			kind = "hex number"
		}
		p.problem("%s: invalid %s", arg, kind)
		p.failed = true
	case overflow:
		p.problem("warning: %s: Numerical result out of range", arg)
	}
}

// integer reads what strtoimax(3) takes of s with base 0. ok reports that that is all
// of it.
func integer(s string) (magnitude uint64, negative, overflow, ok bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	base, any := uint64(10), false
	if i < len(s) && s[i] == '0' {
		base, any = 8, true
		i++
		if i+1 < len(s) && (s[i] == 'x' || s[i] == 'X') && digit(s[i+1]) < 16 {
			base = 16
			i++
		}
	}
	for i < len(s) && uint64(digit(s[i])) < base {
		d := uint64(digit(s[i]))
		if magnitude > (math.MaxUint64-d)/base {
			overflow = true
		}
		magnitude = magnitude*base + d
		any = true
		i++
	}
	if overflow {
		magnitude = math.MaxUint64
	}
	if !any {
		return 0, false, false, s == ""
	}
	return magnitude, negative, overflow, i == len(s)
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
