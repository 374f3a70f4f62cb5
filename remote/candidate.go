package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/wire"
)

const (
	// serviceTimeout bounds the question for SRV records: a name that has none
	// must not wait for a name server that does not answer.
	serviceTimeout = time.Second
	// serviceLife is how long an answer holds. The net package does not tell the
	// time to live of a record.
	serviceLife = 30 * time.Second
)

// candidate is a place where a host may be reached. The zero value is none.
type candidate struct {
	address string // host:port to dial
	knownAs string // host:port whose key it must prove to have
}

// candidates returns where host, as the user names it, may be reached, in the
// order in which that is to be tried, at least one. Port 0 is that of Resolve, or
// of an SRV record, or DefaultPort. Within serviceLife the answer for a host and
// port is the same, so that two with equal answers are one host. The error is
// Resolve's, *DialError, or the context's cause.
//
// Whom the user trusts is never the DNS' to say. An address that Resolve gives
// must have the key that is known for that address: the user has written it. The
// target of an SRV record must have a key that is known for the name that the
// user wrote (RFC 9525, section 6.1: the source domain), or else a forged record
// could lead one host's data to another that is trusted as well.
func (d *Dialer) candidates(ctx context.Context, host string, port int) ([]candidate, error) {
	if d.Resolve != nil {
		addresses, err := d.Resolve(ctx, host)
		if err != nil {
			return nil, err
		}
		if len(addresses) > 0 {
			return resolved(addresses, port)
		}
	}
	if port == 0 && d.Dial == nil {
		targets, err := d.service(ctx, host)
		if err != nil || len(targets) > 0 {
			return targets, err
		}
	}
	if port == 0 {
		port = DefaultPort
	}
	return []candidate{place(host, port)}, nil
}

// check returns nil if the key may be that of the place.
func (c candidate) check(hosts HostKeys, key ssh.PublicKey) error {
	err := hosts.Check(c.knownAs, key)
	if err != nil && c.knownAs != c.address {
		return &TargetError{Address: c.address, KnownAs: c.knownAs, Key: key, Err: err}
	}
	return err
}

// TargetError is a target of an SRV record whose key is not known for the name
// that has the record.
type TargetError struct {
	Address string // host:port of the target
	KnownAs string // host:port that the key is looked up for
	Key     ssh.PublicKey
	Err     error // of HostKeys
}

// Error adds the target to what is wrong.
func (e *TargetError) Error() string {
	return fmt.Sprintf("%v (at %s, where its SRV record leads)", e.Err, e.Address)
}

// Unwrap returns the error of HostKeys.
func (e *TargetError) Unwrap() error { return e.Err }

// ExitStatus returns 77.
func (e *TargetError) ExitStatus() int { return int(wire.StatusIdentity) }

// Hint says how the key becomes known. A name may have several.
func (e *TargetError) Hint() string {
	var revoked *identity.RevokedHostError
	if errors.As(e.Err, &revoked) {
		return revoked.Hint()
	}
	host, _, err := net.SplitHostPort(e.KnownAs)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("if rpiped fingerprint prints the same on that host, run: rpipe --trust %s %s", host, identity.Fingerprint(e.Key))
}

// place is one that is known by its address.
func place(host string, port int) candidate {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	return candidate{address: address, knownAs: address}
}

// resolved returns the candidates that Resolve's addresses stand for. A port that
// is not 0 takes the place of theirs.
func resolved(addresses []string, port int) ([]candidate, error) {
	var list []candidate
	seen := make(map[candidate]bool)
	for _, address := range addresses {
		host, number := address, DefaultPort
		if h, p, err := net.SplitHostPort(address); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return nil, &DialError{Address: address, Err: errPort}
			}
			host, number = h, int(n)
		}
		if port != 0 {
			number = port
		}
		if c := place(host, number); !seen[c] {
			seen[c] = true
			list = append(list, c)
		}
	}
	return list, nil
}

var errPort = errors.New("a port is a number from 1 to 65535")

// service is what the DNS says of the rpiped daemons of a name.
type service struct {
	mu      sync.Mutex // held for no longer than serviceTimeout
	targets []candidate
	err     error
	until   time.Time
}

// service returns the places that the SRV records of _rpipe._tcp.HOST name (RFC
// 2782), by priority and weight; none where there are no such records, or no
// answer in time. It asks for names that only the DNS can know.
func (d *Dialer) service(ctx context.Context, host string) ([]candidate, error) {
	if isLocalName(host) {
		return nil, nil
	}
	d.mu.Lock()
	s := d.services[host]
	if s == nil {
		if d.services == nil {
			d.services = make(map[string]*service)
		}
		s = new(service)
		d.services[host] = s
	}
	d.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return s.targets, s.err
	}
	targets, err := d.lookupService(ctx, host)
	if ctx.Err() != nil {
		return nil, dialError(ctx, host, ctx.Err())
	}
	s.targets, s.err, s.until = targets, err, time.Now().Add(serviceLife)
	return targets, err
}

func (d *Dialer) lookupService(ctx context.Context, host string) ([]candidate, error) {
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	if inHostsFile(ctx, host) {
		return nil, nil
	}
	resolver := d.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	// With an error there may be records too: those that make sense.
	_, records, _ := resolver.LookupSRV(ctx, "rpipe", "tcp", host)
	if len(records) == 1 && records[0].Target == "." {
		return nil, &DialError{Address: host, Err: errNoService}
	}
	var targets []candidate
	for _, r := range records {
		if r.Port == 0 || r.Target == "." {
			continue
		}
		// The final dot stays: a target is no name for a search list.
		c := place(r.Target, int(r.Port))
		c.knownAs = place(host, DefaultPort).knownAs
		targets = append(targets, c)
	}
	return targets, nil
}

// errNoService is the target "." of an SRV record.
var errNoService = errors.New("its SRV record says that it has no rpiped")

// isLocalName reports whether host is an IP address or a name of this machine
// (RFC 6761, section 6.3), about which no name server is asked.
func isLocalName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// inHostsFile reports whether the system's hosts file has the name, which then is
// where the user says.
func inHostsFile(ctx context.Context, host string) bool {
	files := net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, net.ErrClosed // no name server
		},
	}
	found, err := files.LookupHost(ctx, host)
	return err == nil && len(found) > 0
}
