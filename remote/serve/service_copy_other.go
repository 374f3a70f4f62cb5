//go:build !linux

package serve

import (
	"errors"
	"sync/atomic"
	"syscall"
)

// spliceStream returns errors.ErrUnsupported on this system.
func spliceStream(_, _ syscall.Conn, _ *atomic.Int64) error { return errors.ErrUnsupported }
