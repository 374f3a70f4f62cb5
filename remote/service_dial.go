package remote

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// Service returns a Service at an address, with the Dialer's Resolver, time-outs and
// patience: with AwaitHost, Open waits for one that cannot be reached. A DeadTimeout of
// 0 is that of a Service. Resolve, Dial, Key and Hosts have no part in it.
func (d *Dialer) Service(ctx context.Context, network, address string) *Service {
	s := NewService(ctx, network, address)
	s.Resolver, s.ConnectTimeout, s.DeadTimeout, s.dialer = d.Resolver, d.ConnectTimeout, d.DeadTimeout, d
	return s
}

// dial connects, and waits for the service as its Dialer says.
func (s *Service) dial() (conn halfCloser, err error) {
	if s.dialer == nil {
		return s.dialOnce()
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.dialer.timeout())
	defer cancel()
	var lost *LostError // it has run, and is not called again
	err = s.dialer.persist(ctx, s.Address, func() (err error) {
		if conn, err = s.dialOnce(); errors.As(err, &lost) {
			return nil
		}
		return err
	})
	if lost != nil {
		return nil, lost
	}
	return conn, err
}

// dialOnce connects.
func (s *Service) dialOnce() (halfCloser, error) {
	switch s.Network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return nil, fmt.Errorf("remote: a service on network %q", s.Network)
	}
	timeout := s.ConnectTimeout
	if timeout <= 0 {
		timeout = DefaultConnectTimeout
	}
	ctx, cancel := context.WithTimeout(s.ctx, timeout)
	defer cancel()
	dead := s.deadTimeout()
	dialer := net.Dialer{
		Resolver: s.Resolver,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: dead / 2, Interval: dead / 6, Count: 3,
		},
	}
	for {
		conn, err := dialer.DialContext(ctx, s.Network, s.Address)
		switch {
		case err == nil:
			half, ok := conn.(halfCloser)
			if !ok {
				conn.Close()
				return nil, fmt.Errorf("remote: a %T has no half-close", conn)
			}
			return half, nil
		case s.ctx.Err() != nil:
			return nil, context.Cause(s.ctx)
		case s.Network == "unix" && errors.Is(err, syscall.EAGAIN) && pause(ctx):
			// Its backlog is full, which TCP would wait for.
		case errors.Is(err, syscall.ECONNRESET) && s.Network != "unix":
			// It was connected, since a refusal is ECONNREFUSED.
			return nil, &LostError{Service: true, Err: err}
		case ctx.Err() != nil && !isLookup(err):
			return nil, s.unreachable(errServiceSilent)
		default:
			return nil, s.unreachable(err)
		}
	}
}

// isLookup reports whether it was a name that could not be looked up.
func isLookup(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns)
}

// fullPause is the time between two attempts at a socket whose backlog is full.
const fullPause = 10 * time.Millisecond

// pause waits for fullPause, and returns false if ctx is done before.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(fullPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// setLinger sets SO_LINGER where there is one. With 0 any close of the connection, also that
// by the kernel at the end of the process, is a reset.
func setLinger(conn net.Conn, seconds int) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(seconds)
	}
}

// errServiceSilent is a service that gives no answer before ConnectTimeout.
var errServiceSilent = errors.New("no answer in time")

func (s *Service) unreachable(err error) error {
	return &unreachableService{dial: &DialError{Address: s.Address, Err: err}, network: s.Network}
}

// unreachableService is a *DialError with a hint that fits a service.
type unreachableService struct {
	dial    *DialError
	network string
}

// Error is that of the DialError.
func (e *unreachableService) Error() string { return e.dial.Error() }

// Unwrap returns the DialError.
func (e *unreachableService) Unwrap() error { return e.dial }

// ExitStatus is that of the DialError.
func (e *unreachableService) ExitStatus() int { return e.dial.ExitStatus() }

// Hint says what to look at.
func (e *unreachableService) Hint() string {
	var dns *net.DNSError
	switch err := e.dial.Err; {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the name of the service; a program of a host is @HOST:PROGRAM"
	case errors.As(err, &dns) && dns.IsTimeout:
		return "try again later, ask another name server with --resolver, or give the service's address"
	case errors.As(err, &dns):
		return "the name server does not answer for that name: write it with its zone, ask another one with --resolver, or try again later"
	case errors.Is(err, fs.ErrPermission):
		return "may this user write to the socket, and enter its directory?"
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such socket: does the service run, and where does it listen?"
	case errors.Is(err, syscall.ECONNREFUSED) && e.network == "unix":
		return "the socket is left from a service that runs no more"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: does the service run, and on which port?"
	case errors.Is(err, errServiceSilent), errors.Is(err, os.ErrDeadlineExceeded):
		return "is the host up, and does a firewall drop what is sent to that port?"
	case e.network == "unix" && errors.Is(err, syscall.EINVAL) && len(e.dial.Address) > maxSocketPath:
		return fmt.Sprintf("the path of a socket has at most %d bytes", maxSocketPath)
	case strings.HasPrefix(e.network, "tcp"):
		return "check the address, and the way there"
	}
	return ""
}

// maxSocketPath is the longest path in a sockaddr_un, on Linux (unix(7)).
const maxSocketPath = 107
