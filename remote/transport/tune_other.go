//go:build !linux

package transport

import "net"

// tune does nothing here: the protocol's heartbeats are enough to notice a dead
// peer.
func tune(net.Conn) {}
