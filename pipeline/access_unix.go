//go:build unix

package pipeline

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What may be done with a file: access(2).
const (
	accessRead    = unix.R_OK
	accessWrite   = unix.W_OK
	accessExecute = unix.X_OK
)

// accessible reports whether this process may do something with a file, by its
// effective identity.
func accessible(path string, mode uint32) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) == nil
}

// isOwned answers the questions of test for -O, -G and -N.
func isOwned(info os.FileInfo, op byte) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch op {
	case 'O':
		return int(st.Uid) == os.Geteuid()
	case 'G':
		return int(st.Gid) == os.Getegid()
	}
	return !accessTime(st).After(info.ModTime())
}
