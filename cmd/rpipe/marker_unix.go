//go:build unix

package main

import (
	"os"
	"syscall"
)

// markers are the signals that mark sends: the change of a window's size, which
// means nothing to this process.
var markers = []os.Signal{syscall.SIGWINCH}

func isMarker(sig os.Signal) bool { return sig == syscall.SIGWINCH }

// mark sends this process a marker.
func mark() bool { return syscall.Kill(os.Getpid(), syscall.SIGWINCH) == nil }
