//go:build !linux

package keeper

import "os"

// Keeper is never made here.
type Keeper struct{}

// New returns nil.
func New(...*os.File) *Keeper { return nil }

// Hold does nothing.
func (*Keeper) Hold(*os.File) (release func()) { return func() {} }

// Await does nothing.
func (*Keeper) Await() {}

// Close does nothing.
func (*Keeper) Close() {}

// Name is never an argument here.
const Name = "pipe-keeper"

// Asked returns false.
func Asked() bool { return false }

// Main is never called.
func Main() int { return 2 }
