package reaper

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// start starts the programs of a session, when no other is under way.
func (k *keeper) start(m message) bool {
	defer func() { closeAll(m.files) }()
	p, err := decodePipeline(m.body)
	if err != nil || len(m.files) != maxFiles || k.programs != nil {
		return false
	}
	stdin, input, stdout, stderr := m.files[0], m.files[1], m.files[2], m.files[3]
	inner, err := pipes(len(p.Programs) - 1)
	if err != nil {
		k.send(message{kind: kindRefused, body: encodeNumbers(number(err))})
		return true
	}
	m.files = []int{stdin, stdout, stderr}
	k.held = input
	answer := make([]uint32, 1, 1+len(p.Programs))
	for i, program := range p.Programs {
		in, out := stdin, stdout
		if i > 0 {
			in = inner[2*i-2]
		}
		if i < len(p.Programs)-1 {
			out = inner[2*i+1]
		}
		pidfd := -1
		pid, err := syscall.ForkExec(program.Path, program.Args, &syscall.ProcAttr{
			Dir:   p.Dir,
			Env:   program.Env,
			Files: []uintptr{uintptr(in), uintptr(out), uintptr(stderr)},
			Sys:   &syscall.SysProcAttr{Setpgid: true, Pgid: k.group, Pdeathsig: syscall.SIGKILL, PidFD: &pidfd},
		})
		if err != nil {
			k.programs = append(k.programs, child{pidfd: -1, exited: true, waited: true})
			answer = append(answer, number(err))
			continue
		}
		if k.group == 0 {
			k.group = pid
		}
		k.programs = append(k.programs, child{pid: pid, pidfd: pidfd})
		k.running++
		answer = append(answer, 0)
	}
	closeAll(inner)
	answer[0] = uint32(k.group)
	k.send(message{kind: kindStarted, body: encodeNumbers(answer...)})
	if k.running == 0 {
		k.finish()
	}
	return true
}

// pipes makes n pipes, the reading end of each before the other.
func pipes(n int) ([]int, error) {
	var fds []int
	for range n {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, p[0], p[1])
	}
	return fds, nil
}

// number is the errno of a system call that failed.
func number(err error) uint32 {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != 0 {
		return uint32(errno)
	}
	return uint32(syscall.EINVAL)
}

// exitOf says how a child that was waited for has ended.
func exitOf(status unix.WaitStatus, usage unix.Rusage) Exit {
	return Exit{
		Status: syscall.WaitStatus(status),
		User:   time.Duration(usage.Utime.Nano()),
		System: time.Duration(usage.Stime.Nano()),
		MaxRSS: uint64(usage.Maxrss) << 10, // from KiB (getrusage(2))
	}
}
