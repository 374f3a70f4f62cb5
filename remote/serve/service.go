package serve

import (
	"net/netip"
	"slices"
	"time"
)

// Limits that services have where their fields are 0.
const (
	DefaultServicePort        = 9999
	DefaultServiceConnections = 1024
)

// A Service is a program behind an address of its own: connecting is calling it. The
// connection carries its standard input and output, each to its end, and
// nothing else: no arguments, no status, no identity. A Service is not written to
// after it was given to Services, so it may be shared.
type Service struct {
	// Program is what runs, as Run and Environ say. Args, Allow and Env are for
	// callers, which a service does not know.
	Program *Program
	// Network is "tcp" or "unix". Address is "address:port", with an IP address,
	// in brackets if it is IPv6, and port 0 for any free one; or the absolute
	// path of the socket.
	Network, Address string
	// FreeBind binds an IPv6 address that no interface has (IPV6_FREEBIND,
	// ipv6(7)): one of a prefix with a local route. Linux only.
	FreeBind bool
	// From are the networks from which connections are taken; nil is loopback. A
	// Unix socket does not ask: its mode, and that of its folders, does.
	From []netip.Prefix
	// Socket gives the program the connection itself as standard input and output, the
	// way of inetd, and not pipes. Unix only. See package documentation.
	Socket bool
	// ResetOnFailure lets a status other than 0 end in a reset, and not in an end
	// that looks like any other.
	ResetOnFailure bool
	// Browsers takes connections whose first bytes look like HTTP or TLS, and starts the
	// program without a look. Unix sockets are not looked at.
	Browsers bool
	// MaxConnections bounds those of the program at one time; 0: only the sum is
	// bounded.
	MaxConnections int
	// MaxTime bounds a connection, from its accept to the end of the program; 0:
	// no bound.
	MaxTime time.Duration
}

// Name returns the program's.
func (s *Service) Name() string { return s.Program.Name }

// loopback is From where it is nil.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// takes reports whether a connection may come from addr.
func (s *Service) takes(addr netip.Addr) bool {
	from := s.From
	if from == nil {
		from = loopback
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(from, func(p netip.Prefix) bool { return p.Contains(addr) })
}
