package reaper

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezeRounds bounds the search for descendants that are not stopped yet; there are
// more only where they multiply faster.
const freezeRounds = 16

// sweepInterval is how often orphans are looked for that are about to die.
const sweepInterval = time.Millisecond

// freeze stops all descendants but the children that spare holds, and theirs, so
// that none runs while others are killed.
func freeze(spare map[int]bool) {
	stopped := make(map[int]bool)
	for range freezeRounds {
		grown := false
		each(spare, func(pid, parent int) {
			if !stopped[pid] {
				stopped[pid], grown = true, true
				signal(pid, parent, unix.SIGSTOP)
			}
		})
		if !grown {
			return
		}
	}
}

// strike kills all descendants but the children that spare holds, and theirs. It
// reports whether it found any, dead ones included. Some may be left: those that were
// started meanwhile.
func strike(spare map[int]bool) bool {
	self, group := os.Getpid(), unix.Getpgrp()
	found := false
	each(spare, func(pid, parent int) {
		found = true
		// Nobody else waits for a child, so that its number is its own, and its
		// group's too. A whole group dies at once, while it forks.
		if parent == self {
			if g, err := unix.Getpgid(pid); err == nil && g != group {
				_ = unix.Kill(-g, unix.SIGKILL)
			}
		}
		signal(pid, parent, unix.SIGKILL)
	})
	return found
}

// sweep kills all descendants but the children that spare holds, and theirs, and
// waits for them, for some time at most.
func sweep(spare map[int]bool) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	// A look may miss a child while another is waited for (proc_pid_task(5)).
	for end, quiet := time.Now().Add(patience), 0; quiet < 2 && time.Now().Before(end); {
		if !strike(spare) {
			quiet++
			continue
		}
		quiet = 0
		<-tick.C
		for _, pid := range children(os.Getpid()) {
			if !spare[pid] {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
	}
}

// each calls f for all descendants, parents first, but for the children that spare
// holds, and theirs. f comes after a look at the children of its process.
func each(spare map[int]bool, f func(pid, parent int)) {
	type link struct{ pid, parent int }
	self := os.Getpid()
	var todo []link
	for _, pid := range children(self) {
		if !spare[pid] {
			todo = append(todo, link{pid, self})
		}
	}
	for len(todo) > 0 {
		l := todo[0]
		todo = todo[1:]
		for _, pid := range children(l.pid) {
			todo = append(todo, link{pid, l.pid})
		}
		f(l.pid, l.parent)
	}
}

// signal sends a signal to a descendant that was found as a child of parent, unless
// its number is another's by now. Where the system has no pidfd_open(2), only
// children get it.
func signal(pid, parent int, sig unix.Signal) {
	self := os.Getpid()
	if parent == self {
		_ = unix.Kill(pid, sig)
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	// Its parent may have died since.
	if p := parentOf(pid); p == parent || p == self {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// children returns the children of a process, zombies included, as far as /proc
// shows them.
func children(pid int) []int {
	folder := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := os.ReadDir(folder)
	if err != nil {
		return nil // it is no more
	}
	var found []int
	for _, task := range tasks {
		list, err := os.ReadFile(folder + "/" + task.Name() + "/children")
		if os.IsNotExist(err) && task.Name() == strconv.Itoa(pid) {
			if _, err := os.Stat(folder + "/" + task.Name()); err == nil {
				return childrenByStat(pid) // a kernel without CONFIG_PROC_CHILDREN
			}
		}
		for _, field := range strings.Fields(string(list)) {
			if child, err := strconv.Atoi(field); err == nil {
				found = append(found, child)
			}
		}
	}
	return found
}

// childrenByStat does so by asking every process for its parent.
func childrenByStat(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil && parentOf(id) == pid {
			found = append(found, id)
		}
	}
	return found
}

// parentOf returns the parent of a process; 0 if it is no more.
func parentOf(pid int) int {
	s, err := statOf(pid, pid)
	if err != nil {
		return 0
	}
	return s.parent
}

// stat is what proc_pid_stat(5) says of a thread.
type stat struct {
	parent int
	flags  uint64
}

// exiting is the flag of a thread that is about to end, PF_EXITING in Linux's
// include/linux/sched.h.
const exiting = 0x4

func statOf(pid, thread int) (stat, error) {
	file := "/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(thread) + "/stat"
	line, err := os.ReadFile(file)
	if err != nil {
		return stat{}, err
	}
	// State, parent, group, session, terminal, its group and flags follow the name,
	// which is in parentheses and may hold anything.
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	if len(fields) < 7 {
		return stat{}, fmt.Errorf("malformed %q", file)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("malformed %q: %w", file, err)
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("malformed %q: %w", file, err)
	}
	return stat{parent, flags}, nil
}
