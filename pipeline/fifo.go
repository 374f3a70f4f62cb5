package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// unblockInterval is how often a blocked open of a FIFO is knocked at.
const unblockInterval = 5 * time.Millisecond

// openFIFO opens a FIFO, which blocks until its other side is opened too, or the
// context is done; then its error is the cause of that. got is told of the file as soon
// as it is open, also if it is closed again for that reason.
func openFIFO(ctx context.Context, path string, flag int, perm os.FileMode, got func(*os.File)) (*os.File, error) {
	opened, gaveUp := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(gaveUp)
		for {
			unblock(path)
			select {
			case <-opened:
				return
			case <-time.After(unblockInterval):
			}
		}
	})
	f, err := os.OpenFile(path, flag, perm)
	close(opened)
	if err == nil {
		got(f)
	}
	if stop() {
		return f, err
	}
	<-gaveUp
	if err == nil {
		f.Close()
	}
	return nil, context.Cause(ctx)
}

// A fifoFolder is where the interpreter makes the FIFOs of <( ) and >( ), whose
// commands block until somebody opens them. It belongs to one script, so that
// nothing of it is left behind.
type fifoFolder struct {
	path string // "" if the script needs none
}

// make makes the folder in dir, or where temporary files belong if that is not an
// absolute path. It returns false if it cannot; the interpreter then makes FIFOs
// where it likes.
func (f *fifoFolder) make(dir string) bool {
	if !filepath.IsAbs(dir) {
		dir = ""
	}
	path, err := os.MkdirTemp(dir, "rpipe-")
	if err != nil {
		return false
	}
	f.path = path
	return true
}

// holds reports whether path is that of one of the FIFOs.
func (f *fifoFolder) holds(path string) bool { return f.path != "" && filepath.Dir(path) == f.path }

// let lets go of the commands whose FIFO is among the words of a command that has
// ended: it did not open them, and nobody else will.
func (f *fifoFolder) let(words []string) {
	for _, w := range words {
		if f.holds(w) {
			unblock(w)
		}
	}
}

// letAll lets go of all commands until done is closed, except of those whose FIFO is
// used.
func (f *fifoFolder) letAll(done <-chan struct{}, used func(path string) bool) {
	for f.path != "" {
		if entries, err := os.ReadDir(f.path); err == nil {
			for _, e := range entries {
				if path := filepath.Join(f.path, e.Name()); !used(path) {
					unblock(path)
				}
			}
		}
		select {
		case <-done:
			return
		case <-time.After(unblockInterval):
		}
	}
}

// remove removes the folder.
func (f *fifoFolder) remove() {
	if f.path != "" {
		os.RemoveAll(f.path)
	}
}
