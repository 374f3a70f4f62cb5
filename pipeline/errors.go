package pipeline

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-multierror"
	"mvdan.cc/sh/v3/interp"

	"rpipe/parser"
)

// A StageError is the failure of one stage.
type StageError struct {
	Pipeline, Stage int    // as in StageReport
	Host, Program   string // empty for a local stage
	Service         string // the address of a service, with its port as written; empty for programs
	Line, Column    int    // of the stage's name, from 1
	Status          int    // exit status, never 0
	Err             error  // the cause, never nil
}

// Error names the stage, says what happened, and where in the script the stage
// stands, in one line that holds no control characters, whatever the cause holds.
func (e *StageError) Error() string {
	var b strings.Builder
	switch {
	case e.Stage > 0:
		fmt.Fprintf(&b, "stage %d", e.Stage)
	case e.Line > 0:
		fmt.Fprintf(&b, "line %d", e.Line)
	default:
		b.WriteString("the script")
	}
	switch {
	case e.Service != "":
		fmt.Fprintf(&b, " %s", e.Service)
	case e.Host != "":
		fmt.Fprintf(&b, " %v", parser.Address{Host: e.Host, Program: e.Program})
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	switch {
	case e.Stage == 0 || e.Column == 0: // not in the script's text
	case e.Line == 1:
		fmt.Fprintf(&b, " (column %d)", e.Column)
	default:
		fmt.Fprintf(&b, " (line %d, column %d)", e.Line, e.Column)
	}
	return printable(b.String())
}

// Unwrap returns the cause.
func (e *StageError) Unwrap() error { return e.Err }

// ExitStatus returns Status.
func (e *StageError) ExitStatus() int { return e.Status }

// Hint returns the next step for the user, in one line, or "".
func (e *StageError) Hint() string {
	var hinter interface{ Hint() string }
	if errors.As(e.Err, &hinter) {
		return printable(hinter.Hint())
	}
	return ""
}

// An ExitError is the end of a script with a status other than 0.
type ExitError struct {
	// Status is from 1 to 255.
	Status int

	// Err is why, where that is more than a local command's own status: the
	// *StageErrors that decided it, as a *multierror.Error; the cause of the
	// context that ended the script; or what kept the script from running. It
	// is nil otherwise.
	Err error
}

// Error gives the cause, or the status.
func (e *ExitError) Error() string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// Unwrap returns the cause, or nil.
func (e *ExitError) Unwrap() error { return e.Err }

// ExitStatus returns Status.
func (e *ExitError) ExitStatus() int { return e.Status }

// ExitStatus returns the status for a process that ends with err, an error of
// Run: 0 for nil, 1 for an error that has none.
func ExitStatus(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := statusOf(err); ok {
		return status
	}
	return 1
}

// A bugError is a panic in the interpreter.
type bugError struct {
	panicked any
	stack    []byte
}

func (e *bugError) Error() string {
	return fmt.Sprintf("bug in the shell interpreter: %v", e.panicked)
}

func (e *bugError) ExitStatus() int { return 2 }

func (e *bugError) Hint() string {
	return "the script reached something that the interpreter cannot do; please report it"
}

// A verdict is a failure that decided a status inside the interpreter, which
// carries it to the end of the script if nothing comes between.
type verdict struct {
	status int // 1 to 255
	stages []*StageError
	lost   bool // a stage among them was lost
}

func (v *verdict) Error() string {
	if len(v.stages) > 0 {
		return joined(v.stages).Error()
	}
	return fmt.Sprintf("exit status %d", v.status)
}

// Unwrap gives the interpreter the status that it looks for.
func (v *verdict) Unwrap() error { return interp.ExitStatus(v.status) }

// joined returns the errors of stages as one; nil if there are none.
func joined(stages []*StageError) error {
	if len(stages) == 0 {
		return nil
	}
	all := &multierror.Error{ErrorFormat: lines}
	for _, s := range stages {
		all.Errors = append(all.Errors, s)
	}
	return all
}

// lines is a multierror.ErrorFormatFunc: one line for each.
func lines(errs []error) string {
	var b strings.Builder
	for i, err := range errs {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// statusOf returns the exit status that err carries, from 1 to 255.
func statusOf(err error) (status int, ok bool) {
	var coded interface{ ExitStatus() int }
	if errors.As(err, &coded) {
		if status := coded.ExitStatus(); status > 0 && status < 256 {
			return status, true
		}
	}
	return 0, false
}

// signalOf returns the signal that a cancelled context's cause stands for.
func signalOf(cause error) syscall.Signal {
	var carrier interface{ Signal() syscall.Signal }
	if errors.As(cause, &carrier) {
		return carrier.Signal()
	}
	return syscall.SIGTERM
}

// printable returns s with everything that could act on a terminal escaped.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteString(s[:size])
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

// refuse tells on a command's stderr what cannot be run as bash runs it.
func (x *execution) refuse(stderr io.Writer, err error) error {
	fmt.Fprintf(stderr, "rpipe: %v\n", err) // it is printable, and has lines
	return failure(statusUsage)
}
