package serve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxConfigErrors is how many errors of one file are told; more would push
	// the first off the screen.
	maxConfigErrors = 20
	// maxSourceLine is the longest line, in bytes, that is shown with a caret.
	maxSourceLine = 200
)

// A ConfigError is one thing that is wrong at one place of a configuration file.
type ConfigError struct {
	Name         string // the file, as it was named to Load
	Line, Column int    // both from 1; the column counts bytes
	Message      string // what is wrong, and the next step
	SourceLine   string // the line without its end; empty if it is too long to show
}

// Error returns "name:line:column: message", then the line, then a caret under
// the column. Control characters of the line are shown as U+FFFD.
func (e *ConfigError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", e.Name, e.Line, e.Column, e.Message)
	if e.SourceLine == "" || e.Column < 1 || e.Column > len(e.SourceLine)+1 {
		return b.String()
	}
	b.WriteByte('\n')
	b.WriteString(printable(e.SourceLine))
	b.WriteByte('\n')
	for _, r := range e.SourceLine[:e.Column-1] {
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteByte('^')
	return b.String()
}

func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, line)
}

// ConfigErrors is everything that is wrong in a configuration file, in the order
// of the file. It is never empty.
type ConfigErrors []*ConfigError

// Error joins the errors by newlines and says how many it left out, if any.
func (e ConfigErrors) Error() string {
	var parts []string
	for i, err := range e {
		if i == maxConfigErrors {
			parts = append(parts, fmt.Sprintf("%s: %d more errors", err.Name, len(e)-i))
			break
		}
		parts = append(parts, err.Error())
	}
	return strings.Join(parts, "\n")
}

// Unwrap lets errors.As find each *ConfigError.
func (e ConfigErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, err := range e {
		errs[i] = err
	}
	return errs
}

// configErrorAt describes the place offset, in bytes from the start of src.
// An offset past the end is the end.
func configErrorAt(name string, src []byte, offset int, message string) *ConfigError {
	offset = max(0, min(offset, len(src)))
	before, after := string(src[:offset]), string(src[offset:])
	start := strings.LastIndexByte(before, '\n') + 1
	e := &ConfigError{
		Name:    name,
		Line:    strings.Count(before, "\n") + 1,
		Column:  offset - start + 1,
		Message: message,
	}
	rest, _, _ := strings.Cut(after, "\n")
	if line := strings.TrimSuffix(before[start:]+rest, "\r"); len(line) <= maxSourceLine {
		e.SourceLine = line
	}
	return e
}

func sortConfigErrors(errs ConfigErrors) {
	slices.SortStableFunc(errs, func(a, b *ConfigError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
