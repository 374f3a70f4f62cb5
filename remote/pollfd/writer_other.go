//go:build !unix

package pollfd

import (
	"io"
	"syscall"
)

// Writer returns out.
func (w *Waker) Writer(out io.Writer) io.Writer { return out }

// AwaitRoom returns nil at once.
func (w *Waker) AwaitRoom(syscall.Conn) error { return nil }
