package names

import (
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// Zones are the zones of one Config: the forward one first, then the reverse ones.
// They do not change. Nil holds none.
type Zones struct {
	zones    []*Zone
	byOrigin map[string]*Zone // key in lower case
	serial   uint32
}

// All returns the zones, the forward one first.
func (z *Zones) All() []*Zone {
	if z == nil {
		return nil
	}
	return append([]*Zone(nil), z.zones...)
}

// Serial returns that of the Config.
func (z *Zones) Serial() uint32 {
	if z == nil {
		return 0
	}
	return z.serial
}

// find returns the zone that name, absolute, lies in, and where in name the zone's
// own name begins; nil if there is none.
func (z *Zones) find(name string) (*Zone, int) {
	if z == nil {
		return nil, 0
	}
	key := lower(name)
	for off, end := 0, false; !end; off, end = dns.NextLabel(key, off) {
		if zone := z.byOrigin[key[off:]]; zone != nil {
			return zone, off
		}
	}
	return nil, 0
}

// A Zone is one zone of authority. It does not change.
type Zone struct {
	origin string // absolute
	soa    *dns.SOA
	nodes  map[string]*node // by name in lower case, with the empty ones between
	order  []string         // the names of nodes that are not empty, as they came
}

// A node is what a zone knows of a name. Without sets it is an empty non-terminal:
// it exists, because there are names below it (RFC 8020).
type node struct {
	sets []rrset
}

// An rrset is the records of a name that have the same type; never empty.
type rrset []dns.RR

func (n *node) set(qtype uint16) rrset {
	for _, set := range n.sets {
		if set[0].Header().Rrtype == qtype {
			return set
		}
	}
	return nil
}

func newZone(origin string) *Zone {
	return &Zone{origin: origin, nodes: map[string]*node{lower(origin): {}}}
}

// Origin returns the absolute name of the zone.
func (z *Zone) Origin() string { return z.origin }

// add takes a record whose name lies in the zone. Doubled ones are one (RFC 2181
// section 5).
func (z *Zone) add(rr dns.RR) {
	key := lower(rr.Header().Name)
	n := z.nodes[key]
	if n == nil || n == &emptyNode {
		n = &node{}
		z.nodes[key] = n
	}
	if n.sets == nil {
		z.order = append(z.order, rr.Header().Name)
	}
	n.add(rr)
	for off, end := dns.NextLabel(key, 0); !end; off, end = dns.NextLabel(key, off) {
		if z.nodes[key[off:]] != nil {
			break
		}
		z.nodes[key[off:]] = &emptyNode
	}
}

// emptyNode is every empty non-terminal; it is never written to.
var emptyNode node

func (n *node) add(rr dns.RR) {
	for i, set := range n.sets {
		if set[0].Header().Rrtype != rr.Header().Rrtype {
			continue
		}
		// Long sets are lists of services, whose names differ.
		if len(set) < 50 {
			for _, have := range set {
				if dns.IsDuplicate(have, rr) {
					return
				}
			}
		}
		n.sets[i] = append(set, rr)
		return
	}
	n.sets = append(n.sets, rrset{rr})
}

func header(name string, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

func addressRecord(name string, ttl uint32, addr netip.Addr) dns.RR {
	if addr.Is4() {
		return &dns.A{Hdr: header(name, dns.TypeA, ttl), A: addr.AsSlice()}
	}
	return &dns.AAAA{Hdr: header(name, dns.TypeAAAA, ttl), AAAA: addr.AsSlice()}
}

func srv(name string, ttl uint32, priority, weight, port uint16, target string) dns.RR {
	return &dns.SRV{Hdr: header(name, dns.TypeSRV, ttl), Priority: priority, Weight: weight, Port: port, Target: target}
}

// reverseName returns the name of an address in in-addr.arpa (RFC 1035 section 3.5)
// or ip6.arpa (RFC 3596 section 2.5).
func reverseName(addr netip.Addr) string {
	const hex = "0123456789abcdef"
	bytes := addr.AsSlice()
	var b strings.Builder
	if addr.Is4() {
		bytes = []byte{bytes[3], bytes[2], bytes[1], bytes[0]}
		flipped, _ := netip.AddrFromSlice(bytes)
		return flipped.String() + ".in-addr.arpa."
	}
	for i := len(bytes) - 1; i >= 0; i-- {
		b.WriteByte(hex[bytes[i]&15])
		b.WriteByte('.')
		b.WriteByte(hex[bytes[i]>>4])
		b.WriteByte('.')
	}
	return b.String() + "ip6.arpa."
}

// reverseOrigins returns the reverse zones that together are the prefix: one if it
// ends at a border of labels, 4 bits for IPv6 and 8 for IPv4, else up to 8 or 128.
func reverseOrigins(prefix netip.Prefix) []string {
	addr := prefix.Masked().Addr()
	step := 4
	if addr.Is4() {
		step = 8
	}
	whole := (prefix.Bits() + step - 1) / step * step
	labels := (addr.BitLen() - whole) / step // of a host within a zone
	var origins []string
	for i := range 1 << (whole - prefix.Bits()) {
		bytes := addr.AsSlice()
		last := (whole - 1) / 8
		bytes[last] |= byte(i << ((8 - whole%8) % 8))
		subnet, _ := netip.AddrFromSlice(bytes)
		name := reverseName(subnet)
		off := 0
		for range labels {
			off, _ = dns.NextLabel(name, off)
		}
		origins = append(origins, name[off:])
	}
	return origins
}
