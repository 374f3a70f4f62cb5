//go:build unix

package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
)

// shellPath runs scripts without "#!", as execvp(3) has it.
const shellPath = "/bin/sh"

// self returns the file of this program, also where it has been replaced since.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// Main becomes the program. It returns only where that fails, with an exit status, having
// told why on standard error.
func Main() int {
	var s Spec
	if err := json.Unmarshal([]byte(os.Args[1]), &s); err != nil {
		return failed(Name, errors.New("started by hand"))
	}
	path, args := os.Args[2], os.Args[3:]
	for _, number := range s.Ignored {
		signal.Ignore(syscall.Signal(number))
	}
	for _, l := range s.Limits {
		if err := setLimit(l); err != nil {
			return failed(args[0], fmt.Errorf("cannot set a limit: %w", err))
		}
	}
	if s.Mask != nil {
		syscall.Umask(int(*s.Mask))
	}
	for _, fd := range s.Closed {
		_ = syscall.Close(fd)
	}
	err := syscall.Exec(path, args, os.Environ())
	if errors.Is(err, syscall.ENOEXEC) {
		name := path
		if strings.Contains(args[0], "/") {
			name = args[0] // as it was called: $0
		}
		err = syscall.Exec(shellPath, append([]string{shellPath, name}, args[1:]...), os.Environ())
	}
	return failed(args[0], err)
}

func failed(name string, err error) int {
	fmt.Fprintf(os.Stderr, "rpipe: %s: %v\n", name, err)
	return statusRefused
}
