package names

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsWrongWithAZoneIsToldWithTheNextStep(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Origin = "." }, `the zone cannot be called ".": write a name such as "pipes.example.org"`},
		{func(c *Config) { c.Origin = "a..b" }, `the zone cannot be called "a..b": write a name such as "pipes.example.org"`},
		{func(c *Config) { c.Origin = "pipes.example.org\n" }, `the zone cannot be called "pipes.example.org\n": write a name such as "pipes.example.org"`},
		{func(c *Config) { c.Prefix = netip.MustParsePrefix("::/0") }, `prefix "::/0" is too large: its length may be 8 to 120`},
		{func(c *Config) { c.NameServers = nil }, `zone "pipes.test" has no name server: name one, such as "ns.pipes.test."`},
		{func(c *Config) { c.NameServers[0].Name = "ns_1.pipes.test" }, `name server: "ns_1.pipes.test" is no name of a host: write one such as "ns1.example.org"`},
		{func(c *Config) { c.NameServers[0].Addrs = nil }, `name server "ns1.pipes.test" lies in the zone and has no address: give it one`},
		{func(c *Config) { c.NameServers[2].Addrs = addrs("::1") },
			`name server "ns2.elsewhere.test." has addresses here, but lies outside the zone "pipes.test.", which cannot hold them: leave them out`},
		{func(c *Config) { c.NameServers[0].Name = "WC.pipes.test" },
			`name server "WC.pipes.test." has the name of a service with another address: give one of them another name`},
		{func(c *Config) { c.Hostmaster = "me" }, `hostmaster "me" is no mail address: write one such as "hostmaster@example.org"`},
		{func(c *Config) { c.TTL = time.Millisecond }, `a ttl of 1ms cannot be: write one between a second and 68 years`},
		{func(c *Config) { c.NegativeTTL = -1 }, `a negative ttl of -1ns cannot be: write one between a second and 68 years`},
		{func(c *Config) { c.Services[0].Name = "a b" },
			`service "a b" cannot have its name in the DNS: a host name has letters, digits and hyphens, and no ' ': give the program another name, such as "a-b"`},
		{func(c *Config) { c.Services[0].Name = "WC" },
			`services "WC" and "wc" have the same name in the DNS, where upper case is lower case: give one of them another name`},
		{func(c *Config) { c.Services[0].Port = 0 }, `service "upper" has no port`},
		{func(c *Config) { c.Services[0].Addr = netip.Addr{} }, `"upper.pipes.test." has no address that the DNS can hold: "invalid IP"`},
		{func(c *Config) { c.Daemons[0].Port = 0 }, `daemon "gate.pipes.test" has no port`},
		{func(c *Config) { c.Daemons[0].Addrs = nil }, `daemon "gate.pipes.test" lies in the zone and has no address: give it one`},
		{func(c *Config) { c.Daemons[0].Name = "" }, `daemon: "" is no name of a host: write one such as "ns1.example.org"`},
		{func(c *Config) { *c = manyServices(t, 5000) },
			`5000 records of "_pipe._tcp.pipes.test." do not fit into one message of the DNS: have fewer services, or do not list them`},
	} {
		c := testConfig()
		test.change(&c)
		zones, err := NewZones(c)
		if err == nil || zones != nil {
			t.Errorf("no error; want %s", test.want)
			continue
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNamesOfTheLongestZoneAreRefusedNotCut(t *testing.T) {
	c := testConfig()
	c.Daemons, c.NameServers = nil, []Host{{Name: "ns.elsewhere.test"}}
	c.Origin = strings.Repeat("a234567.", 30)
	_, err := NewZones(c)
	if err == nil || !strings.Contains(err.Error(), "has more than the 255 bytes of RFC 1035: give the zone a shorter one") {
		t.Errorf("%v", err)
	}
}

func TestADaemonOnAHostOfTheZoneNeedsNoAddress(t *testing.T) {
	c := testConfig()
	c.Daemons = []Daemon{{Host: Host{Name: "upper.pipes.test"}, Port: 7747}, {Host: Host{Name: "ns1.pipes.test"}, Port: 7747}}
	if _, err := NewZones(c); err != nil {
		t.Error(err)
	}
}

func TestReverseZonesCoverThePrefixExactly(t *testing.T) {
	for _, test := range []struct {
		prefix string
		count  int
		some   []string
	}{
		{"2001:db8:7::/64", 1, []string{"0.0.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}},
		{"fd00::/8", 1, []string{"d.f.ip6.arpa."}},
		{"2001:db8::ff00/120", 1, []string{"f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}},
		{"2001:db8:7:8::/61", 8, []string{"8.0.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "f.0.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}},
		{"2001:db8:7:80::/57", 8, []string{"8.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}},
		{"2001:db8:7:40::/58", 4, []string{"4.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "7.0.0.7.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}},
		{"127.0.0.0/8", 1, []string{"127.in-addr.arpa."}},
		{"192.0.2.0/24", 1, []string{"2.0.192.in-addr.arpa."}},
		{"10.128.0.0/9", 128, []string{"128.10.in-addr.arpa.", "255.10.in-addr.arpa."}},
		{"10.1.16.0/20", 16, []string{"16.1.10.in-addr.arpa.", "31.1.10.in-addr.arpa."}},
	} {
		prefix := netip.MustParsePrefix(test.prefix)
		origins := reverseOrigins(prefix)
		slices.Sort(origins)
		if len(slices.Compact(slices.Clone(origins))) != test.count {
			t.Errorf("%s: %v", prefix, origins)
		}
		for _, want := range test.some {
			if !slices.Contains(origins, want) {
				t.Errorf("%s: no %s in %v", prefix, want, origins)
			}
		}
		// Every address of the prefix has a zone, those beside it have none.
		for i := range 200 {
			addr := Address(prefix, fmt.Sprint("name", i))
			if n := covering(origins, addr); n != 1 {
				t.Errorf("%s: %d zones hold %s", prefix, n, addr)
			}
		}
		bytes := prefix.Addr().AsSlice()
		bit := prefix.Bits() - 1
		bytes[bit/8] ^= 1 << (7 - bit%8)
		if beside, _ := netip.AddrFromSlice(bytes); covering(origins, beside) != 0 {
			t.Errorf("%s: a zone holds %s", prefix, beside)
		}
	}
}

func covering(origins []string, addr netip.Addr) (n int) {
	for _, origin := range origins {
		if strings.HasSuffix(reverseName(addr), "."+origin) {
			n++
		}
	}
	return n
}

func TestSerialsGrow(t *testing.T) {
	now := time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
	serial := SerialOf(now)
	if uint64(serial) != uint64(now.Unix()) {
		t.Errorf("the first serial is %d", serial)
	}
	for _, later := range []time.Duration{0, 0, time.Second, -time.Hour, 24 * time.Hour, 70 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour, 40 * 365 * 24 * time.Hour} {
		now = now.Add(later)
		next := NextSerial(serial, now)
		if !serialGreater(next, serial) {
			t.Errorf("%s: %d does not follow %d", now, next, serial)
		}
		serial = next
	}
	for _, test := range []struct {
		a, b uint32
		want bool
	}{{1, 0, true}, {0, 1, false}, {5, 5, false}, {0, 1<<32 - 1, true}, {1<<32 - 1, 0, false}, {1<<31 - 1, 0, true}, {1 << 31, 0, false}, {0, 1 << 31, false}} {
		if got := serialGreater(test.a, test.b); got != test.want {
			t.Errorf("%d greater than %d: %t", test.a, test.b, got)
		}
	}
}
