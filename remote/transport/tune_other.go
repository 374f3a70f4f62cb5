//go:build !linux

package transport

import (
	"net"
	"time"
)

// setUserTimeout does nothing here: the protocol's heartbeats are enough to notice a
// dead peer.
func setUserTimeout(net.Conn, time.Duration) {}
