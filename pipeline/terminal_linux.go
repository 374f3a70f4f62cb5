package pipeline

import "golang.org/x/sys/unix"

// Requests of ioctl(2).
const (
	getTermios = unix.TCGETS
	setTermios = unix.TCSETS
	fionread   = unix.TIOCINQ
)
