package names

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// needTool returns the path of a program, or skips the test; with RPIPE_TEST_ALL=1 it fails it.
func needTool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			tb.Fatalf("%s is not installed", name)
		}
		tb.Skipf("%s is not installed", name)
	}
	return path
}

// testConfig is a zone with everything that a zone can have.
func testConfig() Config {
	prefix := netip.MustParsePrefix("fd00:7::/64")
	c := Config{
		Origin: "pipes.test",
		Prefix: prefix,
		NameServers: []Host{
			{Name: "ns1.pipes.test", Addrs: addrs("fd00:7::53", "127.0.0.1")},
			{Name: "ns.deep.down.pipes.test", Addrs: addrs("192.0.2.53")},
			{Name: "ns2.elsewhere.test"},
		},
		Hostmaster: "jane.doe@example.org",
		Serial:     2026010101,
		Daemons: []Daemon{
			{Host: Host{Name: "gate.pipes.test", Addrs: addrs("192.0.2.7", "fd00:8::7")}, Port: 7747, Priority: 10, Weight: 5},
			{Host: Host{Name: "spare.elsewhere.test"}, Port: 7748, Priority: 20},
		},
		List: true,
	}
	for _, name := range []string{"upper", "Sort", "to-lower", "wc"} {
		c.Services = append(c.Services, Service{Name: name, Addr: Address(prefix, name), Port: 9999, Summary: `does "` + name + `"; a\b ü`})
	}
	c.Services = append(c.Services, Service{Name: "v4", Addr: netip.MustParseAddr("127.9.9.9"), Port: 7})
	return c
}

// manyServices is a configuration of n services, with short names.
func manyServices(tb testing.TB, n int) Config {
	tb.Helper()
	c := testConfig()
	c.Services = nil
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("service-%d", i))
	}
	plan, err := Plan(c.Prefix, nil, names)
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		c.Services = append(c.Services, Service{Name: name, Addr: plan[name], Port: 9999})
	}
	return c
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func mustZones(tb testing.TB, c Config) *Zones {
	tb.Helper()
	zones, err := NewZones(c)
	if err != nil {
		tb.Fatal(err)
	}
	return zones
}

// listen returns sockets for UDP and TCP with the same port, on one address or on all.
func listen(tb testing.TB, host string) (net.PacketConn, net.Listener) {
	tb.Helper()
	var last error
	for range 20 {
		pc, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			tb.Fatal(err)
		}
		ln, err := net.Listen("tcp", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		pc.Close()
		last = err
	}
	tb.Fatal(last)
	return nil, nil
}

// start serves on host and returns the port. The server is shut down at the end of the test,
// which fails if that takes for ever.
func start(tb testing.TB, s *Server, host string) (port string) {
	tb.Helper()
	pc, ln := listen(tb, host)
	ended := make(chan error, 2)
	go func() { ended <- s.ServePacket(pc) }()
	go func() { ended <- s.Serve(ln) }()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			tb.Errorf("Shutdown: %v", err)
		}
		for range 2 {
			if err := <-ended; err != ErrServerClosed {
				tb.Errorf("serving ended with %v, want ErrServerClosed", err)
			}
		}
	})
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

// serveZones serves zones on 127.0.0.1.
func serveZones(tb testing.TB, zones *Zones) (port string) {
	tb.Helper()
	s := &Server{}
	if err := s.SetZones(zones); err != nil {
		tb.Fatal(err)
	}
	return start(tb, s, "127.0.0.1")
}

// dig runs the real one and returns what it prints. It asks 127.0.0.1 unless the first
// argument is an @server.
func dig(tb testing.TB, port string, args ...string) string {
	tb.Helper()
	path := needTool(tb, "dig")
	if !strings.HasPrefix(args[0], "@") {
		args = append([]string{"@127.0.0.1"}, args...)
	}
	args = append([]string{"-p", port, "+tries=1", "+time=10", "+norecurse"}, args...)
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("dig %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}
