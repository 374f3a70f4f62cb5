//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rpipe/remote"
)

// stopPatience is how long this process may take to stop after it was told to.
const stopPatience = 50 * time.Millisecond

// suspendable lets the user suspend this process at its terminal, as by Ctrl-Z:
// before it stops, the hosts are told, so that they wait for it. The function
// returned ends that.
func suspendable(d *remote.Dialer) (end func()) {
	stops := make(chan os.Signal, 1)
	signal.Notify(stops, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-stops:
			case <-done:
				return
			}
			if isOrphaned() {
				continue // nobody would let it go on
			}
			resume := d.Pause()
			stop()
			resume()
		}
	})
	return func() {
		signal.Stop(stops)
		close(done)
		watch.Wait()
	}
}

// stop stops this process, and returns when it goes on.
func stop() {
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, syscall.SIGCONT)
	defer signal.Stop(continued)
	if syscall.Kill(os.Getpid(), syscall.SIGSTOP) != nil {
		return
	}
	select {
	case <-continued:
	case <-time.After(stopPatience):
	}
}

// isOrphaned reports whether the process group is one that a terminal's signals do
// not stop, as no shell would continue it (POSIX, XBD 3.264, orphaned process group).
// It looks at the nearest ancestor in another group.
func isOrphaned() bool {
	ours := syscall.Getpgrp()
	session, err := unix.Getsid(0)
	if err != nil {
		return true
	}
	for pid := os.Getppid(); pid > 1; {
		group, err := syscall.Getpgid(pid)
		if err != nil {
			return true
		}
		if group != ours {
			theirs, err := unix.Getsid(pid)
			return err != nil || theirs != session
		}
		if pid, err = parentOf(pid); err != nil {
			return false // cannot tell: an ancestor in the group has run it
		}
	}
	return true
}

// parentOf returns the parent of a process, where the system has /proc (proc(5)).
func parentOf(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything.
	var state string
	var parent int
	_, err = fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent)
	return parent, err
}
