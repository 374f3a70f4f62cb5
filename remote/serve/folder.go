package serve

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// folderPrefix begins the names of daemons' folders.
const folderPrefix = "rpiped-"

// maxRemovers bounds the folders that are removed in the background at a time.
const maxRemovers = 4

// sessionFolders is where the private folders of a server's sessions are: one
// folder below the system's folder for temporary files, locked while the server
// lives, so that the next one can tell what a killed one has left and remove it.
type sessionFolders struct {
	base     string
	lock     *os.File
	removers chan struct{} // has room for those that there may be
	removing sync.WaitGroup
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
	return &sessionFolders{base: base, lock: lock, removers: make(chan struct{}, maxRemovers)}, nil
}

// new makes the folder of a session.
func (f *sessionFolders) new() (string, error) { return os.MkdirTemp(f.base, "session-") }

// remove removes the folder of a session that has ended, and what is in it. It
// leaves the work to the background, where there is not too much of it already:
// a file system takes its time. Failures are logged.
func (f *sessionFolders) remove(folder string, log *slog.Logger) {
	remove := func() {
		if err := os.RemoveAll(folder); err != nil {
			log.Warn("cannot remove a session's folder", "error", err)
		}
	}
	select {
	case f.removers <- struct{}{}:
		f.removing.Go(func() {
			remove()
			<-f.removers
		})
	default:
		remove()
	}
}

// close removes everything. No session may be under way.
func (f *sessionFolders) close() error {
	f.removing.Wait()
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
