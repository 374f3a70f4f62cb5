package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// resolverAddress is the address of a name server, with its port.
type resolverAddress string

// UnmarshalText implements encoding.TextUnmarshaler: ADDR is an IP address, with a port
// behind it if that is not 53, IPv6 in brackets then.
func (r *resolverAddress) UnmarshalText(text []byte) error {
	host, port, err := net.SplitHostPort(string(text))
	if err != nil {
		host, port = string(text), "53"
		if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
			host = host[1 : n-1]
		}
	}
	ip, err := netip.ParseAddr(host)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || number == 0 {
		return fmt.Errorf("%q is not the address of a name server: write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353", text)
	}
	*r = resolverAddress(net.JoinHostPort(ip.String(), port))
	return nil
}

// nameServer returns the resolver that --resolver asks for, nil for the system's. It
// asks that name server alone; the hosts file still comes first.
func (c *command) nameServer() *net.Resolver {
	if c.Resolver == "" {
		return nil
	}
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, string(c.Resolver))
			if udp, ok := conn.(*net.UDPConn); ok {
				return &askedServer{udp, string(c.Resolver)}, err
			}
			return conn, err
		},
	}
}

// askedServer is the way to a name server, whose errors say in a user's words what is wrong. Package net
// passes on no more than their text.
type askedServer struct {
	*net.UDPConn
	address string
}

// Read is that of the connection.
func (a *askedServer) Read(b []byte) (int, error) {
	n, err := a.UDPConn.Read(b)
	var refused syscall.Errno
	if errors.As(err, &refused) {
		err = fmt.Errorf("no answer from the name server %s: %w", a.address, refused)
	}
	return n, err
}
