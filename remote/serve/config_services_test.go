package serve

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestServicesAreReadWithTheirAddresses(t *testing.T) {
	c := decode(t, `
[services]
prefix = "fd00:7::/64"
zone = "pipes.example.org"
port = 99
from = ["192.0.2.0/24", "2001:db8::7"]
public = true
max_connections = 12
name_servers = ["ns.pipes.example.org 192.0.2.1 2001:db8::1", "ns.example.net"]
hostmaster = "dns@example.org"
ttl = "1m"
dns_listen = ["127.0.0.1:53"]
daemons = ["a.pipes.example.org:7747 192.0.2.2"]
list = true

[programs]
upper = { run = ["tr"], service = true, summary = "up" }
given = { run = ["tr"], service = "192.0.2.7:80", stdio = "socket", on_failure = "reset", browsers = true }
other = { run = ["tr"], service = "192.0.2.7:81", max = { connections = 3, time = "10m" } }
socket = { run = ["tr"], service = "unix:/run/x/../y" }
portless = { run = ["tr"], service = "[::1]" }
no = { run = ["tr"], service = false }
`).Services
	want := map[string]Service{
		"given":    {Network: "tcp", Address: "192.0.2.7:80", Socket: true, ResetOnFailure: true, Browsers: true},
		"other":    {Network: "tcp", Address: "192.0.2.7:81", MaxConnections: 3, MaxTime: 10 * time.Minute},
		"portless": {Network: "tcp", Address: "[::1]:99"},
		"socket":   {Network: "unix", Address: "/run/y"},
		"upper":    {Network: "tcp", Address: "[fd00:7::b0c7:acc1:dea2:e9b0]:99", FreeBind: true},
	}
	if len(c.Services) != len(want) || c.MaxConnections != 12 || c.Zone() != "pipes.example.org" || len(c.DNSListen) != 1 {
		t.Errorf("%+v", c)
	}
	for _, s := range c.Services {
		got := *s
		if len(got.From) != 2 || got.From[1] != netip.MustParsePrefix("2001:db8::7/128") {
			t.Errorf("%s: from %v", s.Name(), got.From)
		}
		got.From, got.Program = nil, nil
		w := want[s.Name()]
		if got.Network != w.Network || got.Address != w.Address || got.FreeBind != w.FreeBind || got.Socket != w.Socket ||
			got.ResetOnFailure != w.ResetOnFailure || got.Browsers != w.Browsers || got.MaxConnections != w.MaxConnections || got.MaxTime != w.MaxTime {
			t.Errorf("%s: %+v, want %+v", s.Name(), got, w)
		}
	}
	if addr, derived := c.Derived(); !derived || addr != netip.MustParseAddr("fd00:7::b0c7:acc1:dea2:e9b0") {
		t.Errorf("Derived: %v, %v", addr, derived)
	}
	zones, err := c.Zones(7)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, z := range zones.All() {
		z.WriteTo(&text)
	}
	for _, record := range []string{"upper.pipes.example.org.", "fd00:7::b0c7:acc1:dea2:e9b0", "_rpipe._tcp.pipes.example.org.", "summary=up"} {
		if !strings.Contains(text.String(), record) {
			t.Errorf("no %q in\n%s", record, &text)
		}
	}
	if strings.Contains(text.String(), "socket.pipes") {
		t.Error("a Unix socket has a name in the DNS")
	}
}

func TestServicesWithoutAnyKeyAreThisMachinesOnly(t *testing.T) {
	c := decode(t, "[services]\n[programs.upper]\nrun = [\"tr\"]\nservice = true\n").Services
	if len(c.Services) != 1 || c.Services[0].Address != "127.244.29.10:9999" || c.Services[0].From != nil {
		t.Errorf("%+v", c.Services[0])
	}
	if _, derived := c.Derived(); derived {
		t.Error("loopback needs a route")
	}
	if decode(t, "").Services != nil {
		t.Error("services without a table")
	}
}
