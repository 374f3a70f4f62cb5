//go:build !unix

package pollfd

import "io"

// Waker does nothing on this system: reads of files cannot be ended, and a reader
// that has gone is noticed by the next write.
type Waker struct{}

// NewWaker returns a Waker.
func NewWaker() (*Waker, error) { return &Waker{}, nil }

// Wake does nothing.
func (w *Waker) Wake() {}

// Close does nothing.
func (w *Waker) Close() {}

// Reader returns r.
func (w *Waker) Reader(r io.Reader) io.Reader { return r }

// AwaitReaderGone returns false.
func (w *Waker) AwaitReaderGone(io.Writer) bool { return false }
