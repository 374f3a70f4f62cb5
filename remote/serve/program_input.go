package serve

import "path/filepath"

// ignoresInput reports whether the program at path is known, by its name, to take
// nothing from its standard input, whatever its arguments are.
func ignoresInput(path string) bool {
	switch filepath.Base(path) {
	case "arch", "basename", "df", "dirname", "echo", "expr", "false", "free", "hostname", "id", "logname", "ls",
		"nproc", "printenv", "printf", "ps", "pwd", "readlink", "realpath", "seq", "sleep", "stat", "test", "true",
		"uname", "uptime", "who", "whoami", "yes":
		return true
	}
	return false
}
