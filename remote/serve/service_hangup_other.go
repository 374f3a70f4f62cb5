//go:build !linux

package serve

import "syscall"

// hangups sees nothing on this system: that a connection has failed shows when it is
// read or written.
type hangups struct{}

func newHangups() (*hangups, error) { return &hangups{}, nil }

func (*hangups) close() {}

func (*hangups) watch(syscall.Conn, func(bool)) func() { return func() {} }
