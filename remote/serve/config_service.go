package serve

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

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
