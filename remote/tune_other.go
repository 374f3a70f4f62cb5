//go:build !linux

package remote

import "net"

// Tune does nothing here: the protocol's heartbeats are enough to notice a dead
// peer.
func Tune(net.Conn) {}
