//go:build !linux

package pollfd

import (
	"errors"
	"os"
	"syscall"
)

// Send returns errors.ErrUnsupported on this system.
func (w *Waker) Send(syscall.Conn, *os.File, func(n int64)) error { return errors.ErrUnsupported }

// Receive returns errors.ErrUnsupported on this system.
func (w *Waker) Receive(*os.File, syscall.Conn, func(n int64)) error { return errors.ErrUnsupported }

// AwaitHangup returns false at once: on this system it is seen by the next write.
func (w *Waker) AwaitHangup(syscall.Conn) bool { return false }
