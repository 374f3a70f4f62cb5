package pipeline

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// A lookupError is a command that cannot be run, in the words of bash.
type lookupError struct {
	name    string
	problem string
	status  int // 126 or 127
}

func (e *lookupError) Error() string { return e.name + ": " + e.problem }

func (e *lookupError) ExitStatus() int { return e.status }

// lookup finds the file of a command as bash does: a name with a slash is a
// path, else the first executable file in PATH counts. The error is a
// *lookupError: 127 where there is no such file, 126 where it cannot be executed.
func lookup(dir string, env expand.Environ, name string) (string, error) {
	if path, ok := env.Get(varHashed).Map[name]; ok {
		return path, nil
	}
	path, err := interp.LookPathDir(dir, env, name)
	if err == nil && name != "" {
		return path, nil
	}
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			path = filepath.Join(dir, name)
		} else {
			path = name
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return "", &lookupError{name, reason(err), statusNotFound}
		case info.IsDir():
			return "", &lookupError{name, "Is a directory", statusRefused}
		}
		return "", &lookupError{name, "Permission denied", statusRefused}
	}
	if name != "" {
		for _, folder := range filepath.SplitList(env.Get("PATH").String()) {
			if !filepath.IsAbs(folder) {
				folder = filepath.Join(dir, folder)
			}
			if info, err := os.Stat(filepath.Join(folder, name)); err == nil && info.Mode().IsRegular() {
				return "", &lookupError{name, "Permission denied", statusRefused}
			}
		}
	}
	return "", &lookupError{name, "command not found", statusNotFound}
}

// reason returns the innermost words of a file system error, as strerror has
// them.
func reason(err error) string {
	if pe, ok := err.(*fs.PathError); ok {
		err = pe.Err
	}
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
