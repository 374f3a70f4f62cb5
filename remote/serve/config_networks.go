package serve

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"

	naming "rpipe/remote/serve/names"
)

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
