package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// secrecy says who may read a file.
type secrecy bool

const (
	secretFile secrecy = true  // only its user
	publicFile secrecy = false // everybody
)

// ReadTrusted returns the contents of a file that decides who may do what: a configuration, for example. It is a
// regular file of at most limit bytes. One that others than the user of this process and root can replace or
// change is a *PermissionError; other errors are *fs.PathError. What was checked is what is read.
func ReadTrusted(path string, limit int64) ([]byte, error) {
	return readTrusted(path, publicFile, limit)
}

// readTrusted returns the contents of a regular file, of at most limit bytes, that nobody but the user of this
// process and root can replace or change, nor read if it is secret. What was checked is what is read.
func readTrusted(path string, secret secrecy, limit int64) ([]byte, error) {
	real, err := locate(path)
	if err != nil {
		return nil, err
	}
	file, err := openNoWait(real)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	if err := checkFile(real, info, secret); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fmt.Errorf("larger than %d bytes", limit)}
	}
	return data, nil
}

// makeFolder makes a folder and those above it, as far as they are missing, for the user only. It returns the
// folder's path without symbolic links, or a *PermissionError if others can change what is in it.
func makeFolder(folder string) (string, error) {
	if folder == "" {
		folder = "."
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	// With an element after it, the folder counts as one on the way, and is checked.
	return locate(folder + string(filepath.Separator) + ".")
}

// createFile makes a file that did not exist, with all of data in it, or none at all.
func createFile(path string, data []byte, mode fs.FileMode) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".rpipe-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := fill(temporary, data, mode); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace.
	err = os.Link(temporary.Name(), path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return existing(path, nil)
	case err != nil: // a file system without links
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return existing(path, err)
		}
		if err := fill(file, data, mode); err != nil {
			return errors.Join(err, os.Remove(path))
		}
	}
	return syncFolder(filepath.Dir(path))
}

// fill writes data to a new file, gives it its mode, whatever the umask, and closes it.
func fill(file *os.File, data []byte, mode fs.FileMode) error {
	_, err := file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// existing turns the error of a look at, or a creation of, a file that must not exist into one for the user.
func existing(path string, err error) error {
	if err == nil || errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q is there already and will not be overwritten: move it away, or choose another name: %w", path, fs.ErrExist)
	}
	return err
}
