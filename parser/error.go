package parser

import (
	"fmt"
	"strings"
)

// maxShown bounds how many errors of a list are written out.
const maxShown = 20

// An Error is one thing wrong in a script, at its place.
type Error struct {
	Name         string // of the script; "" is left out
	Line, Column int    // from 1; the column in bytes, at most one past the line
	Message      string // without control characters
	SourceLine   string // the whole line as it is in the script, without its newline
	Err          error  // the cause if it has a type: an *AddressError or *UnsupportedError; else nil
}

// Error returns "name:line:column: message", the line of the source, and below
// it a caret under the column. A long line is cut to what is near the column;
// control characters and bytes that are not UTF-8 are shown escaped. There is
// no final newline.
func (e *Error) Error() string {
	var name string
	if e.Name != "" {
		name = visible(e.Name) + ":"
	}
	return fmt.Sprintf("%s%d:%d: %s\n%s", name, e.Line, e.Column, e.Message, excerpt(e.SourceLine, e.Column))
}

func (e *Error) Unwrap() error { return e.Err }

// ExitStatus is that of a syntax error: 2.
func (e *Error) ExitStatus() int { return 2 }

// An ErrorList holds the errors of one script in the order of their places. It
// is never empty when it comes from Parse.
type ErrorList []*Error

// Error returns the errors one after the other; of many only the first, and
// how many more there are.
func (l ErrorList) Error() string {
	if len(l) == 0 {
		return "no errors"
	}
	var b strings.Builder
	for i, e := range l {
		if i == maxShown {
			fmt.Fprintf(&b, "\nand %d more", len(l)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap makes every error of the list reachable by errors.As.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// ExitStatus is that of a syntax error: 2.
func (l ErrorList) ExitStatus() int { return 2 }
