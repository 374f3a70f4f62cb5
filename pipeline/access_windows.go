package pipeline

import (
	"os"
	"path/filepath"
	"strings"
)

// What may be done with a file.
const (
	accessExecute = 1 << iota
	accessWrite
	accessRead
)

// accessible reports what can be known of a file without the lists of who may do what.
func accessible(path string, mode uint32) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case mode == accessWrite:
		return info.Mode()&0o200 != 0
	case mode == accessExecute && !info.IsDir():
		switch strings.ToLower(filepath.Ext(path)) {
		case ".exe", ".com", ".bat", ".cmd":
			return true
		}
		return false
	}
	return true
}

// isOwned returns false: files have no numbers of owners.
func isOwned(os.FileInfo, byte) bool { return false }
