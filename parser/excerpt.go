package parser

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxColumns is how wide an excerpt may be, so that with "..." on both sides a
// terminal shows it in one row.
const maxColumns = 74

// A glyph is a character of a line as it is shown.
type glyph struct {
	text  string
	width int // in columns of a terminal
}

// excerpt returns what is near the column of a line, and below it a line with a
// caret under the column. The column counts bytes from 1; it may point into a
// character, and behind the line.
func excerpt(line string, column int) string {
	line = strings.TrimSuffix(line, "\r")
	at := min(max(column-1, 0), len(line))
	for at > 0 && at < len(line) && !utf8.RuneStart(line[at]) {
		at--
	}

	// As much as fits is taken from both sides, then the longer gives way.
	left, leftWidth, leftAll := glyphsBefore(line[:at], maxColumns)
	right, rightWidth, rightAll := glyphsAfter(line[at:], maxColumns)
	if keep := maxColumns - min(rightWidth, maxColumns/2); leftWidth > keep {
		left, leftWidth, leftAll = glyphsBefore(line[:at], keep)
	}
	if keep := maxColumns - leftWidth; rightWidth > keep {
		right, _, rightAll = glyphsAfter(line[at:], keep)
	}

	var text, caret strings.Builder
	if !leftAll {
		text.WriteString("...")
		caret.WriteString("   ")
	}
	for _, g := range left {
		text.WriteString(g.text)
		if g.text == "\t" {
			caret.WriteByte('\t')
		} else {
			caret.WriteString(strings.Repeat(" ", g.width))
		}
	}
	for _, g := range right {
		text.WriteString(g.text)
	}
	if !rightAll {
		text.WriteString("...")
	}
	return text.String() + "\n" + caret.String() + "^"
}

// glyphsBefore returns the last glyphs of s that fit into width, in order, and
// whether they are all.
func glyphsBefore(s string, width int) (glyphs []glyph, used int, all bool) {
	for s != "" {
		_, size := utf8.DecodeLastRuneInString(s)
		g := show(s[len(s)-size:])
		if used+g.width > width || len(glyphs) == maxGlyphs {
			break
		}
		glyphs = append(glyphs, g)
		used += g.width
		s = s[:len(s)-size]
	}
	for i, j := 0, len(glyphs)-1; i < j; i, j = i+1, j-1 {
		glyphs[i], glyphs[j] = glyphs[j], glyphs[i]
	}
	return glyphs, used, s == ""
}

// glyphsAfter returns the first glyphs of s that fit into width, and whether
// they are all.
func glyphsAfter(s string, width int) (glyphs []glyph, used int, all bool) {
	for s != "" {
		_, size := utf8.DecodeRuneInString(s)
		g := show(s[:size])
		if used+g.width > width || len(glyphs) == maxGlyphs {
			break
		}
		glyphs = append(glyphs, g)
		used += g.width
		s = s[size:]
	}
	return glyphs, used, s == ""
}

// maxGlyphs bounds an excerpt that is full of characters without width.
const maxGlyphs = 4 * maxColumns

// show returns the glyph of one encoded character, or of one byte that is none.
func show(s string) glyph {
	r, size := utf8.DecodeRuneInString(s)
	switch {
	case r == '\t':
		return glyph{"\t", 8} // at most
	case r == utf8.RuneError && size == 1 || !unicode.IsPrint(r):
		text := strconv.Quote(s)
		text = text[1 : len(text)-1]
		return glyph{text, len(text)}
	}
	return glyph{s, runeWidth(r)}
}

// runeWidth returns how many columns a terminal takes for a printable
// character: none for marks that combine, two for East Asian wide and
// full-width forms and for emoji (Unicode Standard Annex #11).
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, // Hangul initial consonants
		r >= 0x2e80 && r <= 0xa4cf && r != 0x303f, // CJK to Yi
		r >= 0xac00 && r <= 0xd7a3,                // Hangul syllables
		r >= 0xf900 && r <= 0xfaff,                // CJK compatibility ideographs
		r >= 0xfe30 && r <= 0xfe6f,                // CJK compatibility forms
		r >= 0xff00 && r <= 0xff60,                // full-width forms
		r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1f64f, // emoji
		r >= 0x1f680 && r <= 0x1f6ff,
		r >= 0x1f900 && r <= 0x1f9ff,
		r >= 0x20000 && r <= 0x3fffd: // CJK extensions
		return 2
	}
	return 1
}

// visible returns s with everything escaped that is not printable, as Go
// strings have it.
func visible(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for s != "" {
		_, size := utf8.DecodeRuneInString(s)
		if s[0] == '\t' {
			b.WriteString(`\t`)
		} else {
			b.WriteString(show(s[:size]).text)
		}
		s = s[size:]
	}
	return b.String()
}

// quote returns s in double quotes, escaped, and shortened if it is long.
func quote(s string) string {
	return strconv.Quote(brief(s, 64))
}

// brief returns s, or if it is longer than limit bytes its beginning and "...".
func brief(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit - len("...")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
