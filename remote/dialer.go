package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
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
	// Resolve gives the addresses, "host" or "host:port", of a host as the user
	// names it, in the order in which they are to be tried; none where the name
	// is the address; nil means that it always is. It may be called
	// concurrently.
	Resolve func(ctx context.Context, host string) ([]string, error)
	// Resolver looks names up; nil is net.DefaultResolver.
	Resolver *net.Resolver
	// Dial makes the connection to an address, "host:port"; nil dials TCP, to all
	// addresses of a name. With it, no SRV records are looked up.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// ConnectTimeout is the time to reach a host and be accepted; 0 is
	// DefaultConnectTimeout. A host that is busy is asked again until it is over.
	// With AwaitHost, so is one that cannot be reached; else that is an error at
	// once.
	ConnectTimeout time.Duration
	AwaitHost      bool
	// Waiting is called when a host is about to be asked again, once for each
	// time that it is waited for, with the host as the user names it and the
	// error of the first attempt; nil: nobody wants to know. It may be called
	// concurrently.
	Waiting func(host string, why error)
	// IdleTimeout and DeadTimeout are those of wire.Options; an IdleTimeout of 0
	// is what wire.IdleTimeoutFor says.
	IdleTimeout, DeadTimeout time.Duration

	identifying sync.Mutex // Key and Hosts, while Identify sets them

	mu          sync.Mutex
	idle        map[candidate][]*client
	services    map[string]*service  // by host
	unreachable map[string]time.Time // by address: when that was found
	clients     map[*client]struct{} // that were made, unless they are known to have ended
	closed      bool

	pausing sync.WaitGroup // goroutines of Pause
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
	d.pausing.Wait()
	return nil
}

// HostKey is the key of a place where a host may be reached.
type HostKey struct {
	Address string // host:port as dialled
	KnownAs string // host:port by which known_hosts has it; another than Address for the target of an SRV record
	Key     ssh.PublicKey
}

// HostKeys asks all places of a host for their keys, and proves nothing about
// us. There may be both keys, in the order in which the places are tried, and an
// error: that of the first place without one, *DialError or Resolve's.
func (d *Dialer) HostKeys(ctx context.Context, host string, port int) ([]HostKey, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout())
	defer cancel()
	var places []candidate
	if err := d.persist(ctx, host, func() (err error) {
		places, err = d.candidates(ctx, host, port)
		return err
	}); err != nil {
		return nil, err
	}
	keys := make([]ssh.PublicKey, len(places))
	errs := make([]error, len(places))
	var wg sync.WaitGroup
	for i, at := range places {
		wg.Go(func() {
			errs[i] = d.persist(ctx, host, func() (err error) {
				keys[i], err = d.hostKey(ctx, at)
				return err
			})
		})
	}
	wg.Wait()
	var list []HostKey
	var first error
	for i, at := range places {
		if errs[i] == nil {
			list = append(list, HostKey{Address: at.address, KnownAs: at.knownAs, Key: keys[i]})
		} else if first == nil {
			first = errs[i]
		}
	}
	return list, first
}

// hostKey asks a place for its key.
func (d *Dialer) hostKey(ctx context.Context, at candidate) (ssh.PublicKey, error) {
	conn, err := d.handshake(ctx, at.address, identity.ProbeConfig())
	if err != nil {
		return nil, err
	}
	defer conn.NetConn().Close()
	return identity.PeerKey(conn.ConnectionState())
}

// List asks a host for the programs that we may run there. The error is
// *DialError, *RefusedError, one of package identity, or *LostError.
func (d *Dialer) List(ctx context.Context, host string, port int) ([]wire.Listing, error) {
	var list []wire.Listing
	c, err := d.open(ctx, host, port, func(ctx context.Context, c *client) (err error) {
		list, err = c.list(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	d.put(c)
	return list, nil
}

func (d *Dialer) timeout() time.Duration {
	if d.ConnectTimeout > 0 {
		return d.ConnectTimeout
	}
	return DefaultConnectTimeout
}

// take returns an idle connection to a place, or nil.
func (d *Dialer) take(at candidate) *client {
	d.mu.Lock()
	defer d.mu.Unlock()
	for list := d.idle[at]; len(list) > 0; list = d.idle[at] {
		c := list[len(list)-1]
		d.idle[at] = list[:len(list)-1]
		if c.wire.Err() == nil {
			return c
		}
		defer c.wire.Close()
	}
	return nil
}

// put takes back a connection whose session is over.
func (d *Dialer) put(c *client) {
	d.mu.Lock()
	keep := !d.closed && c.wire.Err() == nil && len(d.idle[c.candidate]) < maxIdle
	if keep {
		if d.idle == nil {
			d.idle = make(map[candidate][]*client)
		}
		d.idle[c.candidate] = append(d.idle[c.candidate], c)
	}
	d.mu.Unlock()
	if !keep {
		c.wire.Close()
	}
}

// dial connects to a place and makes sure of the host's key.
func (d *Dialer) dial(ctx context.Context, at candidate) (*client, error) {
	ours, hosts, err := d.identify(ctx)
	if err != nil {
		return nil, err
	}
	var refusal error
	var hostKey ssh.PublicKey
	config, err := identity.ClientConfig(ours, func(key ssh.PublicKey) error {
		hostKey = key
		refusal = at.check(hosts, key)
		return refusal
	})
	if err != nil {
		return nil, err
	}
	config.DynamicRecordSizingDisabled = true // for throughput
	conn, err := d.handshake(ctx, at.address, config)
	if refusal != nil {
		return nil, refusal
	}
	if err != nil {
		return nil, err
	}
	idle := d.IdleTimeout
	if idle == 0 {
		idle = wire.IdleTimeoutFor(d.DeadTimeout)
	}
	return d.made(newClient(conn, at, hostKey, wire.Options{IdleTimeout: idle, DeadTimeout: d.DeadTimeout})), nil
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
		dial = d.dialTCP
	}
	tcp, err := dial(ctx, address)
	if err != nil {
		return nil, dialError(ctx, address, err)
	}
	conn := tls.Client(transport.Below(tcp, d.DeadTimeout), config)
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
func (d *Dialer) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true}, Resolver: d.Resolver}
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
