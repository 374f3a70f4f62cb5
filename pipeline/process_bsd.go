//go:build unix && !linux

package pipeline

import "syscall"

// awaitExit returns false: there is no call here that waits for a child and
// leaves it to be reaped. A group may so be signalled just after its id was freed.
func awaitExit(int) bool { return false }

// dieWithParent does nothing: there is no such attribute here.
func dieWithParent(*syscall.SysProcAttr) {}

// A kin is what a process has started: the other members of its group. Without a
// group it cannot be found here.
type kin struct{ group int }

func kinOf(pid int, grouped bool) *kin {
	if grouped {
		return &kin{pid}
	}
	return &kin{}
}

func (k *kin) signal(sig syscall.Signal) {
	if k.group != 0 && sig == syscall.SIGKILL {
		_ = syscall.Kill(-k.group, sig)
	}
}

func (k *kin) alive() bool { return k.group != 0 && groupExists(k.group) }

func (k *kin) close() {}

// stopTree stops a process and returns it. Its descendants are not found here.
func stopTree(pid int) []int {
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	return []int{pid}
}
