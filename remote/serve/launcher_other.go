//go:build !linux

package serve

import "rpipe/remote/serve/reaper"

// newLauncher makes a launcher of this process: there are no reapers here.
func newLauncher(*reaper.Pool) (launcher, error) { return &children{}, nil }
