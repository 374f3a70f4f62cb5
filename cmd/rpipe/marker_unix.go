//go:build unix

package main

import (
	"os"
	"syscall"
)

// markers are the signals that mark sends: they mean nothing to this process, and come
// behind those that end one.
var markers = []os.Signal{syscall.SIGWINCH, syscall.SIGIO}

// ending are the signals that end a process, and that come from outside.
var ending = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM,
}

// stops reports whether a signal suspends this process at its terminal.
func stops(sig syscall.Signal) bool {
	return sig == syscall.SIGTSTP || sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
}

// isOfRuntime reports whether the Go runtime sends itself a signal, all the time: what
// comes says nothing.
func isOfRuntime(sig syscall.Signal) bool { return sig == syscall.SIGURG }

// mark sends this process a marker.
func mark(marker os.Signal) bool {
	return syscall.Kill(os.Getpid(), marker.(syscall.Signal)) == nil
}
