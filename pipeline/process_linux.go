package pipeline

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitExit waits until a child has ended, and leaves it to be reaped, so that
// its process id stays its own until then. It returns false where it cannot.
func awaitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

// dieWithParent makes the kernel kill a program that this process starts when the
// thread which has started it ends (PR_SET_PDEATHSIG(2const)): the Go runtime ends
// threads only with the process, as no goroutine here is locked to one. What the
// program itself has started is not killed.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// A kin is what a process has started: the other members of its group, or its
// descendants at the time of kinOf.
type kin struct {
	group int   // 0: none
	fds   []int // pidfd_open(2), so that no other process is taken for one of them
}

// kinOf returns the kin of a process that was not waited for.
func kinOf(pid int, grouped bool) *kin {
	if grouped {
		return &kin{group: pid}
	}
	k := &kin{}
	for _, p := range descendants(pid) {
		if fd, err := unix.PidfdOpen(p, 0); err == nil {
			k.fds = append(k.fds, fd)
		}
	}
	return k
}

// signal sends a signal to the descendants, or KILL to what is left of the group;
// with its leader a group gets other signals.
func (k *kin) signal(sig syscall.Signal) {
	if k.group != 0 && sig == syscall.SIGKILL {
		_ = syscall.Kill(-k.group, sig)
	}
	for _, fd := range k.fds {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// alive reports whether any of the kin lives. The process itself must have been
// waited for.
func (k *kin) alive() bool {
	if k.group != 0 {
		return groupExists(k.group) && slices.ContainsFunc(processes(), func(p procStat) bool {
			return p.group == k.group && !p.ended
		})
	}
	for _, fd := range k.fds {
		if !hasEnded(fd) {
			return true
		}
	}
	return false
}

// hasEnded reports whether the process of a pidfd has ended.
func hasEnded(fd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return err != nil || n > 0
		}
	}
}

func (k *kin) close() {
	for _, fd := range k.fds {
		unix.Close(fd)
	}
}

// stopTree stops a process that was not waited for and all that descend from it,
// and returns them. None can go on, or start another, while the rest is found.
func stopTree(pid int) []int {
	stopped := []int{pid}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	for grown := true; grown; {
		grown = false
		for _, p := range descendants(pid) {
			if !slices.Contains(stopped, p) {
				stopped, grown = append(stopped, p), true
				_ = syscall.Kill(p, syscall.SIGSTOP)
			}
		}
	}
	return stopped
}

// descendants returns the processes that descend from pid, as far as /proc shows
// them; one whose parent has ended is not found.
func descendants(pid int) []int {
	children := make(map[int][]int)
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p.id)
	}
	found := slices.Clone(children[pid])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// procStat is what proc_pid_stat(5) says of a process.
type procStat struct {
	id, parent, group int
	ended             bool // and nobody has waited for it
}

// processes returns all processes that /proc shows.
func processes() []procStat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []procStat
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// State, parent and group follow the name, which is in parentheses
		// and may hold anything.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 {
			continue
		}
		parent, err1 := strconv.Atoi(fields[1])
		group, err2 := strconv.Atoi(fields[2])
		if err1 == nil && err2 == nil {
			found = append(found, procStat{id, parent, group, fields[0] == "Z" || fields[0] == "X"})
		}
	}
	return found
}
