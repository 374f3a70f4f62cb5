//go:build unix

package main

import "os"

// terminalName is the controlling terminal (POSIX, XBD 10.1).
const terminalName = "/dev/tty"

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	tty, err := os.OpenFile(terminalName, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}
