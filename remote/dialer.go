package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// DefaultPort is the port of rpiped.
const DefaultPort = 7747

// DefaultConnectTimeout is the time for name lookup, TCP, TLS and ACCEPT
// together.
const DefaultConnectTimeout = 10 * time.Second

// maxIdle is how many unused connections are kept for one address.
const maxIdle = 8

// Dialer makes connections for [Cmd]s, and keeps those that a session has left
// in good order for the next one to the same address. Its fields must not change
// after the first use. Its methods may be called concurrently. Close it at the
// end.
type Dialer struct {
	// Key is who we are, and Hosts are the host keys that are trusted. They stay
	// the caller's to close. Where Key is nil, Identify gives both when the first
	// connection is made: it is called once at a time, and again after an error.
	// One or the other is required, but for HostKey.
	Key      *identity.Key
	Hosts    HostKeys
	Identify func(ctx context.Context) (*identity.Key, HostKeys, error)
	// Resolve gives the address, "host" or "host:port", of a host as the user
	// names it, or "" where the name is the address; nil means that it always
	// is. It may be called concurrently.
	Resolve func(ctx context.Context, host string) (string, error)
	// Dial makes the connection to an address, "host:port"; nil dials TCP, to all
	// addresses of a name.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// ConnectTimeout is the time to reach a host and be accepted; 0 is
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// IdleTimeout and DeadTimeout are those of wire.Options.
	IdleTimeout, DeadTimeout time.Duration

	identifying sync.Mutex // Key and Hosts, while Identify sets them

	mu     sync.Mutex
	idle   map[string][]*client
	closed bool
}

// HostKeys decides whether a key is that of a host; *identity.KnownHosts does.
// Check may be called concurrently. Its error is what Cmd.Open returns.
type HostKeys interface {
	Check(hostport string, key ssh.PublicKey) error
}

// Close closes the idle connections. Those in use close when their Cmd ends, and
// so does every later one: a closed Dialer still works, and keeps nothing.
func (d *Dialer) Close() error {
	d.mu.Lock()
	idle := d.idle
	d.idle, d.closed = nil, true
	d.mu.Unlock()
	for _, list := range idle {
		for _, c := range list {
			c.wire.Close()
		}
	}
	return nil
}

// HostKey asks a host for its key, and proves nothing about us. knownAs is the
// name by which known_hosts has it. The error is *DialError or Resolve's.
func (d *Dialer) HostKey(ctx context.Context, host string, port int) (knownAs string, key ssh.PublicKey, err error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	address, err := d.address(ctx, host, port)
	if err != nil {
		return "", nil, err
	}
	conn, err := d.handshake(ctx, address, identity.ProbeConfig())
	if err != nil {
		return "", nil, err
	}
	defer conn.NetConn().Close()
	key, err = identity.PeerKey(conn.ConnectionState())
	return address, key, err
}

// List asks a host for the programs that we may run there. The error is
// *DialError, *RefusedError, one of package identity, or *LostError.
func (d *Dialer) List(ctx context.Context, host string, port int) ([]wire.Listing, error) {
	if _, _, err := d.identify(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	address, err := d.address(ctx, host, port)
	if err != nil {
		return nil, err
	}
	c, err := d.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	defer c.wire.Close()
	return c.list(ctx)
}

func (d *Dialer) timeout() time.Duration {
	if d.ConnectTimeout > 0 {
		return d.ConnectTimeout
	}
	return DefaultConnectTimeout
}

// address returns host:port for a host as the user names it; port 0 is that of
// Resolve, or DefaultPort.
func (d *Dialer) address(ctx context.Context, host string, port int) (string, error) {
	if d.Resolve != nil {
		to, err := d.Resolve(ctx, host)
		if err != nil {
			return "", err
		}
		if to != "" {
			host = to
			if h, p, err := net.SplitHostPort(to); err == nil {
				n, err := strconv.ParseUint(p, 10, 16)
				if err != nil || n == 0 {
					return "", &DialError{Address: to, Err: errPort}
				}
				host = h
				if port == 0 {
					port = int(n)
				}
			}
		}
	}
	if port == 0 {
		port = DefaultPort
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

var errPort = errors.New("a port is a number from 1 to 65535")

// get returns a connection to address: an idle one, with reused true, or a new
// one.
func (d *Dialer) get(ctx context.Context, address string, fresh bool) (c *client, reused bool, err error) {
	d.mu.Lock()
	for list := d.idle[address]; !fresh && c == nil && len(list) > 0; list = d.idle[address] {
		c = list[len(list)-1]
		d.idle[address] = list[:len(list)-1]
		if c.wire.Err() != nil {
			defer c.wire.Close()
			c = nil
		}
	}
	d.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	c, err = d.dial(ctx, address)
	return c, false, err
}

// put takes back a connection whose session is over.
func (d *Dialer) put(c *client) {
	d.mu.Lock()
	keep := !d.closed && c.wire.Err() == nil && len(d.idle[c.address]) < maxIdle
	if keep {
		if d.idle == nil {
			d.idle = make(map[string][]*client)
		}
		d.idle[c.address] = append(d.idle[c.address], c)
	}
	d.mu.Unlock()
	if !keep {
		c.wire.Close()
	}
}

// dial connects to address and makes sure of the host's key.
func (d *Dialer) dial(ctx context.Context, address string) (*client, error) {
	ours, hosts, err := d.identify(ctx)
	if err != nil {
		return nil, err
	}
	var refusal error
	config, err := identity.ClientConfig(ours, func(key ssh.PublicKey) error {
		refusal = hosts.Check(address, key)
		return refusal
	})
	if err != nil {
		return nil, err
	}
	config.DynamicRecordSizingDisabled = true // for throughput
	conn, err := d.handshake(ctx, address, config)
	if refusal != nil {
		return nil, refusal
	}
	if err != nil {
		return nil, err
	}
	return newClient(conn, address, wire.Options{IdleTimeout: d.IdleTimeout, DeadTimeout: d.DeadTimeout}), nil
}

// identify returns who we are and whom we trust.
func (d *Dialer) identify(ctx context.Context) (*identity.Key, HostKeys, error) {
	d.identifying.Lock()
	defer d.identifying.Unlock()
	if d.Key == nil {
		if d.Identify == nil {
			return nil, nil, errors.New("remote: a Dialer without a key")
		}
		key, hosts, err := d.Identify(ctx)
		if err != nil {
			return nil, nil, err
		}
		d.Key, d.Hosts = key, hosts
	}
	return d.Key, d.Hosts, nil
}

// handshake connects to address.
func (d *Dialer) handshake(ctx context.Context, address string, config *tls.Config) (*tls.Conn, error) {
	dial := d.Dial
	if dial == nil {
		dial = dialTCP
	}
	tcp, err := dial(ctx, address)
	if err != nil {
		return nil, dialError(ctx, address, err)
	}
	conn := tls.Client(transport.Below(tcp), config)
	if err := identity.Handshake(ctx, conn); err != nil {
		tcp.Close()
		var ours interface{ ExitStatus() int } // our key cannot sign
		if errors.As(err, &ours) {
			return nil, err
		}
		return nil, dialError(ctx, address, err)
	}
	return conn, nil
}

// dialTCP tries all addresses of a name, IPv6 and IPv4 side by side (RFC 6555).
func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true}}
	return dialer.DialContext(ctx, "tcp", address)
}

// dialError is a *DialError, or the context's cause where that ended the
// attempt.
func dialError(ctx context.Context, address string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	if ctx.Err() != nil {
		err = errNoAnswer
	}
	return &DialError{Address: address, Err: err}
}
