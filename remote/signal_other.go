//go:build !unix

package remote

import "syscall"

// signals are those that RFC 4254, section 6.10, names, with POSIX's numbers.
var signals = map[string]syscall.Signal{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
	"USR1": 10, "SEGV": 11, "USR2": 12, "PIPE": 13, "ALRM": 14, "TERM": 15,
}

// signalName returns the name of s without SIG, or "".
func signalName(s syscall.Signal) string {
	for name, n := range signals {
		if n == s {
			return name
		}
	}
	return ""
}

// signalNumber is the inverse of signalName; 0 for a name unknown here.
func signalNumber(name string) int { return int(signals[name]) }
