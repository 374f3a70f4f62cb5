//go:build unix

package pipeline

import (
	"errors"
	"io"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// openSpecial opens the names of a shell's own descriptors. ok is false for all other
// names.
func openSpecial(hc interp.HandlerContext, path string, flag int) (f io.ReadWriteCloser, ok bool, err error) {
	number, ok := descriptorName(path)
	if !ok {
		return nil, false, nil
	}
	switch stream := streamOf(hc, number).(type) {
	case *os.File:
		f, err := reopen(stream, flag)
		if err != nil {
			return nil, true, &os.PathError{Op: "open", Path: path, Err: err}
		}
		return f, true, nil
	case io.Writer:
		return &sharedWriter{stream}, true, nil
	}
	return nil, true, &os.PathError{Op: "open", Path: path, Err: unix.ENOENT} // closed
}

// reopen opens the file of a descriptor by its name, with the flags of open(2): on Linux a
// regular file is opened once more, from its beginning; anything else is duplicated.
func reopen(f *os.File, flag int) (*os.File, error) {
	if flag == asItIs || runtime.GOOS != "linux" {
		return duplicate(f)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return duplicate(f)
	}
	again, err := os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), flag&^os.O_EXCL, 0)
	runtime.KeepAlive(f)
	if errors.Is(err, os.ErrNotExist) {
		return duplicate(f) // without /proc
	}
	return again, err
}

// duplicate returns another descriptor of a file. It is a blocking one, because a
// program may get it.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	runtime.KeepAlive(f)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// A sharedWriter is a buffer of the interpreter that is open a second time.
type sharedWriter struct{ io.Writer }

func (*sharedWriter) Read([]byte) (int, error) { return 0, io.EOF }
func (*sharedWriter) Close() error             { return nil }
