//go:build unix

package launcher

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Become gives this process what the Spec says, and files as its descriptors from 0 on, of
// which nil ones are closed, and makes it another program by execve(2). It returns only
// where something of that fails, and what was done till then stays. A nil list of files
// leaves all descriptors as they are.
func (s Spec) Become(path string, args, env []string, files []*os.File) error {
	for _, number := range s.Ignored {
		signal.Ignore(syscall.Signal(number))
	}
	for _, l := range s.Limits {
		if err := setLimit(l); err != nil {
			return fmt.Errorf("cannot set a limit: %w", err)
		}
	}
	if s.Mask != nil {
		syscall.Umask(int(*s.Mask))
	}
	if err := place(files); err != nil {
		return err
	}
	for _, fd := range s.Closed {
		_ = syscall.Close(fd)
	}
	err := syscall.Exec(path, args, env)
	if errors.Is(err, syscall.ENOEXEC) {
		name := path
		if strings.Contains(args[0], "/") {
			name = args[0] // as it was called: $0
		}
		err = syscall.Exec(shellPath, append([]string{shellPath, name}, args[1:]...), env)
	}
	return err
}

// place makes files the descriptors from 0 on. All of them get out of the way first.
func place(files []*os.File) error {
	aside := make([]int, len(files))
	for i, f := range files {
		aside[i] = -1
		if f == nil {
			continue
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, len(files))
		if err != nil {
			return err
		}
		aside[i] = fd
	}
	for i, fd := range aside {
		if fd < 0 {
			_ = unix.Close(i)
			continue
		}
		if err := duplicateTo(fd, i); err != nil {
			return err
		}
	}
	return nil
}
