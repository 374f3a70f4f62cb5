package serve

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	naming "rpipe/remote/serve/names"
)

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
