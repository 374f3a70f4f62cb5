package names

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func BenchmarkPlan1000(b *testing.B) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("service-%d", i))
	}
	prefix := netip.MustParsePrefix("fd00:7::/64")
	for b.Loop() {
		if _, err := Plan(prefix, nil, names); err != nil {
			b.Fatal(err)
		}
	}
}

// It tells the memory that the zones hold, too.
func BenchmarkZonesOf1000Services(b *testing.B) {
	c := manyServices(b, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	zones := mustZones(b, c)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportAllocs()
	for b.Loop() {
		mustZones(b, c)
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-held")
	runtime.KeepAlive(zones)
}

func benchQueries(b *testing.B) map[string][]byte {
	queries := map[string][]byte{}
	for what, q := range map[string]dns.Question{
		"address": {Name: "service-500.pipes.test.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET},
		"srv":     {Name: "_pipe._tcp.service-500.pipes.test.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
		"reverse": {Name: reverseName(Address(netip.MustParsePrefix("fd00:7::/64"), "service-500")), Qtype: dns.TypePTR, Qclass: dns.ClassINET},
		"nobody":  {Name: "nobody.pipes.test.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET},
		"list":    {Name: "_pipe._tcp.pipes.test.", Qtype: dns.TypePTR, Qclass: dns.ClassINET},
	} {
		m := &dns.Msg{Question: []dns.Question{q}}
		m.SetEdns0(1232, false)
		wire, err := m.Pack()
		if err != nil {
			b.Fatal(err)
		}
		queries[what] = wire
	}
	return queries
}

func BenchmarkAnswer(b *testing.B) {
	zones := mustZones(b, manyServices(b, 1000))
	for what, query := range benchQueries(b) {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				zones.answer(query, overTCP)
			}
		})
	}
}

// One client that has 32 queries under way, on the same machine.
func BenchmarkServerUDP(b *testing.B) {
	s := &Server{}
	if err := s.SetZones(mustZones(b, manyServices(b, 1000))); err != nil {
		b.Fatal(err)
	}
	port := start(b, s, "127.0.0.1")
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	query := benchQueries(b)["address"]
	buf := make([]byte, 4096)
	sent := 0
	for range min(32, b.N) {
		if _, err := conn.Write(query); err != nil {
			b.Fatal(err)
		}
		sent++
	}
	b.ResetTimer()
	for range b.N {
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(buf); err != nil {
			b.Fatal(err)
		}
		if sent < b.N {
			if _, err := conn.Write(query); err != nil {
				b.Fatal(err)
			}
			sent++
		}
	}
}
