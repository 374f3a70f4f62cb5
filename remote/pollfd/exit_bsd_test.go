//go:build unix && !linux

package pollfd

import "os/exec"

func preparePidfd(*exec.Cmd, *int) {}

func awaitExit(int) bool { return false }
