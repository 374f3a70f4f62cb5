package pipeline

import (
	"context"
	"os"
	"time"
)

// readerGone returns false: a write to a pipe that nobody reads is not noticed.
func readerGone(context.Context, *os.File) bool { return false }

// noReader returns false.
func noReader(*os.File) bool { return false }

// unblock does nothing: there are no FIFOs in the file system.
func unblock(string) {}

// isReader returns false: files cannot be asked.
func isReader(any) bool { return false }

// A pipeID is the identity of a pipe, which cannot be had here.
type pipeID struct{ path string }

func pipeOf(any) pipeID { return pipeID{} }

// usageNow returns the time only.
func usageNow() usage { return usage{at: time.Now()} }

// awaitInputUntil does not wait: a read of a builtin cannot be ended.
func awaitInputUntil(ctx context.Context, _ *os.File, _ time.Time) error { return ctx.Err() }

// available returns 0: it cannot be known.
func available(*os.File) int { return 0 }

// readyNow returns true: a read will tell.
func readyNow(*os.File) bool { return true }

// isTerminal reports whether a file is a console.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// quiet does nothing.
func quiet(*os.File, bool, bool) (restore func()) { return func() {} }

// usedNow returns nothing used.
func usedNow() (own, children usage) { return usage{}, usage{} }
