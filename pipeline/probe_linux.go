package pipeline

import (
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A probe tells whether a pipe has a reader, also when all of our ends are closed.
// It counts neither as a reader nor as a writer: its descriptor is one of O_PATH
// (open(2)). The zero value is a probe that was not opened.
type probe struct{ fd int }

// open makes the probe one of the pipe that f is an end of. Where it fails the
// probe stays a closed one.
func (p *probe) open(f *os.File) {
	fd, err := syscall.Open(procFD(int(f.Fd())), unix.O_PATH|syscall.O_CLOEXEC, 0)
	runtime.KeepAlive(f)
	if err == nil {
		p.fd = fd
	}
}

// gone reports whether the pipe has no reader left; true if that cannot be known,
// for a writer that ends by SIGPIPE mostly had none. The probe becomes a writer
// for that moment: an open of a pipe by its name in /proc never blocks.
func (p *probe) gone() bool {
	if p.fd == 0 {
		return true
	}
	fd, err := syscall.Open(procFD(p.fd), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return true
	}
	defer syscall.Close(fd)
	return hasNoReader(fd)
}

func (p *probe) close() {
	if p.fd != 0 {
		syscall.Close(p.fd)
		p.fd = 0
	}
}

// holdsOutput reports whether a child that was not waited for has a pipe as its
// standard output, or has ended with it.
func holdsOutput(pid int, id pipeID) bool {
	name, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/1")
	if err == nil {
		return name == "pipe:["+strconv.FormatUint(id.inode, 10)+"]"
	}
	var info unix.Siginfo
	err = unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err != nil || info.Signo != 0
}

func procFD(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
