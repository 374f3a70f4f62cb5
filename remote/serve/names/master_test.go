package names

import (
	"bytes"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// zoneConfigs are configurations of every kind of prefix.
func zoneConfigs(t *testing.T) map[string]Config {
	t.Helper()
	configs := map[string]Config{"everything": testConfig(), "1000 services": manyServices(t, 1000)}
	for _, prefix := range []string{"2001:db8:7:8::/61", "127.0.0.0/8", "192.0.2.0/24", "10.32.0.0/11"} {
		c := testConfig()
		c.Prefix = netip.MustParsePrefix(prefix)
		c.List = false
		for i := range c.Services {
			c.Services[i].Addr = Address(c.Prefix, c.Services[i].Name)
		}
		configs[prefix] = c
	}
	none := testConfig()
	none.Services, none.Prefix = nil, netip.Prefix{}
	configs["no services"] = none
	return configs
}

func TestTheCheckersOfBINDAndNSDFindNoFaultWithPrintedZones(t *testing.T) {
	named, nsd := needTool(t, "named-checkzone"), needTool(t, "nsd-checkzone")
	for what, c := range zoneConfigs(t) {
		dir := t.TempDir()
		for i, z := range mustZones(t, c).All() {
			if i > 3 {
				break // the reverse zones of one prefix are alike
			}
			file := filepath.Join(dir, "zone")
			writeZone(t, z, file)
			for _, cmd := range []*exec.Cmd{
				// As named does: names of hosts are checked, and everything is an error.
				exec.Command(named, "-k", "fail", "-n", "fail", "-m", "fail", "-r", "fail", "-i", "local", "-M", "fail", "-S", "fail", z.Origin(), file),
				exec.Command(nsd, z.Origin(), file),
			} {
				out, err := cmd.CombinedOutput()
				if err != nil || strings.Contains(string(out), "warning") {
					t.Errorf("%s, %s: %v\n%s", what, z.Origin(), err, out)
				}
			}
		}
	}
}

// The parser is CoreDNS's too.
func TestAPrintedZoneHoldsTheRecordsThatAreServed(t *testing.T) {
	for what, c := range zoneConfigs(t) {
		for _, z := range mustZones(t, c).All() {
			var text bytes.Buffer
			if _, err := z.WriteTo(&text); err != nil {
				t.Fatal(err)
			}
			var printed, served []string
			parser := dns.NewZoneParser(bytes.NewReader(text.Bytes()), "", "")
			for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
				printed = append(printed, rr.String())
			}
			if err := parser.Err(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for _, n := range z.nodes {
				for _, set := range n.sets {
					for _, rr := range set {
						served = append(served, rr.String())
					}
				}
			}
			slices.Sort(printed)
			slices.Sort(served)
			if len(served) < 4 || !slices.Equal(printed, served) {
				t.Errorf("%s, %s: %d records printed, %d served", what, z.Origin(), len(printed), len(served))
			}
		}
	}
}

func TestTheSameZoneIsAlwaysTheSameText(t *testing.T) {
	var first string
	for range 5 {
		var text bytes.Buffer
		for _, z := range mustZones(t, testConfig()).All() {
			if _, err := z.WriteTo(&text); err != nil {
				t.Fatal(err)
			}
		}
		if first == "" {
			first = text.String()
		}
		if text.String() != first {
			t.Fatal("another text")
		}
	}
}

func TestAFullDiskIsToldOf(t *testing.T) {
	z := mustZones(t, manyServices(t, 100)).All()[0]
	if n, err := z.WriteTo(fullDisk{}); err == nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }
