//go:build unix

package remote

import (
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName returns the name of s without SIG, as in RFC 4254, section 6.10.
func signalName(s syscall.Signal) string {
	return strings.TrimPrefix(unix.SignalName(s), "SIG")
}

// signalNumber is the inverse of signalName; 0 for a name unknown here.
func signalNumber(name string) int { return int(unix.SignalNum("SIG" + name)) }
