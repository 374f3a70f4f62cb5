package launcher

import "golang.org/x/sys/unix"

// duplicateTo makes a descriptor one that programs inherit.
func duplicateTo(from, to int) error { return unix.Dup3(from, to, 0) }
