//go:build !linux

package names

import (
	"errors"
	"net"
)

func tellDestination(*net.UDPConn) error { return errors.ErrUnsupported }
