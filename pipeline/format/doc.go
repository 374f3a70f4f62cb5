// Package format makes the text that bash's echo and printf put out, and divides into
// fields what read takes in. It knows strings only: no shell, no files, no clock of its
// own. All of it follows bash 5.2, with its manual and POSIX (echo, printf, read) behind
// it. Strings are bytes, and may hold NUL. Everything may be called concurrently.
package format
