package format

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns a word that a shell reads as s, in the form of printf's %q: with
// backslashes, or as $'...' where s holds what cannot be printed. In a locale of UTF-8,
// isUTF8 is true: its characters can then be printed.
func Quote(s string, isUTF8 bool) string {
	if s == "" {
		return "''"
	}
	plain := true
	for i := 0; i < len(s); {
		size := printableAt(s[i:], isUTF8)
		if size == 0 {
			return ansiQuote(s, isUTF8)
		}
		plain = plain && size == 1 && !mustQuote(s, i)
		i += size
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if mustQuote(s, i) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// printableAt returns the length of the character that s begins with, 0 for one that
// cannot be printed.
func printableAt(s string, isUTF8 bool) int {
	if c := s[0]; c < utf8.RuneSelf || !isUTF8 {
		if c < ' ' || c >= 0x7f {
			return 0
		}
		return 1
	}
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size <= 1 || !unicode.IsPrint(r) {
		return 0
	}
	return size
}

// mustQuote reports whether a shell would not read the byte at i as itself.
func mustQuote(s string, i int) bool {
	switch s[i] {
	case ' ', '\t', '\n', '\'', '"', '\\', '|', '&', ';', '(', ')', '<', '>', '!', '{', '}',
		'*', '[', '?', ']', '^', '$', '`', ',':
		return true
	case '#':
		return i == 0
	case '~':
		return i == 0 || s[i-1] == ':' || s[i-1] == '='
	}
	return false
}

func ansiQuote(s string, isUTF8 bool) string {
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(s); {
		c := s[i]
		switch c {
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		case 0x1b:
			b.WriteString(`\E`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\v':
			b.WriteString(`\v`)
		case '\\', '\'':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			if size := printableAt(s[i:], isUTF8); size > 0 {
				b.WriteString(s[i : i+size])
				i += size
				continue
			}
			b.Write([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		}
		i++
	}
	b.WriteByte('\'')
	return b.String()
}
