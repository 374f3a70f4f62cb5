//go:build unix

package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links one path may pass; Linux's own limit.
const maxLinks = 40

// locate returns where path leads when every symbolic link is followed. The last element need not exist.
//
// Nobody but root and the user of this process may be able to change that: each folder on the way, from the
// root, must belong to one of the two and must not be writable by group or others. Where they can write but not
// replace what is not theirs (the sticky bit, as on /tmp), only links that they put there are in the way.
// OpenSSH's StrictModes asks the same of a user's files, from the home folder on. Access control lists are
// seen only as far as the group bits of the mode show them.
func locate(path string) (string, error) {
	if path == "" {
		return "", &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if !filepath.IsAbs(path) {
		working, err := os.Getwd()
		if err != nil {
			return "", err
		}
		path = working + "/" + path
	}
	// Not filepath.Clean: "link/.." is the folder above the link's target.
	rest := strings.Split(path, "/")
	folder := "/"
	if err := checkFolder(folder); err != nil {
		return "", err
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			folder = filepath.Dir(folder)
			continue
		}
		next := filepath.Join(folder, name)
		info, err := os.Lstat(next)
		switch {
		case err != nil && len(rest) == 0 && errors.Is(err, fs.ErrNotExist):
			return next, nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			if err := checkOwner(next, info); err != nil {
				return "", err
			}
			target, err := os.Readlink(next)
			if err != nil {
				return "", err
			}
			if filepath.IsAbs(target) {
				folder = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case len(rest) == 0:
			return next, nil
		default:
			if err := checkFolder(next); err != nil {
				return "", err
			}
			folder = next
		}
	}
	return folder, nil
}

func checkFolder(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if err := checkOwner(path, info); err != nil {
		return err
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return &PermissionError{
			Path:    path,
			Problem: fmt.Sprintf("others can write in this folder (mode %04o)", mode.Perm()),
			Command: "chmod go-w " + shellWord(path),
		}
	}
	return nil
}

// checkFile checks an opened file; path is only for errors.
func checkFile(path string, info fs.FileInfo, secret secrecy) error {
	if err := checkOwner(path, info); err != nil {
		return err
	}
	switch mode := info.Mode().Perm(); {
	case secret == secretFile && mode&0o077 != 0:
		return &PermissionError{
			Path:    path,
			Problem: fmt.Sprintf("others can use this private key (mode %04o)", mode),
			Command: "chmod 600 " + shellWord(path),
		}
	case mode&0o022 != 0:
		return &PermissionError{
			Path:    path,
			Problem: fmt.Sprintf("others can write to it (mode %04o)", mode),
			Command: "chmod go-w " + shellWord(path),
		}
	}
	return nil
}

func checkOwner(path string, info fs.FileInfo) error {
	status, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return &fs.PathError{Op: "stat", Path: path, Err: errors.ErrUnsupported}
	}
	user := os.Geteuid()
	if status.Uid == 0 || int(status.Uid) == user {
		return nil
	}
	return &PermissionError{
		Path:    path,
		Problem: fmt.Sprintf("it belongs to user %d, neither to user %d, who runs this, nor to root", status.Uid, user),
		Command: fmt.Sprintf("chown %d %s", user, shellWord(path)),
	}
}

// openNoWait opens a file for reading that has been located. It does not wait for a writer if it is a FIFO.
func openNoWait(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
}

// syncFolder makes a new name in a folder survive a crash.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	// Some file systems cannot: their names are as safe as they make them.
	if err := folder.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}
