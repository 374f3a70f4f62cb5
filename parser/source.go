package parser

import (
	"sort"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// A source is the text of a script with its places.
type source struct {
	name  string
	text  string
	lines []int // the offset of each line
	above int   // how many lines stand above the text
}

func newSource(name string, src []byte, above int) *source {
	s := &source{name: name, text: string(src), lines: []int{0}, above: above}
	for i := 0; ; {
		n := strings.IndexByte(s.text[i:], '\n')
		if n < 0 {
			return s
		}
		i += n + 1
		s.lines = append(s.lines, i)
	}
}

// position returns line and column of an offset, both from 1. An offset past
// the end counts as the end.
func (s *source) position(offset int) (line, column int) {
	offset = min(offset, len(s.text))
	line = sort.SearchInts(s.lines, offset+1)
	return line + s.above, offset - s.lines[line-1] + 1
}

// line returns a line without its newline.
func (s *source) line(number int) string {
	number -= s.above
	line := s.text[s.lines[number-1]:]
	if number < len(s.lines) {
		return line[:s.lines[number]-s.lines[number-1]-1]
	}
	return line
}

// slice returns the text between two positions, "" if they are none.
func (s *source) slice(from, to syntax.Pos) string {
	if !from.IsValid() || !to.IsValid() {
		return ""
	}
	start, end := int(from.Offset()), min(int(to.Offset()), len(s.text))
	if start >= end {
		return ""
	}
	return s.text[start:end]
}

// errorAt returns an error at an offset; cause may be nil.
func (s *source) errorAt(offset int, message string, cause error) *Error {
	line, column := s.position(offset)
	return &Error{
		Name:       s.name,
		Line:       line,
		Column:     column,
		Message:    visible(message),
		SourceLine: s.line(line),
		Err:        cause,
	}
}

// A disguise stands for the bytes of a text that are not UTF-8. The syntax
// package refuses them; bash takes them as any other character. Each such byte
// is exchanged for a control character that is nowhere in the text and means
// nothing to the shell, so that all offsets stay, and put back in the tree.
type disguise struct {
	as   [256]byte // what a byte is shown as; 0: itself
	back [256]byte // the reverse
}

// maskInvalid returns src with its invalid bytes in disguise, or src itself and
// nil if it has none. When more than 28 different bytes are invalid some stay.
func maskInvalid(src []byte) ([]byte, *disguise) {
	if utf8.Valid(src) {
		return src, nil
	}
	var used [256]bool
	for _, c := range src {
		used[c] = true
	}
	var free []byte
	for c := byte(1); c <= 0x7f; c++ {
		control := c < ' ' || c == 0x7f
		if control && !used[c] && !strings.ContainsRune("\t\n\r", rune(c)) {
			free = append(free, c)
		}
	}
	d := &disguise{}
	masked := make([]byte, len(src))
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		copy(masked[i:], src[i:i+size])
		if c := src[i]; r == utf8.RuneError && size == 1 {
			if d.as[c] == 0 && len(free) > 0 {
				d.as[c], d.back[free[0]] = free[0], c
				free = free[1:]
			}
			if d.as[c] != 0 {
				masked[i] = d.as[c]
			}
		}
		i += size
	}
	return masked, d
}

// restore puts back the bytes in disguise in a text of the tree.
func (d *disguise) restore(s *string) {
	if d == nil || strings.IndexFunc(*s, func(r rune) bool { return r < utf8.RuneSelf && d.back[r] != 0 }) < 0 {
		return
	}
	b := []byte(*s)
	for i, c := range b {
		if c < utf8.RuneSelf && d.back[c] != 0 {
			b[i] = d.back[c]
		}
	}
	*s = string(b)
}
