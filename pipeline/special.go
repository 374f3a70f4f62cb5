package pipeline

import (
	"path/filepath"
	"strconv"
	"strings"
)

// descriptorName returns the number of a descriptor that a file name stands for: to the
// kernel they are those of this process, which runs many shells. ok is false for all
// other names.
func descriptorName(path string) (number int, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return 0, false
	}
	switch path {
	case "/dev/stdin":
		return 0, true
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, folder := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if rest, is := strings.CutPrefix(path, folder); is && isDigits(rest) {
			n, err := strconv.Atoi(rest)
			return n, err == nil
		}
	}
	return 0, false
}

// asItIs opens a name of a descriptor as a duplicate of that, whatever it is.
const asItIs = -1

// absolute returns a path that does not depend on the working directory of this process.
func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
