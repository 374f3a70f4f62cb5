package remote_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
)

const srvName = "_rpipe._tcp.name.test."

// service is hosts to which the SRV records of name.test lead.
type service struct {
	*nameServer
	*places
}

func newService(t *testing.T) *service {
	return &service{
		nameServer: &nameServer{
			zone:   map[string][]record{"host.test.": {a("127.0.0.1")}, "name.test.": {a("127.0.0.1")}},
			silent: make(map[string]bool),
		},
		places: newPlaces(t),
	}
}

// target adds a record.
func (s *service) target(t *testing.T, priority uint16, address string) {
	s.zone[srvName] = append(s.zone[srvName], srv(priority, 0, port(t, address), "host.test."))
}

// dialer returns a Dialer that asks the name server, and knows the keys by the
// names given.
func (s *service) dialer(t *testing.T, known map[string]ssh.PublicKey) *remote.Dialer {
	t.Helper()
	hosts, err := identity.NewKnownHosts(known)
	if err != nil {
		t.Fatal(err)
	}
	d := &remote.Dialer{Key: s.key, Hosts: hosts, Resolver: newResolver(t, s.nameServer)}
	t.Cleanup(func() { d.Close() })
	return d
}

// run runs a program on a host.
func run(t *testing.T, d *remote.Dialer, host string) error {
	t.Helper()
	c := remote.Command(t.Context(), host, "true")
	c.Dialer = d
	return c.Run()
}

func TestServiceRecordsLeadToTheHostByPriority(t *testing.T) {
	s := newService(t)
	last, first := s.add(t), s.add(t)
	s.target(t, 20, last.address)
	s.target(t, 10, first.address)
	s.target(t, 5, closedPort(t))
	d := s.dialer(t, map[string]ssh.PublicKey{"name.test:7747": first.Key.PublicKey()})
	for range 5 {
		if err := run(t, d, "name.test"); err != nil {
			t.Fatal(err)
		}
	}
	if first.accepted.Load() != 1 || last.accepted.Load() != 0 {
		t.Errorf("%d connections by priority 10, and %d by 20, want 1 and 0", first.accepted.Load(), last.accepted.Load())
	}
	if n := s.questions(srvName); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
}

// A forged record may lead to any host. It must have the key of the one that the
// user wrote, whomever else the user knows.
func TestServiceRecordsDoNotSayWhomToTrust(t *testing.T) {
	s := newService(t)
	h := s.add(t)
	s.target(t, 0, h.address)
	target := net.JoinHostPort("host.test.", strconv.Itoa(port(t, h.address)))
	bare := net.JoinHostPort("host.test", strconv.Itoa(port(t, h.address)))
	key := h.Key.PublicKey()
	d := s.dialer(t, map[string]ssh.PublicKey{target: key, bare: key, h.address: key})
	if err := run(t, d, bare); err != nil { // the user does trust it, as itself
		t.Fatal(err)
	}
	err := run(t, d, "name.test")
	var unknown *identity.UnknownHostError
	var at *remote.TargetError
	if !errors.As(err, &unknown) || !errors.As(err, &at) || exitStatus(err) != 77 {
		t.Fatalf("%v, want 77 for the name that was written", err)
	}
	if at.Address != target || unknown.HostPort != "name.test:7747" {
		t.Errorf("told of %s at %s, want name.test:7747 at %s", unknown.HostPort, at.Address, target)
	}
	if got, want := at.Hint(), "if rpiped fingerprint prints the same on that host, run: rpipe --trust name.test "+h.Key.Fingerprint(); got != want {
		t.Errorf("hint %q, want %q", got, want)
	}
}

func TestHostsBehindOneNameMayHaveKeysOfTheirOwn(t *testing.T) {
	s := newService(t)
	first, second := s.add(t, one), s.add(t)
	s.target(t, 1, first.address)
	s.target(t, 2, second.address)
	d := s.dialer(t, nil)
	keys, err := d.HostKeys(t.Context(), "name.test", 0)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v, want 2", len(keys), err)
	}
	for _, k := range keys {
		if k.KnownAs != "name.test:7747" {
			t.Errorf("%s is known as %s", k.Address, k.KnownAs)
		}
		if err := d.Hosts.(*identity.KnownHosts).AddBeside(k.KnownAs, k.Key); err != nil {
			t.Fatal(err)
		}
	}
	s.occupy(t, first)
	for range 2 {
		if err := run(t, d, "name.test"); err != nil {
			t.Fatal(err)
		}
	}
	if n := second.accepted.Load(); n != 2 { // for its key, and for its programs
		t.Errorf("%d connections to the second host, want 2", n)
	}
}

func TestAServiceThatIsDeclinedIsUnreachable(t *testing.T) {
	s := newService(t)
	s.zone[srvName] = []record{srv(0, 0, 0, ".")}
	err := run(t, s.dialer(t, nil), "name.test")
	var dial *remote.DialError
	if !errors.As(err, &dial) || err.Error() != "cannot reach name.test: its SRV record says that it has no rpiped" || exitStatus(err) != 69 {
		t.Fatalf("%v, want 69", err)
	}
	if strings.Contains(dial.Hint(), "listening") {
		t.Errorf("hint %q", dial.Hint())
	}
}

func TestANameWithoutServiceRecordsIsTheHost(t *testing.T) {
	for name, silent := range map[string]bool{"no record": false, "no answer": true} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.silent[srvName] = silent
			s.zone["name.test."] = nil // nobody can say what is on port 7747 here
			d := s.dialer(t, nil)
			for range 2 {
				err := run(t, d, "name.test")
				var dial *remote.DialError
				if !errors.As(err, &dial) || dial.Address != "name.test:7747" {
					t.Fatalf("%v, want an attempt at name.test:7747", err)
				}
			}
			if n := s.questions(srvName); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
		})
	}
}

func TestServiceRecordsAreForNamesThatSayNoMore(t *testing.T) {
	s := newService(t)
	h := s.add(t)
	elsewhere := closedPort(t)
	for _, name := range []string{srvName, "_rpipe._tcp.localhost.", "_rpipe._tcp.x.localhost."} {
		s.zone[name] = []record{srv(0, 0, port(t, elsewhere), "host.test.")}
	}
	n := strconv.Itoa(port(t, h.address))
	for host, resolved := range map[string][]string{
		"name.test:" + n: nil,
		"127.0.0.1:" + n: nil,
		"configured":     {"name.test:" + n},
	} {
		d := s.dialer(t, map[string]ssh.PublicKey{
			"name.test:" + n: h.Key.PublicKey(), "127.0.0.1:" + n: h.Key.PublicKey(),
		})
		d.Resolve = func(context.Context, string) ([]string, error) { return resolved, nil }
		if err := run(t, d, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost", "X.localhost.", "configured"} {
		d := s.dialer(t, nil)
		d.Resolve = func(_ context.Context, host string) ([]string, error) {
			if host == "configured" {
				return []string{"name.test"}, nil
			}
			return nil, nil
		}
		_ = run(t, d, host) // what is on port 7747 here is not asserted
	}
	if n := s.all(); n != 0 {
		t.Errorf("asked for SRV records %d times, want never", n)
	}
}

func TestAnEmbeddedHostIsNotLookedUp(t *testing.T) {
	s := newService(t)
	h := s.add(t)
	s.target(t, 0, closedPort(t))
	d := s.dialer(t, map[string]ssh.PublicKey{"name.test:7747": h.Key.PublicKey()})
	d.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		if address != "name.test:7747" {
			return nil, errors.New("dialled " + address)
		}
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", h.address)
	}
	if err := run(t, d, "name.test"); err != nil {
		t.Error(err)
	}
	if n := s.all(); n != 0 {
		t.Errorf("asked for SRV records %d times, want never", n)
	}
}
