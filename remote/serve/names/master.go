package names

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// WriteTo prints the zone as a master file, RFC 1035 section 5, for another name
// server. The same zone is always the same text. Names are absolute, so that the
// file means the same wherever it is included.
func (z *Zone) WriteTo(w io.Writer) (int64, error) {
	out := &counter{w: w}
	buf := bufio.NewWriter(out)
	fmt.Fprintf(buf, "; zone %s, serial %d\n$ORIGIN %s\n$TTL %d\n", z.origin, z.soa.Serial, z.origin, z.soa.Hdr.Ttl)
	for _, name := range z.sorted() {
		for _, set := range z.nodes[lower(name)].sets {
			for _, rr := range set {
				fmt.Fprintln(buf, rr)
			}
		}
	}
	err := buf.Flush()
	return out.n, err
}

// sorted returns the names that have records, in the canonical order of RFC 4034
// section 6.1, in which the zone's own comes first.
func (z *Zone) sorted() []string {
	type key struct {
		labels []string // from the top
		name   string
	}
	keys := make([]key, len(z.order))
	for i, name := range z.order {
		labels := dns.SplitDomainName(lower(name))
		slices.Reverse(labels)
		keys[i] = key{labels, name}
	}
	slices.SortFunc(keys, func(a, b key) int { return slices.CompareFunc(a.labels, b.labels, strings.Compare) })
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return names
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
