package keeper

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezeRounds bounds the search for readers that are not stopped yet; there are more
// only where they multiply faster.
const freezeRounds = 16

// maxPause is how often what does not die is struck again.
const maxPause = 16 * time.Millisecond

// hunt is the end of all who would see an end of input when the pipes are closed.
type hunt struct {
	pipes  []int           // the writing ends
	group  int             // of the process that has died, which others may be in
	spared map[string]bool // pipes whose readers are others
}

// run kills them, and returns when no pipe has a reader, or after a bound.
func (h *hunt) run() {
	pause := time.Millisecond
	for end := time.Now().Add(patience); time.Now().Before(end); pause = min(2*pause, maxPause) {
		read := h.read()
		if len(read) == 0 {
			return
		}
		for _, target := range h.freeze(read) {
			_ = unix.Kill(target, unix.SIGKILL)
		}
		time.Sleep(pause) // they have to die
	}
}

// read returns the names of the pipes that have a reader, also one that cannot be
// found: a writing end without any is in error (poll(2)).
func (h *hunt) read() map[string]bool {
	names := make(map[string]bool)
	for _, fd := range h.pipes {
		poll := []unix.PollFd{{Fd: int32(fd)}}
		if _, err := unix.Poll(poll, 0); err == nil && poll[0].Revents&unix.POLLERR != 0 {
			continue
		}
		if name, err := os.Readlink(fdName(fd)); err == nil {
			names[name] = true
		}
	}
	return names
}

// freeze stops those who read, so that none runs while others are killed, and returns
// whom a signal has to go to, as kill(2) has it. Those who have died since they were
// stopped are not among them.
func (h *hunt) freeze(read map[string]bool) []int {
	stopped := make(map[int]bool)
	var targets []int
	for range freezeRounds {
		targets = targets[:0]
		grown := false
		for _, pid := range readers(read) {
			target := pid
			if group, err := unix.Getpgid(pid); err == nil && group > 1 && group != h.group {
				target = -group
			}
			targets = append(targets, target)
			if !stopped[target] {
				stopped[target], grown = true, true
				_ = unix.Kill(target, unix.SIGSTOP)
			}
			// What it writes would end with it.
			if name, err := os.Readlink(procFile(pid, "1")); err == nil && strings.HasPrefix(name, "pipe:") &&
				!h.spared[name] && !read[name] {
				read[name], grown = true, true
			}
		}
		if !grown {
			break
		}
	}
	return targets
}

// readers returns the other processes that have a pipe of one of the names open for
// reading, as far as /proc shows them.
func readers(names map[string]bool) []int {
	var found []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && reads(pid, names) {
			found = append(found, pid)
		}
	}
	return found
}

func reads(pid int, names map[string]bool) bool {
	files, _ := os.ReadDir(procFile(pid, ""))
	for _, file := range files {
		link := procFile(pid, file.Name())
		if name, err := os.Readlink(link); err != nil || !names[name] {
			continue
		}
		// Its permissions are how it is open (proc_pid_fd(5)).
		if info, err := os.Lstat(link); err == nil && info.Mode().Perm()&0o400 != 0 {
			return true
		}
	}
	return false
}

func procFile(pid int, fd string) string { return "/proc/" + strconv.Itoa(pid) + "/fd/" + fd }
