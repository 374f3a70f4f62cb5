package format

import (
	"unicode/utf8"
)

// Echo appends to dst what echo puts out for args, with the newline at its end. escapes
// tells that backslashes are to be interpreted though -e is not given (xpg_echo). In a
// locale of UTF-8, utf8 is true: \u and \U then stand for characters.
func Echo(dst []byte, args []string, escapes, utf8 bool) []byte {
	newline := true
options:
	for len(args) > 0 {
		word := args[0]
		if len(word) < 2 || word[0] != '-' {
			break
		}
		for i := 1; i < len(word); i++ {
			if c := word[i]; c != 'n' && c != 'e' && c != 'E' {
				break options
			}
		}
		for i := 1; i < len(word); i++ {
			switch word[i] {
			case 'n':
				newline = false
			case 'e':
				escapes = true
			case 'E':
				escapes = false
			}
		}
		args = args[1:]
	}
	for i, arg := range args {
		if i > 0 {
			dst = append(dst, ' ')
		}
		if !escapes {
			dst = append(dst, arg...)
			continue
		}
		var stop bool
		if dst, stop = echoEscapes(dst, arg, utf8); stop {
			return dst
		}
	}
	if newline {
		dst = append(dst, '\n')
	}
	return dst
}

// echoEscapes appends an argument of echo -e. stop reports a \c.
func echoEscapes(dst []byte, s string, utf8 bool) (out []byte, stop bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			dst = append(dst, s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case '\\':
			dst = append(dst, c)
		case 'c':
			return dst, true
		case '0':
			n, value := digits(s[i+1:], 3, 8)
			dst = append(dst, byte(value))
			i += n
		case 'x':
			n, value := digits(s[i+1:], 2, 16)
			if n == 0 {
				dst = append(dst, '\\', 'x')
				break
			}
			dst = append(dst, byte(value))
			i += n
		case 'u', 'U':
			n, value := digits(s[i+1:], unicodeDigits(c), 16)
			if n == 0 {
				dst = append(dst, '\\', c)
				break
			}
			dst = appendUnicode(dst, value, utf8)
			i += n
		default:
			if control, ok := controlOf(c); ok {
				dst = append(dst, control)
			} else {
				dst = append(dst, '\\', c)
			}
		}
	}
	return dst, false
}

// escape appends what a backslash stands for in a format, or in an argument of %b,
// where s is what follows it. It returns how much of s that was; 0 where the backslash
// stands for itself.
func (p *Printf) escape(dst []byte, s string, argument bool) (out []byte, n int, stop bool) {
	if s == "" {
		return append(dst, '\\'), 0, false
	}
	switch c := s[0]; c {
	case '\\':
		return append(dst, c), 1, false
	case '0', '1', '2', '3', '4', '5', '6', '7':
		most := 3
		if argument && c == '0' {
			most = 4
		}
		n, value := digits(s, most, 8)
		return append(dst, byte(value)), n, false
	case 'x':
		n, value := digits(s[1:], 2, 16)
		if n == 0 {
			p.problem(`missing hex digit for \x`)
			return append(dst, '\\'), 0, false
		}
		return append(dst, byte(value)), 1 + n, false
	case 'u', 'U':
		n, value := digits(s[1:], unicodeDigits(c), 16)
		if n == 0 {
			p.problem(`missing unicode digit for \%c`, c)
			return append(dst, '\\'), 0, false
		}
		return appendUnicode(dst, value, p.UTF8), 1 + n, false
	case '\'', '"', '?':
		if !argument {
			return append(dst, c), 1, false
		}
	case 'c':
		if argument {
			return dst, 1, true
		}
	default:
		if control, ok := controlOf(c); ok {
			return append(dst, control), 1, false
		}
	}
	return append(dst, '\\'), 0, false
}

// controlOf returns the control character that a letter stands for behind a backslash.
func controlOf(c byte) (control byte, ok bool) {
	switch c {
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 'e', 'E':
		return 0x1b, true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'v':
		return '\v', true
	}
	return 0, false
}

func unicodeDigits(c byte) int {
	if c == 'u' {
		return 4
	}
	return 8
}

// digits reads at most so many digits of a base, 8 or 16.
func digits(s string, most int, base uint32) (n int, value uint32) {
	for n < most && n < len(s) {
		d := digit(s[n])
		if d >= base {
			break
		}
		value = value*base + d
		n++
	}
	return n, value
}

// digit returns the value of a digit; one over every base for all else.
func digit(c byte) uint32 {
	switch {
	case '0' <= c && c <= '9':
		return uint32(c - '0')
	case 'a' <= c && c <= 'f':
		return uint32(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return uint32(c-'A') + 10
	}
	return 99
}

// appendUnicode appends a character, or where the locale has none how it is written.
func appendUnicode(dst []byte, value uint32, utf8 bool) []byte {
	switch {
	case value < 0x80:
		return append(dst, byte(value))
	case utf8:
		return appendUTF8(dst, value)
	case value <= 0xffff:
		return appendHex(append(dst, `\u`...), value, 4)
	}
	return appendHex(append(dst, `\U`...), value, 8)
}

// appendUTF8 encodes as RFC 2279 had it: also what is no character.
func appendUTF8(dst []byte, value uint32) []byte {
	switch {
	case value < 0xd800 || 0xe000 <= value && value <= utf8.MaxRune:
		return utf8.AppendRune(dst, rune(value))
	case value < 0x10000:
		return append(dst, 0xe0|byte(value>>12), tail(value>>6), tail(value))
	case value < 0x200000:
		return append(dst, 0xf0|byte(value>>18), tail(value>>12), tail(value>>6), tail(value))
	case value < 0x4000000:
		return append(dst, 0xf8|byte(value>>24), tail(value>>18), tail(value>>12), tail(value>>6), tail(value))
	case value < 0x80000000:
		return append(dst, 0xfc|byte(value>>30), tail(value>>24), tail(value>>18), tail(value>>12), tail(value>>6), tail(value))
	}
	return dst
}

func tail(value uint32) byte { return 0x80 | byte(value)&0x3f }

func appendHex(dst []byte, value uint32, width int) []byte {
	const hex = "0123456789ABCDEF"
	for shift := 4 * (width - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hex[value>>shift&15])
	}
	return dst
}
