package pollfd

import (
	"os"

	"golang.org/x/term"
)

// IsTerminal reports whether f is a terminal. Unlike os.File.Fd it leaves the mode of
// the descriptor as it is.
func IsTerminal(f *os.File) bool {
	raw, err := f.SyscallConn()
	if err != nil {
		return false
	}
	terminal := false
	err = raw.Control(func(fd uintptr) { terminal = term.IsTerminal(int(fd)) })
	return err == nil && terminal
}
