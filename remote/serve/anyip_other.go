//go:build !linux

package serve

import (
	"errors"
	"net/netip"
)

// CheckRoute returns nil: this system does not tell. Addresses that are not its own cannot be
// listened on.
func CheckRoute(netip.Prefix, netip.Addr) error { return nil }

// AddRoute returns errors.ErrUnsupported on this system.
func AddRoute(netip.Prefix) error { return errors.ErrUnsupported }
