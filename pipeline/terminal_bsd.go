//go:build unix && !linux

package pipeline

import "golang.org/x/sys/unix"

// Requests of ioctl(2).
const (
	getTermios = unix.TIOCGETA
	setTermios = unix.TIOCSETA
	fionread   = 0x4004667f // FIONREAD of sys/filio.h
)
