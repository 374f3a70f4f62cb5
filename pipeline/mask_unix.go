//go:build unix

package pipeline

import (
	"bytes"
	"os"
	"os/user"
	"strconv"
	"sync"
	"syscall"
)

// processMask returns the umask of this process, which does not change.
var processMask = sync.OnceValue(func() os.FileMode {
	status, _ := os.ReadFile("/proc/self/status") // Linux 4.7
	if _, rest, ok := bytes.Cut(status, []byte("\nUmask:")); ok {
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 8, 32); err == nil {
			return os.FileMode(n)
		}
	}
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return os.FileMode(mask)
})

// homeOf returns the home directory of a user, "" where there is none.
func homeOf(name string) string {
	u, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	return u.HomeDir
}
