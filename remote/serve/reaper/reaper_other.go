//go:build !linux

package reaper

// Name is never an argument here.
const Name = "session-reaper"

// Options are not used here.
type Options struct {
	Alone bool
}

// Pool is never made here.
type Pool struct{}

// NewPool returns nil.
func NewPool(Options) *Pool { return nil }

// Close does nothing.
func (*Pool) Close() {}

// Asked returns false.
func Asked() bool { return false }

// Main is never called.
func Main() int { return 2 }
