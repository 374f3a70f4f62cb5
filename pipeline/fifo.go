package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fifoPrefix begins the names of the FIFOs that the interpreter makes for <( ) and
// >( ), in its folder for temporary files.
const fifoPrefix = "sh-interp-"

// unblockInterval is how often a blocked open of a FIFO is knocked at.
const unblockInterval = 5 * time.Millisecond

// openFIFO opens a FIFO, which blocks until its other side is opened too, or the
// context is done; then its error is the cause of that.
func openFIFO(ctx context.Context, path string, flag int, perm os.FileMode) (*os.File, error) {
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
	if stop() {
		return f, err
	}
	<-gaveUp
	if err == nil {
		f.Close()
	}
	return nil, context.Cause(ctx)
}

// isFIFOName reports whether a word names one of the interpreter's FIFOs.
func isFIFOName(tempDir, word string) bool {
	dir, name := filepath.Split(word)
	return strings.HasPrefix(name, fifoPrefix) && filepath.Clean(dir) == tempDir
}

// unblockFIFOs lets go of the commands of <( ) and >( ) whose FIFO the command
// with these words, which has ended, did not open. The interpreter would let
// them wait for ever.
func unblockFIFOs(tempDir string, words []string) {
	for _, w := range words {
		if isFIFOName(tempDir, w) {
			unblock(w)
		}
	}
}

// maxNotedFIFOs is how many FIFOs are noted before those that are gone are
// forgotten.
const maxNotedFIFOs = 64

// noteFIFOs remembers the FIFOs among the words of a command, for the end of the
// script: a builtin or a function may be given one and not open it.
func (x *execution) noteFIFOs(words []string) {
	for _, w := range words {
		if !isFIFOName(x.tempDir, w) {
			continue
		}
		x.fifosMu.Lock()
		if len(x.fifos) >= maxNotedFIFOs {
			x.fifos = slices.DeleteFunc(x.fifos, func(f string) bool {
				_, err := os.Lstat(f)
				return err != nil
			})
		}
		x.fifos = append(x.fifos, w)
		x.fifosMu.Unlock()
	}
}

// unblockAll lets go of all commands of <( ) and >( ), at the end of the script.
func (x *execution) unblockAll() {
	x.fifosMu.Lock()
	defer x.fifosMu.Unlock()
	unblockFIFOs(x.tempDir, x.fifos)
}
