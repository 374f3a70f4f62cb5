//go:build unix

package launcher

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
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
	return failed(args[0], s.Become(path, args, os.Environ(), nil))
}

func failed(name string, err error) int {
	fmt.Fprintf(os.Stderr, "rpipe: %s: %v\n", name, err)
	return statusRefused
}
