//go:build !linux

package remote

import (
	"net"
	"time"
)

// watchPeer does nothing: the system ends a dead connection in its own time.
func watchPeer(net.Conn, time.Duration, <-chan struct{}, func(error)) {}

// awaitAcknowledged does nothing: the system delivers what is under way.
func (s *Service) awaitAcknowledged() {}

// isFull reports false: whether the service takes its input is not known.
func (s *Service) isFull() bool { return false }

// boundSend does nothing.
func boundSend(net.Conn) {}
