package serve

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

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
