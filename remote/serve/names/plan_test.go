package names

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAPlanHasAnAddressForEachService(t *testing.T) {
	prefix := netip.MustParsePrefix("2001:db8:7::/64")
	given := map[string]netip.Addr{"sort": netip.MustParseAddr("::ffff:192.0.2.1"), "wc": netip.MustParseAddr("2001:db8:9::1")}
	plan, err := Plan(prefix, given, []string{"wc", "upper", "sort", "Tr"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"sort": "192.0.2.1", "wc": "2001:db8:9::1",
		"upper": Address(prefix, "upper").String(), "Tr": Address(prefix, "tr").String(),
	}
	got := map[string]string{}
	for name, addr := range plan {
		got[name] = addr.String()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsWrongWithAPlanIsToldAtOnceWithTheNextStep(t *testing.T) {
	at := func(pairs ...string) map[string]netip.Addr {
		m := map[string]netip.Addr{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = netip.MustParseAddr(pairs[i+1])
		}
		return m
	}
	for _, test := range []struct {
		prefix string
		given  map[string]netip.Addr
		names  []string
		want   []string
	}{
		{prefix: "2001:db8::1/64", names: []string{"a"}, want: []string{`prefix "2001:db8::1/64" has bits set behind its length: write "2001:db8::/64"`}},
		{names: []string{"a"}, want: []string{`service "a" has no address: give it one, or set a prefix to take it from`}},
		{prefix: "fd00::/64", names: []string{"upper", "Upper"},
			want: []string{`services "Upper" and "upper" have the same name in the DNS, where upper case is lower case: give one of them another name`}},
		{prefix: "192.0.2.0/24", given: at("b", "192.0.2.9", "a", "192.0.2.9"), names: []string{"b", "a"},
			want: []string{`services "a" and "b" both have the address 192.0.2.9: give one of them another, such as 192.0.2.10`}},
		{prefix: "192.0.2.0/24", given: at("a", "192.0.2.254", "b", "192.0.2.254"), names: []string{"b", "a"},
			want: []string{`services "a" and "b" both have the address 192.0.2.254: give one of them another`}},
		{given: at("a", "::1", "b", "::1"), names: []string{"a", "b"},
			want: []string{`services "a" and "b" both have the address ::1: give one of them another`}},
		{prefix: "fd00::/64", names: []string{"g++", "to_upper", "-x", "a.b", "_", strings.Repeat("y", 64)}, given: at("ghost", "::1"), want: []string{
			`service "-x" cannot have its name in the DNS: a host name neither begins nor ends with a hyphen: give the program another name, such as "x"`,
			`service "_" cannot have its name in the DNS: a host name has letters, digits and hyphens, and no '_': give the program another name`,
			`service "a.b" cannot have its name in the DNS: a host name has letters, digits and hyphens, and no '.': give the program another name, such as "a-b"`,
			`service "g++" cannot have its name in the DNS: a host name has letters, digits and hyphens, and no '+': give the program another name, such as "gxx"`,
			`service "to_upper" cannot have its name in the DNS: a host name has letters, digits and hyphens, and no '_': give the program another name, such as "to-upper"`,
			`service "` + strings.Repeat("y", 64) + `" cannot have its name in the DNS: it has 64 bytes, and a label at most 63: give the program a shorter name`,
			`"ghost" was given the address ::1 and is no service`,
		}},
		{given: at("a", "::", "b", "ff02::1", "c", "fe80::1%eth0"), names: []string{"a", "b", "c"}, want: []string{
			`service "a" cannot have the address "::", which nobody can connect to`,
			`service "b" cannot have the address "ff02::1", which nobody can connect to`,
			`service "c" cannot have the address "fe80::1%eth0": the DNS cannot say "%eth0"`,
		}},
	} {
		var prefix netip.Prefix
		if test.prefix != "" {
			prefix = netip.MustParsePrefix(test.prefix)
		}
		plan, err := Plan(prefix, test.given, test.names)
		if err == nil || plan != nil {
			t.Errorf("%v: no error, %v", test.names, plan)
			continue
		}
		if diff := cmp.Diff(strings.Join(test.want, "\n"), err.Error()); diff != "" {
			t.Errorf("%v: %s", test.names, diff)
		}
	}
}

// In a small prefix two of many names have one address; each such pair is found, and the
// address that is offered resolves it.
func TestCollisionsWithinAPrefixAreFoundAndCanBeResolved(t *testing.T) {
	prefix := netip.MustParsePrefix("2001:db8::ff00/120")
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("service%d", i))
	}
	given := map[string]netip.Addr{}
	collisions := 0
	for range len(names) {
		plan, err := Plan(prefix, given, names)
		if err == nil {
			seen := map[netip.Addr]string{}
			for name, addr := range plan {
				if other, taken := seen[addr]; taken {
					t.Errorf("%s and %s both have %s", name, other, addr)
				}
				seen[addr] = name
			}
			if collisions == 0 {
				t.Error("60 names in a /120 do not collide: the test holds nothing")
			}
			return
		}
		var c *CollisionError
		if !errors.As(err, &c) || c.Addr != Address(prefix, c.Names[0]) || !prefix.Contains(c.Free) {
			t.Fatalf("%v", err)
		}
		collisions++
		given[c.Names[1]] = c.Free
	}
	t.Error("what is offered never ends the collisions")
}
