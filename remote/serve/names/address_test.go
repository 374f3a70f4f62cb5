package names

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readDoc(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile(filepath.FromSlash("../../../docs/names.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

// vectors are those of the document: prefix, name, address.
func vectors(t *testing.T) [][]string {
	t.Helper()
	found := regexp.MustCompile("(?m)^\\| `([^`]+/[0-9]+)` \\| `([^`]+)` \\| `([^`]+)` \\|$").FindAllStringSubmatch(readDoc(t), -1)
	if len(found) < 15 {
		t.Fatalf("%d test vectors in the document", len(found))
	}
	return found
}

func TestAddressesAreThoseOfTheDocument(t *testing.T) {
	for _, v := range vectors(t) {
		if got := Address(netip.MustParsePrefix(v[1]), v[2]); got.String() != v[3] {
			t.Errorf("%s in %s has the address %s, the document says %s", v[2], v[1], got, v[3])
		}
	}
}

func TestTheProgramOfTheDocumentComputesTheSameAddresses(t *testing.T) {
	python := needTool(t, "python3")
	_, program, _ := strings.Cut(readDoc(t), "```python\n")
	program, _, ok := strings.Cut(program, "```")
	if !ok {
		t.Fatal("no program in the document")
	}
	for i, v := range vectors(t) {
		if i%5 != 1 {
			continue // it is slow to start
		}
		out, err := exec.Command(python, "-c", program, v[1], v[2]).Output()
		if err != nil || strings.TrimSpace(string(out)) != v[3] {
			t.Errorf("%s in %s: %s %v, want %s", v[2], v[1], out, err, v[3])
		}
	}
}

// golden are never changed: such addresses stand in the zones of others. Address has
// the same value for each of these names.
func TestAddressesNeverChange(t *testing.T) {
	golden, err := os.ReadFile("testdata/addresses.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
	if len(lines) < 100 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, line := range lines {
		f := strings.Fields(line)
		if got := Address(netip.MustParsePrefix(f[0]), f[1]); got.String() != f[2] {
			t.Errorf("%s in %s has the address %s, and had %s", f[1], f[0], got, f[2])
		}
	}
}

func TestEveryAddressLiesWithinItsPrefixAndIsAHosts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var bytes [16]byte
		binary.BigEndian.PutUint64(bytes[:], random.Uint64())
		binary.BigEndian.PutUint64(bytes[8:], random.Uint64())
		addr, most := netip.AddrFrom16(bytes), 120
		if random.IntN(2) == 0 {
			addr, most = netip.AddrFrom4([4]byte(bytes[:4])), 24
		}
		if addr.IsMulticast() {
			continue
		}
		prefix := netip.PrefixFrom(addr, 8+random.IntN(most-7))
		name := strings.Repeat("aB-9"[random.IntN(4):], 1+random.IntN(9))
		got := Address(prefix, name)
		if !prefix.Contains(got) || !prefix.Contains(got.Prev()) || !prefix.Contains(got.Next()) {
			t.Fatalf("%s in %s has the address %s", name, prefix, got)
		}
		if other := Address(prefix.Masked(), strings.ToUpper(name)); other != got {
			t.Fatalf("%s in %s: %s, in upper case %s", name, prefix, got, other)
		}
	}
}

func TestAPrefixThatCannotGiveAddressesIsRefused(t *testing.T) {
	for prefix, want := range map[string]string{
		"2001:db8::/121":       `prefix "2001:db8::/121" is too small for addresses made from names: its length may be 8 to 120; or give each service an address`,
		"192.0.2.0/25":         `prefix "192.0.2.0/25" is too small for addresses made from names: its length may be 8 to 24; or give each service an address`,
		"::/0":                 `prefix "::/0" is too large: its length may be 8 to 120`,
		"10.0.0.0/7":           `prefix "10.0.0.0/7" is too large: its length may be 8 to 24`,
		"ff02::/64":            `prefix "ff02::/64" is multicast, which nobody can connect to`,
		"::ffff:127.0.0.0/104": `prefix "::ffff:127.0.0.0/104" holds IPv4 addresses in IPv6 form: write it as IPv4`,
	} {
		p := netip.MustParsePrefix(prefix)
		if err := CheckPrefix(p); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", prefix, err, want)
		}
		if got := Address(p, "upper"); got.IsValid() {
			t.Errorf("%s gives %s", prefix, got)
		}
	}
	if err := CheckPrefix(netip.Prefix{}); err == nil || Address(netip.Prefix{}, "upper").IsValid() {
		t.Errorf("no prefix: %v", err)
	}
	want := `prefix "2001:db8:7::1/64" has bits set behind its length: write "2001:db8:7::/64"`
	if err := CheckPrefix(netip.MustParsePrefix("2001:db8:7::1/64")); err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
