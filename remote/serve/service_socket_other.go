//go:build !linux

package serve

import (
	"syscall"
	"time"
)

// isReset returns false: this system does not tell.
func isReset(stream) bool { return false }

// isDead returns false: what the system itself finds out must do.
func isDead(stream, time.Duration) bool { return false }

// unacknowledged returns 0: this system does not tell.
func unacknowledged(stream) int { return 0 }

func (*serviceConn) count() {}

func boundSend(syscall.Conn) {}

func listenControl(*Service, uintptr, bool) error { return nil }
