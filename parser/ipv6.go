package parser

import (
	"fmt"
	"strconv"
	"strings"
)

// parseIPv6 reads an IPv6 address in the text forms of RFC 4291, section 2.2,
// with a zone behind "%" if there is one (RFC 4007, section 11), and returns it
// in the canonical form of RFC 5952. The zone stays as it is. (net/netip does
// the same; this package reaches nothing below net.)
func parseIPv6(s string) (canonical string, ok bool) {
	s, zone, zoned := strings.Cut(s, "%")
	if zoned && !isZone(zone) {
		return "", false
	}
	groups, ok := ipv6Groups(s)
	if !ok {
		return "", false
	}
	canonical = formatIPv6(groups)
	if zoned {
		canonical += "%" + zone
	}
	return canonical, true
}

// isZone accepts what interfaces are called, within the characters that need no
// quotes in a shell.
func isZone(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !isLetter(r) && !isDigit(r) && !strings.ContainsRune("._~-", r)
	}) < 0
}

func ipv6Groups(s string) (groups [8]uint16, ok bool) {
	n, gap := 0, -1 // groups read, and how many of them stand before "::"
	if rest, found := strings.CutPrefix(s, "::"); found {
		s, gap = rest, 0
	}
	for s != "" {
		field, rest, more := strings.Cut(s, ":")
		if n == len(groups) {
			return groups, false
		}
		if strings.Contains(field, ".") {
			high, low, ok := ipv4Groups(field)
			if !ok || more || n > len(groups)-2 {
				return groups, false
			}
			groups[n], groups[n+1] = high, low
			n += 2
			break
		}
		if len(field) > 4 {
			return groups, false
		}
		v, err := strconv.ParseUint(field, 16, 16)
		if err != nil {
			return groups, false
		}
		groups[n] = uint16(v)
		n++
		s = rest
		if !more {
			break
		}
		if after, found := strings.CutPrefix(rest, ":"); found {
			if gap >= 0 {
				return groups, false
			}
			s, gap = after, n
		} else if rest == "" {
			return groups, false
		}
	}
	if gap < 0 || n == len(groups) {
		return groups, gap < 0 && n == len(groups)
	}
	tail := n - gap
	copy(groups[len(groups)-tail:], groups[gap:n])
	clear(groups[gap : len(groups)-tail])
	return groups, true
}

// ipv4Groups reads the dotted form that may end an IPv6 address.
func ipv4Groups(s string) (high, low uint16, ok bool) {
	fields := strings.Split(s, ".")
	if len(fields) != 4 {
		return 0, 0, false
	}
	var b [4]uint16
	for i, f := range fields {
		if !isNumber(f) || len(f) > 1 && f[0] == '0' {
			return 0, 0, false
		}
		v, err := strconv.ParseUint(f, 10, 8)
		if err != nil {
			return 0, 0, false
		}
		b[i] = uint16(v)
	}
	return b[0]<<8 | b[1], b[2]<<8 | b[3], true
}

func formatIPv6(g [8]uint16) string {
	if [6]uint16(g[:6]) == [6]uint16{5: 0xffff} { // an IPv4 address, RFC 5952, section 5
		return fmt.Sprintf("::ffff:%d.%d.%d.%d", g[6]>>8, g[6]&0xff, g[7]>>8, g[7]&0xff)
	}
	start, length := 0, 0 // the first longest run of two or more zero groups
	for i := 0; i < len(g); i++ {
		j := i
		for j < len(g) && g[j] == 0 {
			j++
		}
		if j-i > max(length, 1) {
			start, length = i, j-i
		}
		i = j
	}
	join := func(groups []uint16) string {
		fields := make([]string, len(groups))
		for i, v := range groups {
			fields[i] = strconv.FormatUint(uint64(v), 16)
		}
		return strings.Join(fields, ":")
	}
	if length == 0 {
		return join(g[:])
	}
	return join(g[:start]) + "::" + join(g[start+length:])
}
