package serve

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"

	naming "rpipe/remote/serve/names"
)

// defaultPrefix is where services have their addresses that are given none: on
// Linux all of it is this machine's loopback.
var defaultPrefix = netip.MustParsePrefix("127.0.0.0/8")

// A ServicesConfig is what a configuration says about services.
type ServicesConfig struct {
	// Services are those of the programs, sorted by name.
	Services []*Service

	// Prefix is where the addresses of services are that were given none.
	Prefix netip.Prefix

	// MaxConnections is that of Services. At least 1.
	MaxConnections int

	// DNSListen holds the addresses on which the zone is served, "host:port", UDP and
	// TCP. Empty: it is not.
	DNSListen []string

	zone *naming.Config // without services and serial; nil: there is none
}

// Zone returns the name of the zone; "" if there is none.
func (c *ServicesConfig) Zone() string {
	if c.zone == nil {
		return ""
	}
	return c.zone.Origin
}

// Zones makes the zones of the services: that of Zone, and the reverse ones of a prefix that was
// configured. Services on Unix sockets have no place in them.
func (c *ServicesConfig) Zones(serial uint32) (*naming.Zones, error) {
	if c.zone == nil {
		return nil, errors.New("there is no zone: set zone and name_servers under [services]")
	}
	config := *c.zone
	config.Serial = serial
	for _, s := range c.Services {
		if addr, err := netip.ParseAddrPort(s.Address); s.Network == "tcp" && err == nil {
			config.Services = append(config.Services, naming.Service{
				Name: s.Name(), Addr: addr.Addr(), Port: addr.Port(), Summary: s.Program.Summary,
			})
		}
	}
	return naming.NewZones(config)
}

// Derived reports whether a service has an address of the prefix, which needs a local route
// of that where it is no loopback.
func (c *ServicesConfig) Derived() (netip.Addr, bool) {
	for _, s := range c.Services {
		if addr, err := netip.ParseAddrPort(s.Address); err == nil && c.Prefix.Contains(addr.Addr()) && !addr.Addr().IsLoopback() {
			return addr.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// serviceEntry is a program's service while the file is read.
type serviceEntry struct {
	*Service
	field  *tomlField // of the program
	offset int        // of the value of service
	addr   netip.Addr // zero: from the prefix
	port   uint16     // 0 with portless: the default
	// portless says that no port was given.
	portless bool
}

// serviceKeys adds to known the keys of a program that are about its service.
func (d *configDecoder) serviceKeys(f *tomlField, p *Program, known keys) {
	e := &serviceEntry{Service: &Service{Program: p}, field: f}
	var first *tomlNode // of a key that means nothing without service
	only := func(read func(*tomlNode)) func(*tomlNode) {
		return func(n *tomlNode) {
			if first == nil {
				first = n
			}
			read(n)
		}
	}
	known["service"] = func(n *tomlNode) {
		if d.serviceAddress(n, e) {
			e.offset = n.offset
			d.services = append(d.services, e)
		}
	}
	known["stdio"] = only(func(n *tomlNode) { e.Socket = d.choice(n, "stdio", "pipe", "socket") })
	known["on_failure"] = only(func(n *tomlNode) { e.ResetOnFailure = d.choice(n, "on_failure", "fin", "reset") })
	known["browsers"] = only(func(n *tomlNode) { d.boolean(n, "browsers", &e.Browsers) })
	known["max"] = only(func(n *tomlNode) { d.max(n, e.Service) })
	d.afterProgram = func() {
		if first != nil && f.value.field("service") == nil {
			d.errorAt(first.offset, "program %q is no service, which stdio, on_failure, browsers and max are for: add service = true", p.Name)
		}
	}
}

// serviceAddress reads service, and reports whether there is to be one.
func (d *configDecoder) serviceAddress(n *tomlNode, e *serviceEntry) bool {
	const example = `service = true, or service = "127.0.0.1:9999", or service = "unix:/path"`
	if n.kind == unstable.Bool {
		e.portless = true
		return n.text == "true"
	}
	if !d.is(n, unstable.String, "service", example) {
		return false
	}
	e.Network = "tcp"
	if path, ok := strings.CutPrefix(n.text, "unix:"); ok {
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) || len(path) > 100 {
			d.errorAt(n.offset, "service %q: the path of a socket is absolute and has at most 100 bytes", n.text)
			return false
		}
		e.Network, e.Address = "unix", filepath.Clean(path)
		return true
	}
	host := n.text
	if addr, err := netip.ParseAddrPort(n.text); err == nil {
		e.addr, e.port = addr.Addr(), addr.Port()
	} else if addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil {
		e.addr, e.portless = addr, true
	} else {
		d.errorAt(n.offset, "service %q is no address: write %s", n.text, example)
		return false
	}
	e.addr = e.addr.Unmap()
	if e.addr.IsUnspecified() || e.addr.IsMulticast() || e.addr.Zone() != "" {
		d.errorAt(n.offset, "service %q: a service has one address, which clients can connect to: write %s", n.text, example)
		return false
	}
	return true
}

// choice reads a string that is one of two, and reports whether it is the second.
func (d *configDecoder) choice(n *tomlNode, key, first, second string) bool {
	example := fmt.Sprintf("%s = %q or %s = %q", key, first, key, second)
	if !d.is(n, unstable.String, key, example) {
		return false
	}
	if n.text != first && n.text != second {
		d.errorAt(n.offset, "%s cannot be %q: write %s", key, n.text, example)
	}
	if n.text == second && key == "stdio" && !canGiveSocket {
		d.errorAt(n.offset, `stdio = "socket" is not possible on this system: omit it`)
	}
	return n.text == second
}

func (d *configDecoder) boolean(n *tomlNode, key string, to *bool) {
	if d.is(n, unstable.Bool, key, key+" = true") {
		*to = n.text == "true"
	}
}

func (d *configDecoder) max(n *tomlNode, s *Service) {
	const example = `max = { connections = 64, time = "10m" }`
	if !d.is(n, unstable.Table, "max", example) {
		return
	}
	d.table(n, "max", keys{
		"connections": func(n *tomlNode) { d.connections(n, "connections", &s.MaxConnections) },
		"time":        func(n *tomlNode) { d.positive(n, "time", `time = "10m"`, &s.MaxTime) },
	})
}

func (d *configDecoder) connections(n *tomlNode, key string, to *int) {
	if !d.is(n, unstable.Integer, key, key+" = 64") {
		return
	}
	v, err := strconv.ParseInt(n.text, 0, 64)
	if err != nil || v < 1 || v > maxMaxSessions {
		d.errorAt(n.offset, "%s is %s: it goes from 1 to %d", key, n.text, maxMaxSessions)
		return
	}
	*to = int(v)
}

func (d *configDecoder) positive(n *tomlNode, key, example string, to *time.Duration) {
	if !d.is(n, unstable.String, key, example) {
		return
	}
	v, err := time.ParseDuration(n.text)
	if err != nil || v <= 0 {
		d.errorAt(n.offset, "%s %q is not a duration above 0: write %s", key, n.text, example)
		return
	}
	*to = v
}

// servicesTable reads [services], after the programs.
func (d *configDecoder) servicesTable(n *tomlNode) {
	if n == nil {
		for _, e := range d.services {
			d.errorAt(e.offset, "program %q is to be a service, and no [services] table switches them on: add it, it may be empty", e.Name())
		}
		return
	}
	if !d.is(n, unstable.Table, "services", "[services] with its keys below") {
		return
	}
	c := &ServicesConfig{Prefix: defaultPrefix, MaxConnections: DefaultServiceConnections}
	d.c.Services = c
	zone := naming.Config{}
	port := uint16(DefaultServicePort)
	public := false
	var from []netip.Prefix
	var zoneNode *tomlNode
	before := len(d.errs)
	d.table(n, "services", keys{
		"prefix":          func(n *tomlNode) { d.prefix(n, c, &zone) },
		"port":            func(n *tomlNode) { d.port(n, &port) },
		"from":            func(n *tomlNode) { from = d.from(n) },
		"public":          func(n *tomlNode) { d.boolean(n, "public", &public) },
		"max_connections": func(n *tomlNode) { d.connections(n, "max_connections", &c.MaxConnections) },
		"zone": func(n *tomlNode) {
			if zoneNode = n; d.is(n, unstable.String, "zone", `zone = "pipes.example.org"`) {
				zone.Origin = n.text
			}
		},
		"name_servers": func(n *tomlNode) { zone.NameServers = d.nameServers(n) },
		"hostmaster": func(n *tomlNode) {
			if d.is(n, unstable.String, "hostmaster", `hostmaster = "dns@example.org"`) {
				zone.Hostmaster = n.text
			}
		},
		"ttl":        func(n *tomlNode) { d.positive(n, "ttl", `ttl = "5m"`, &zone.TTL) },
		"dns_listen": func(n *tomlNode) { c.DNSListen = d.dnsListen(n) },
		"daemons":    func(n *tomlNode) { zone.Daemons = d.daemons(n) },
		"list":       func(n *tomlNode) { d.boolean(n, "list", &zone.List) },
	})
	if len(d.errs) > before {
		return
	}
	d.plan(n, c, port, zoneNode != nil)
	for _, e := range d.services {
		e.From = from
		c.Services = append(c.Services, e.Service)
		if e.Network == "unix" || e.addr.IsLoopback() || !e.addr.IsValid() {
			continue
		}
		if missing := d.missing(public, from); missing != "" {
			d.errorAt(e.offset, "service %q would listen on %s, which is not only this machine's, and a service knows neither its callers nor a secret: "+
				"write under [services] %s", e.Name(), e.addr, missing)
		}
	}
	slices.SortFunc(c.Services, func(a, b *Service) int { return cmp.Compare(a.Name(), b.Name()) })
	switch {
	case zoneNode == nil && len(c.DNSListen) > 0:
		d.errorAt(n.offset, `dns_listen serves a zone, and there is none: add zone = "pipes.example.org"`)
	case zoneNode != nil && len(d.errs) == before:
		c.zone = &zone
		if _, err := c.Zones(1); err != nil {
			for _, err := range parts(err) {
				d.errorAt(zoneNode.offset, "the zone cannot be served: %v", err)
			}
		}
	}
}

// missing says what is to be written before others may be let in, or "".
func (d *configDecoder) missing(public bool, from []netip.Prefix) string {
	var lines []string
	if !public {
		lines = append(lines, "public = true, which says that all that is read and written is public")
	}
	if from == nil {
		lines = append(lines, `from = ["192.0.2.0/24"], the networks that may connect`)
	}
	return strings.Join(lines, ", and ")
}

func (d *configDecoder) prefix(n *tomlNode, c *ServicesConfig, zone *naming.Config) {
	const example = `prefix = "fd00:7::/64"`
	if !d.is(n, unstable.String, "prefix", example) {
		return
	}
	p, err := netip.ParsePrefix(n.text)
	if err != nil {
		d.errorAt(n.offset, "prefix %q is no network: write %s", n.text, example)
		return
	}
	if err := naming.CheckPrefix(p); err != nil {
		d.errorAt(n.offset, "%v", err)
		return
	}
	c.Prefix, zone.Prefix = p, p
}

func (d *configDecoder) port(n *tomlNode, to *uint16) {
	const example = "port = 9999"
	if !d.is(n, unstable.Integer, "port", example) {
		return
	}
	v, err := strconv.ParseUint(n.text, 0, 16)
	if err != nil || v == 0 {
		d.errorAt(n.offset, "port is %s: it goes from 1 to 65535", n.text)
		return
	}
	*to = uint16(v)
}

func (d *configDecoder) from(n *tomlNode) []netip.Prefix {
	const example = `from = ["192.0.2.0/24", "2001:db8::/32"]`
	var from []netip.Prefix
	d.strings(n, "from", example, func(item *tomlNode) {
		p, err := ParseNetwork(item.text)
		if err != nil {
			d.errorAt(item.offset, "from %v: write %s", err, example)
			return
		}
		from = append(from, p)
	})
	if n.kind == unstable.Array && len(n.items) == 0 {
		d.errorAt(n.offset, "from is empty, so nobody could connect: omit from for loopback, or write %s", example)
	}
	return from
}

// ParseNetwork reads a source network: an address, or a prefix without host bits. The whole of the
// Internet is none.
func ParseNetwork(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil || addr.Zone() != "" {
			return p, fmt.Errorf("%q is no network", text)
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	switch {
	case p.Addr().Is4In6():
		return p, fmt.Errorf("%q is an IPv4 network in IPv6 form, which none comes from", text)
	case p.Bits() == 0:
		return p, fmt.Errorf("%q is everybody, who is not to be let in unasked", text)
	case p != p.Masked():
		return p, fmt.Errorf("%q has bits behind its length: %q is the network", text, p.Masked())
	}
	return p, nil
}

func (d *configDecoder) dnsListen(n *tomlNode) []string {
	const example = `dns_listen = ["192.0.2.1:53"]`
	var addresses []string
	d.strings(n, "dns_listen", example, func(item *tomlNode) {
		if problem := addressProblem(item.text); problem != "" {
			d.errorAt(item.offset, "dns_listen address %q: %s: write %s", item.text, problem, example)
			return
		}
		addresses = append(addresses, item.text)
	})
	return addresses
}

// nameServers reads strings of a name and the addresses of that host, if it lies in the zone.
func (d *configDecoder) nameServers(n *tomlNode) []naming.Host {
	const example = `name_servers = ["ns.pipes.example.org 192.0.2.1 2001:db8::1", "ns.example.net"]`
	var hosts []naming.Host
	d.strings(n, "name_servers", example, func(item *tomlNode) {
		if h, ok := d.host(item, example); ok {
			hosts = append(hosts, h)
		}
	})
	return hosts
}

// daemons reads strings like those of name_servers, with a port.
func (d *configDecoder) daemons(n *tomlNode) []naming.Daemon {
	const example = `daemons = ["a.pipes.example.org:7747 192.0.2.1"]`
	var daemons []naming.Daemon
	d.strings(n, "daemons", example, func(item *tomlNode) {
		h, ok := d.host(item, example)
		if !ok {
			return
		}
		host, port, err := net.SplitHostPort(h.Name)
		number, perr := strconv.ParseUint(port, 10, 16)
		if err != nil || perr != nil || number == 0 {
			d.errorAt(item.offset, "%q has no port: write %s", item.text, example)
			return
		}
		h.Name = host
		daemons = append(daemons, naming.Daemon{Host: h, Port: uint16(number)})
	})
	return daemons
}

func (d *configDecoder) host(n *tomlNode, example string) (h naming.Host, ok bool) {
	words := strings.Fields(n.text)
	if len(words) == 0 {
		d.errorAt(n.offset, "this is empty: write %s", example)
		return h, false
	}
	h.Name = words[0]
	for _, word := range words[1:] {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			d.errorAt(n.offset, "%q is no IP address: write %s", word, example)
			return h, false
		}
		h.Addrs = append(h.Addrs, addr)
	}
	return h, true
}

// plan fills in the addresses of services.
func (d *configDecoder) plan(n *tomlNode, c *ServicesConfig, port uint16, zoned bool) {
	given := map[string]netip.Addr{}
	byName := map[string]*serviceEntry{}
	at := map[string]string{} // names by what is listened on
	sharing := map[netip.Addr]bool{}
	var planned []string
	for _, e := range d.services {
		if e.portless {
			e.port = port
		}
		byName[e.Name()] = e
		switch {
		case e.Network == "unix":
			d.alone(e, at, e.Address)
			continue
		case e.addr.IsValid():
			if e.port != 0 {
				d.alone(e, at, netip.AddrPortFrom(e.addr, e.port).String())
			}
			if sharing[e.addr] || !zoned && !slices.ContainsFunc(d.services, func(e *serviceEntry) bool { return e.Network == "" }) {
				if zoned {
					if err := naming.CheckName(e.Name()); err != nil {
						d.errorAt(e.field.offset, "%v", err)
					}
				}
				continue
			}
			sharing[e.addr] = true
			if !zoned && naming.CheckName(e.Name()) != nil {
				continue // it needs no name, and no other one's address is its
			}
			given[e.Name()] = e.addr
		}
		planned = append(planned, e.Name())
	}
	plan, err := naming.Plan(c.Prefix, given, planned)
	for _, err := range parts(err) {
		var name *naming.NameError
		var collision *naming.CollisionError
		switch {
		case errors.As(err, &name) && byName[name.Name] != nil:
			d.errorAt(byName[name.Name].field.offset, "%v", err)
		case errors.As(err, &collision) && byName[collision.Names[1]] != nil:
			d.errorAt(byName[collision.Names[1]].offset, "%v", err)
		default:
			d.errorAt(n.offset, "%v", err)
		}
	}
	for name, addr := range plan {
		e := byName[name]
		e.addr = addr
	}
	for _, e := range d.services {
		if e.Network == "unix" {
			continue
		}
		e.Network = "tcp"
		e.Address = netip.AddrPortFrom(e.addr, e.port).String()
		e.FreeBind = e.addr.Is6() && !e.addr.IsLoopback() && c.Prefix.Contains(e.addr)
	}
}

// alone reports two services that would listen on the same.
func (d *configDecoder) alone(e *serviceEntry, at map[string]string, address string) {
	if other, taken := at[address]; taken {
		d.errorAt(e.offset, "services %q and %q would both listen on %s: give one of them another address or port", other, e.Name(), address)
	}
	at[address] = e.Name()
}

// parts returns the errors that were joined, each once; of nil none.
func parts(err error) []error {
	var joined interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		return joined.Unwrap()
	}
	return []error{err}
}
