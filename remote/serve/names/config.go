package names

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Times to live that a Config has where its fields are 0.
const (
	DefaultTTL         = 5 * time.Minute
	DefaultNegativeTTL = time.Minute
)

// Times for secondary name servers in the SOA record, in seconds. Nobody transfers
// from this server, but the printed zone may be loaded by one that serves others.
const (
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 14 * 24 * 3600
)

// maxSummary is the most bytes of a summary that a TXT record shows.
const maxSummary = 200

// A Config says what the zones hold. Names of hosts and zones are absolute, with or
// without the last dot, and made of letters, digits and hyphens; underscores are
// allowed in the zone's own.
type Config struct {
	// Origin is the name of the zone. Required; it cannot be the root.
	Origin string
	// Services are the hosts of the zone, one label below Origin each.
	Services []Service
	// Prefix is what reverse zones are made for; the zero Prefix is none.
	// Addresses outside it have no PTR record.
	Prefix netip.Prefix
	// NameServers are those of every zone. At least one is required; the first is
	// the primary of the SOA record. One with a name in the zone needs an address,
	// the others have none here.
	NameServers []Host
	// Hostmaster is the mail address of who answers for the zone. Empty is
	// hostmaster@ the zone.
	Hostmaster string
	// TTL is how long an answer may be kept, NegativeTTL how long that there is
	// none. 0 are the defaults; they are rounded down to seconds.
	TTL, NegativeTTL time.Duration
	// Serial is the version of the zones, see NextSerial.
	Serial uint32
	// Daemons are the targets of _rpipe._tcp.<zone>, RFC 2782; none is no record.
	Daemons []Daemon
	// List makes the services enumerable by the records of RFC 6763 under
	// _pipe._tcp.<zone>. Without it they are found by those who know their names.
	List bool
}

// A Service is a host with one address.
type Service struct {
	Name    string     // see CheckName
	Addr    netip.Addr // as of Plan
	Port    uint16     // of its SRV record _pipe._tcp.<name>.<zone>; not 0
	Summary string     // one line for people; shown with List only
}

// A Host is a name and its addresses.
type Host struct {
	Name  string
	Addrs []netip.Addr
}

// A Daemon is a host that speaks rpipe's protocol. If its name lies in the zone, it
// has Addrs, or is a service's or a name server's too.
type Daemon struct {
	Host
	Port             uint16 // not 0
	Priority, Weight uint16 // as in RFC 2782
}

// NewZones checks c and makes its zones: that of Origin, and the reverse zones of
// Prefix. The error tells everything that is wrong with c. NewZones keeps nothing
// of c.
func NewZones(c Config) (*Zones, error) {
	b := &builder{config: c}
	b.build()
	if b.errs != nil {
		return nil, errors.Join(b.errs...)
	}
	zones := &Zones{zones: b.zones, byOrigin: make(map[string]*Zone), serial: c.Serial}
	for _, z := range b.zones {
		zones.byOrigin[lower(z.origin)] = z
	}
	return zones, nil
}

// A builder gathers what is wrong on the way, so that it can be told at once.
type builder struct {
	config  Config
	ttl     uint32
	forward *Zone
	zones   []*Zone               // forward first
	taken   map[string]netip.Addr // addresses of services, by host name in lower case
	errs    []error
}

func (b *builder) errorf(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

func (b *builder) build() {
	c := &b.config
	origin, err := absolute(c.Origin)
	if err != nil || origin == "." {
		b.errorf("the zone cannot be called %q: write a name such as %q", c.Origin, "pipes.example.org")
		return
	}
	if c.Prefix != (netip.Prefix{}) {
		if err := CheckPrefix(c.Prefix); err != nil {
			b.errs = append(b.errs, err)
			return
		}
	}
	b.ttl = b.seconds("ttl", c.TTL, DefaultTTL)
	b.forward = newZone(origin)
	b.zones = []*Zone{b.forward}
	if c.Prefix.IsValid() {
		for _, origin := range reverseOrigins(c.Prefix) {
			b.zones = append(b.zones, newZone(origin))
		}
	}
	b.authority()
	b.services()
	b.daemons()
	b.nameServers()
	b.mustResolve()
	if b.errs == nil {
		b.checkSizes()
	}
}

// authority adds what every zone has at its top.
func (b *builder) authority() {
	c := &b.config
	hostmaster := "hostmaster." + b.forward.origin
	if c.Hostmaster != "" {
		var err error
		if hostmaster, err = mailbox(c.Hostmaster); err != nil {
			b.errs = append(b.errs, err)
			return
		}
	}
	if len(c.NameServers) == 0 {
		b.errorf("zone %q has no name server: name one, such as %q", c.Origin, "ns."+b.forward.origin)
		return
	}
	negative := b.seconds("negative ttl", c.NegativeTTL, DefaultNegativeTTL)
	for _, z := range b.zones {
		soa := &dns.SOA{
			Hdr: header(z.origin, dns.TypeSOA, b.ttl), Mbox: hostmaster, Serial: c.Serial,
			Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negative,
		}
		for i, ns := range c.NameServers {
			name, err := hostName(ns.Name)
			if err != nil {
				b.errorf("name server: %w", err)
				return
			}
			if i == 0 {
				soa.Ns = name
				b.add(z, soa)
				z.soa = soa
			}
			b.add(z, &dns.NS{Hdr: header(z.origin, dns.TypeNS, b.ttl), Ns: name})
		}
	}
}

func (b *builder) services() {
	seen := make(map[string]string, len(b.config.Services))
	b.taken = make(map[string]netip.Addr, len(b.config.Services))
	for _, s := range b.config.Services {
		if err := CheckName(s.Name); err != nil {
			b.errs = append(b.errs, err)
			continue
		}
		if other, taken := seen[lower(s.Name)]; taken {
			b.errs = append(b.errs, &CollisionError{Names: [2]string{min(other, s.Name), max(other, s.Name)}})
			continue
		}
		seen[lower(s.Name)] = s.Name
		b.taken[lower(s.Name+"."+b.forward.origin)] = s.Addr.Unmap()
		if s.Port == 0 {
			b.errorf("service %q has no port", s.Name)
		}
		host := s.Name + "." + b.forward.origin
		b.address(host, s.Addr)
		b.pointer(host, s.Addr)
		b.add(b.forward, srv("_pipe._tcp."+host, b.ttl, 0, 0, s.Port, host))
		if b.config.List {
			b.list(s, host)
		}
	}
}

// list adds the records by which RFC 6763 finds instances of a kind of service.
func (b *builder) list(s Service, host string) {
	kind := "_pipe._tcp." + b.forward.origin
	instance := s.Name + "." + kind
	text := "" // an empty string is a record without keys, section 6.1
	if s.Summary != "" {
		text = "summary=" + escapeText(s.Summary)
	}
	b.add(b.forward,
		&dns.PTR{Hdr: header("_services._dns-sd._udp."+b.forward.origin, dns.TypePTR, b.ttl), Ptr: kind},
		&dns.PTR{Hdr: header(kind, dns.TypePTR, b.ttl), Ptr: instance},
		srv(instance, b.ttl, 0, 0, s.Port, host),
		&dns.TXT{Hdr: header(instance, dns.TypeTXT, b.ttl), Txt: []string{text}})
}

func (b *builder) daemons() {
	for _, d := range b.config.Daemons {
		name, err := hostName(d.Name)
		if err != nil {
			b.errorf("daemon: %w", err)
			continue
		}
		if d.Port == 0 {
			b.errorf("daemon %q has no port", d.Name)
		}
		b.host("daemon", name, d.Addrs)
		b.add(b.forward, srv("_rpipe._tcp."+b.forward.origin, b.ttl, d.Priority, d.Weight, d.Port, name))
	}
}

func (b *builder) nameServers() {
	for _, ns := range b.config.NameServers {
		if name, err := hostName(ns.Name); err == nil {
			b.host("name server", name, ns.Addrs)
		}
	}
}

// host adds the addresses of a host that is no service.
func (b *builder) host(what, name string, addrs []netip.Addr) {
	if len(addrs) > 0 && !dns.IsSubDomain(b.forward.origin, name) {
		b.errorf("%s %q has addresses here, but lies outside the zone %q, which cannot hold them: leave them out",
			what, name, b.forward.origin)
		return
	}
	for _, addr := range addrs {
		if service, ok := b.taken[lower(name)]; ok && service != addr.Unmap() {
			b.errorf("%s %q has the name of a service with another address: give one of them another name", what, name)
			return
		}
		b.address(name, addr)
		b.pointer(name, addr)
	}
}

// mustResolve reports hosts in the zone whose address nobody could find out.
func (b *builder) mustResolve() {
	check := func(what string, h Host) {
		name, err := hostName(h.Name)
		if err != nil || !dns.IsSubDomain(b.forward.origin, name) {
			return
		}
		node := b.forward.nodes[lower(name)]
		if node == nil || node.set(dns.TypeA) == nil && node.set(dns.TypeAAAA) == nil {
			b.errorf("%s %q lies in the zone and has no address: give it one", what, h.Name)
		}
	}
	for _, d := range b.config.Daemons {
		check("daemon", d.Host)
	}
	for _, ns := range b.config.NameServers {
		check("name server", ns)
	}
}

// address adds A or AAAA.
func (b *builder) address(name string, addr netip.Addr) {
	if addr = addr.Unmap(); !addr.IsValid() || addr.Zone() != "" {
		b.errorf("%q has no address that the DNS can hold: %q", name, addr)
		return
	}
	b.add(b.forward, addressRecord(name, b.ttl, addr))
}

// pointer adds PTR, where a reverse zone holds the address.
func (b *builder) pointer(name string, addr netip.Addr) {
	if addr = addr.Unmap(); !addr.IsValid() || addr.Zone() != "" || !b.config.Prefix.Contains(addr) {
		return
	}
	owner := reverseName(addr)
	for _, z := range b.zones[1:] {
		if dns.IsSubDomain(z.origin, owner) {
			b.add(z, &dns.PTR{Hdr: header(owner, dns.TypePTR, b.ttl), Ptr: name})
		}
	}
}

func (b *builder) add(z *Zone, records ...dns.RR) {
	for _, rr := range records {
		if name := rr.Header().Name; len(name) > 254 {
			b.errorf("the name %q has more than the 255 bytes of RFC 1035: give the zone a shorter one", name)
			continue
		}
		z.add(rr)
	}
}

// checkSizes refuses a set of records that no message can carry.
func (b *builder) checkSizes() {
	for _, z := range b.zones {
		for _, name := range z.order {
			for _, set := range z.nodes[lower(name)].sets {
				if len(set) < 50 {
					continue
				}
				m := &dns.Msg{Compress: true, Answer: set}
				m.SetQuestion(name, set[0].Header().Rrtype)
				if m.Len() > dns.MaxMsgSize-maxOPT {
					b.errorf("%d records of %q do not fit into one message of the DNS: have fewer services, or do not list them",
						len(set), name)
				}
			}
		}
	}
}

func (b *builder) seconds(what string, d, unset time.Duration) uint32 {
	if d == 0 {
		d = unset
	}
	if d < time.Second || d/time.Second > math.MaxInt32 { // RFC 2181 section 8
		b.errorf("a %s of %s cannot be: write one between a second and 68 years", what, d)
		return 0
	}
	return uint32(d / time.Second)
}

// absolute returns name with its last dot. Labels are those of hosts, but may
// have underscores.
func absolute(name string) (string, error) {
	fqdn := dns.Fqdn(name)
	if fqdn == "." {
		return fqdn, nil
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(fqdn, "."), ".") {
		if err := CheckName(strings.ReplaceAll(label, "_", "u")); err != nil {
			return "", fmt.Errorf("%q is no domain name", name)
		}
	}
	if len(fqdn) > 254 {
		return "", fmt.Errorf("%q has more than the 255 bytes of RFC 1035", name)
	}
	return fqdn, nil
}

// hostName is absolute for names at which addresses may be.
func hostName(name string) (string, error) {
	fqdn, err := absolute(name)
	if err != nil || fqdn == "." || strings.Contains(fqdn, "_") {
		return "", fmt.Errorf("%q is no name of a host: write one such as %q", name, "ns1.example.org")
	}
	return fqdn, nil
}

// mailbox turns an address into the form of an SOA record, RFC 1035 section 8:
// the dots of its local part are escaped.
func mailbox(address string) (string, error) {
	local, domain, ok := strings.Cut(address, "@")
	fqdn, err := absolute(domain)
	bad := strings.ContainsFunc(local, func(r rune) bool { return !isHostByte(r) && !strings.ContainsRune("._+=", r) })
	if !ok || err != nil || fqdn == "." || local == "" || len(local) > maxLabel || bad {
		return "", fmt.Errorf("hostmaster %q is no mail address: write one such as %q", address, "hostmaster@example.org")
	}
	return strings.ReplaceAll(local, ".", `\.`) + "." + fqdn, nil
}

// escapeText cuts a summary to one printable line that a TXT record can hold, in the
// escapes of master files.
func escapeText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && i < maxSummary; i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
