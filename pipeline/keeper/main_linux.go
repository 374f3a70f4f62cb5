package keeper

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	ossignal "os/signal"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Name is argument zero of a keeper, and the name of its process. That of the program
// is no part of it: who kills the program by name must not kill both.
const Name = "pipe-keeper"

// Asked reports whether this process is to be a keeper: then main does nothing but
// call Main and exit with what it returns.
func Asked() bool { return len(os.Args) > 1 && os.Args[0] == Name }

// ignored are the signals that would end or stop a process.
var ignored = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM,
	unix.SIGSTKFLT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGXCPU, unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR,
}

// Main is what a keeper does. It returns when the process that started it has closed
// the connection or died, and nobody who reads a pipe that was held then is left; the
// result is the exit status: 0, or 2 where this is no process that a Keeper started.
func Main() int {
	group, err := strconv.Atoi(os.Args[1])
	if err == nil {
		ossignal.Ignore(ignored...)
		// For people: it would be "exe".
		_ = os.WriteFile("/proc/self/comm", []byte(Name), 0)
		h := &hunt{group: group, spared: closeInherited()}
		for _, name := range os.Args[2:] {
			h.spared[name] = true
		}
		if h.pipes, err = hold(); err == nil {
			h.run()
			return 0
		}
	}
	fmt.Fprintf(os.Stderr, "%s: started by hand: %v\n", Name, err)
	return 2
}

// closeInherited closes what the program was given besides its standard streams, and
// has handed on to all that it has started; it returns the names.
func closeInherited() map[string]bool {
	names := make(map[string]bool)
	files, _ := os.ReadDir("/proc/self/fd") // without /proc nobody is found either
	for _, file := range files {
		fd, err := strconv.Atoi(file.Name())
		if err != nil || fd <= socketFD {
			continue
		}
		// The runtime's own are all close-on-exec.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			continue
		}
		if name, err := os.Readlink(fdName(fd)); err == nil {
			names[name] = true
		}
		_ = unix.Close(fd)
	}
	return names
}

// hold holds pipes until the connection ends, and returns those that were not
// released.
func hold() ([]int, error) {
	held := make(map[uint32]int)
	body, rights := make([]byte, 4), make([]byte, unix.CmsgSpace(4))
	for {
		n, rightsLen, _, _, err := unix.Recvmsg(socketFD, body, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil && len(held) == 0:
			return nil, os.NewSyscallError("recvmsg", err)
		case err != nil || n < len(body):
			return slices.Collect(maps.Values(held)), nil
		}
		name := binary.BigEndian.Uint32(body)
		if rightsLen == 0 {
			if fd, ok := held[name]; ok {
				_ = unix.Close(fd)
				delete(held, name)
			}
			continue
		}
		messages, err := unix.ParseSocketControlMessage(rights[:rightsLen])
		if err != nil {
			continue
		}
		for _, m := range messages {
			if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) == 1 {
				held[name] = fds[0]
			}
		}
	}
}
