package serve

import (
	"os"
	"path/filepath"
	"strings"
)

// folderPrefix begins the names of daemons' folders.
const folderPrefix = "rpiped-"

// sessionFolders is where the private folders of a server's sessions are: one
// folder below the system's folder for temporary files, locked while the server
// lives, so that the next one can tell what a killed one has left and remove it.
type sessionFolders struct {
	base string
	lock *os.File
}

// newSessionFolders makes the folder, and removes those of servers of the same
// user that live no more. close must follow.
func newSessionFolders() (*sessionFolders, error) {
	dir := os.TempDir()
	sweep(dir)
	// It gets its name when it is locked: nobody sweeps it before.
	unnamed, err := os.MkdirTemp(dir, "new-"+folderPrefix)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(unnamed)
	if err != nil {
		os.Remove(unnamed)
		return nil, err
	}
	base := filepath.Join(dir, strings.TrimPrefix(filepath.Base(unnamed), "new-"))
	if err := os.Rename(unnamed, base); err != nil {
		os.Remove(unnamed)
		lock.Close()
		return nil, err
	}
	return &sessionFolders{base, lock}, nil
}

// new makes the folder of a session.
func (f *sessionFolders) new() (string, error) { return os.MkdirTemp(f.base, "session-") }

// close removes everything. No session may be under way.
func (f *sessionFolders) close() error {
	err := os.RemoveAll(f.base)
	f.lock.Close()
	return err
}

// sweep removes the folders in dir whose lock nobody holds. What cannot be looked
// at, or is another user's, stays.
func sweep(dir string) {
	folders, err := filepath.Glob(filepath.Join(dir, folderPrefix+"*"))
	if err != nil {
		return
	}
	for _, folder := range folders {
		if !ours(folder) {
			continue
		}
		if lock, err := lockFolder(folder); err == nil {
			os.RemoveAll(folder)
			lock.Close()
		}
	}
}
