package format

import (
	"bytes"
	"strings"
)

// DefaultSeparators are those of a shell in which IFS is not set.
const DefaultSeparators = " \t\n"

// A Line is what read has got of its input, without its backslashes.
type Line struct {
	Text    []byte
	Escaped []bool // bytes of Text that had a backslash before them; nil: none had
}

// escaped reports whether a byte stands for itself.
func (l Line) escaped(i int) bool { return l.Escaped != nil && l.Escaped[i] }

// A splitter divides a line at the characters of IFS (POSIX, field splitting).
type splitter struct {
	Line
	separators string
	at         int
}

// separates reports whether the byte at i is a separator, and whether it is white space.
func (s *splitter) separates(i int) (separator, space bool) {
	if i >= len(s.Text) || s.escaped(i) || strings.IndexByte(s.separators, s.Text[i]) < 0 {
		return false, false
	}
	c := s.Text[i]
	return true, c == ' ' || c == '\t' || c == '\n'
}

func (s *splitter) skipSpace() {
	for {
		if _, space := s.separates(s.at); !space {
			return
		}
		s.at++
	}
}

// field returns the next one, and moves behind what ends it. delimited reports that it
// was ended by something else than white space.
func (s *splitter) field() (field string, delimited bool) {
	begin := s.at
	end := begin
	for end < len(s.Text) {
		if is, _ := s.separates(end); is {
			break
		}
		end++
	}
	s.at = end
	if end < len(s.Text) {
		_, space := s.separates(end)
		s.at++
		s.skipSpace()
		if is, _ := s.separates(s.at); is && space {
			// One delimiter with the space around it.
			s.at++
			s.skipSpace()
		}
		delimited = !space
	}
	return string(s.Text[begin:end]), delimited
}

// Split returns as many fields as read has names for: what is left of the line is the
// last one's. Those that it has nothing for are empty. names is at least 1.
func (l Line) Split(separators string, names int) []string {
	fields := make([]string, names)
	s := &splitter{Line: l, separators: separators}
	s.skipSpace()
	for i := range names - 1 {
		if s.at < len(s.Text) {
			fields[i], _ = s.field()
		}
	}
	if s.at == len(s.Text) {
		return fields
	}
	begin := s.at
	only, _ := s.field()
	if s.at == len(s.Text) {
		fields[names-1] = only
		return fields
	}
	end := len(s.Text)
	for end > begin {
		if _, space := s.separates(end - 1); !space {
			break
		}
		end--
	}
	fields[names-1] = string(s.Text[begin:end])
	return fields
}

// Fields returns all fields of the line, for an array.
func (l Line) Fields(separators string) []string {
	fields := []string{}
	s := &splitter{Line: l, separators: separators}
	s.skipSpace()
	for s.at < len(s.Text) {
		f, delimited := s.field()
		if f != "" || delimited {
			fields = append(fields, f)
		}
	}
	return fields
}

// String returns the text up to its first NUL, which no variable can hold.
func (l Line) String() string {
	if i := bytes.IndexByte(l.Text, 0); i >= 0 {
		return string(l.Text[:i])
	}
	return string(l.Text)
}
