package names

import (
	"fmt"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// has reports whether dig's output has a line that holds all words, in their order.
func has(out string, words ...string) bool {
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	return regexp.MustCompile(`(?m)^.*` + strings.Join(words, `\s+`) + `.*$`).MatchString(out)
}

func TestDigGetsEveryTypeOverUDPAndTCP(t *testing.T) {
	c := testConfig()
	zones := mustZones(t, c)
	port := serveZones(t, zones)
	upper := c.Services[0].Addr.String()
	for _, transport := range [][]string{{"+notcp"}, {"+tcp"}, {"+noedns"}, {"+bufsize=512"}, {"+bufsize=4096", "+dnssec"}, {"+ednsopt=65001:0102", "+nsid", "+subnet=192.0.2.0/24"}} {
		for _, test := range []struct {
			ask  string
			want [][]string
		}{
			{"upper.pipes.test AAAA", [][]string{{"status: NOERROR"}, {"flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0"}, {"upper.pipes.test.", "300", "IN", "AAAA", upper}}},
			{"v4.pipes.test A", [][]string{{"v4.pipes.test.", "300", "IN", "A", "127.9.9.9"}}},
			{"_pipe._tcp.upper.pipes.test SRV", [][]string{{"IN", "SRV", "0 0 9999 upper.pipes.test."}, {"AAAA", upper}}},
			{"_rpipe._tcp.pipes.test SRV", [][]string{{"IN", "SRV", "10 5 7747 gate.pipes.test."}, {"IN", "SRV", "20 0 7748 spare.elsewhere.test."}, {"gate.pipes.test.", "300", "IN", "A", "192.0.2.7"}}},
			{"-x " + upper, [][]string{{"IN", "PTR", "upper.pipes.test."}}},
			{"pipes.test SOA", [][]string{{"SOA", "ns1.pipes.test. jane\\.doe.example.org. 2026010101 3600 600 1209600 60"}}},
			{"pipes.test NS", [][]string{{"IN", "NS", "ns1.pipes.test."}, {"IN", "NS", "ns2.elsewhere.test."}, {"ns1.pipes.test.", "300", "IN", "AAAA", "fd00:7::53"}}},
			{"_pipe._tcp.pipes.test PTR", [][]string{{"IN", "PTR", "Sort._pipe._tcp.pipes.test."}, {"ANSWER: 5"}}},
			{"wc._pipe._tcp.pipes.test TXT", [][]string{{"IN", "TXT", `"summary=does \"wc\"; a\\b \195\188"`}}},
			{"upper.pipes.test ANY", [][]string{{"AAAA", upper}, {"ANSWER: 1"}}},
			{"upper.pipes.test A", [][]string{{"status: NOERROR"}, {"ANSWER: 0, AUTHORITY: 1"}, {"pipes.test.", "60", "IN", "SOA"}}},
			{"_tcp.upper.pipes.test AAAA", [][]string{{"status: NOERROR"}, {"ANSWER: 0, AUTHORITY: 1"}}},
			{"deep.down.pipes.test ANY", [][]string{{"status: NOERROR"}, {"ANSWER: 0, AUTHORITY: 1"}}},
			{"7.0.0.0.0.0.d.f.ip6.arpa PTR", [][]string{{"status: REFUSED"}}}, // above the reverse zone
			{"-x fd00:7::dead", [][]string{{"status: NXDOMAIN"}, {"d.f.ip6.arpa.", "60", "IN", "SOA"}}},
			{"0.0.0.0.0.0.0.0.0.0.7.0.0.0.0.0.d.f.ip6.arpa PTR", [][]string{{"status: NOERROR"}, {"ANSWER: 0, AUTHORITY: 1"}}},
			{"nobody.pipes.test AAAA", [][]string{{"status: NXDOMAIN"}, {"flags: qr aa; QUERY: 1, ANSWER: 0, AUTHORITY: 1"}, {"pipes.test.", "60", "IN", "SOA"}}},
			{"example.org AAAA", [][]string{{"status: REFUSED"}, {"flags: qr; QUERY: 1, ANSWER: 0, AUTHORITY: 0"}}},
			{"+recurse example.org AAAA", [][]string{{"status: REFUSED"}, {"recursion requested but not available"}}},
			{"version.bind CH TXT", [][]string{{"status: REFUSED"}}},
			{"UpPeR.PiPeS.tEsT AAAA", [][]string{{";UpPeR.PiPeS.tEsT.", "IN", "AAAA"}, {"UpPeR.PiPeS.tEsT.", "300", "IN", "AAAA", upper}}},
			{"NoBody.PiPeS.tEsT AAAA", [][]string{{";NoBody.PiPeS.tEsT."}, {"PiPeS.tEsT.", "60", "IN", "SOA"}}},
			{"+opcode=NOTIFY pipes.test SOA", [][]string{{"status: NOTIMP"}}},
			{"+opcode=UPDATE pipes.test SOA", [][]string{{"status: NOTIMP"}}},
			{"+cdflag +adflag upper.pipes.test AAAA", [][]string{{"flags: qr aa;"}}},
		} {
			out := dig(t, port, append(append([]string{}, transport...), strings.Fields(test.ask)...)...)
			for _, words := range test.want {
				if !has(out, words...) {
					t.Errorf("dig %s %s: no %q in\n%s", strings.Join(transport, " "), test.ask, words, out)
				}
			}
		}
	}
	if out := dig(t, port, "+edns=1", "+noednsneg", "upper.pipes.test", "AAAA"); !has(out, "status: BADVERS") || !has(out, "EDNS: version: 0") {
		t.Errorf("EDNS version 1:\n%s", out)
	}
	if out := dig(t, port, "+tcp", "+keepopen", "upper.pipes.test", "AAAA", "+tcp", "v4.pipes.test", "A"); !has(out, "AAAA", upper) || !has(out, "A", "127.9.9.9") {
		t.Errorf("two questions over one connection:\n%s", out)
	}
	if out := dig(t, port, "pipes.test", "AXFR"); !has(out, "Transfer failed") {
		t.Errorf("AXFR:\n%s", out)
	}
}

func TestALongAnswerIsTruncatedOverUDPAndWholeOverTCP(t *testing.T) {
	port := serveZones(t, mustZones(t, manyServices(t, 1000)))
	for _, args := range [][]string{{"+noedns"}, {"+bufsize=512"}, {"+bufsize=1232"}, {"+bufsize=65000"}} {
		out := dig(t, port, append(args, "+ignore", "_pipe._tcp.pipes.test", "PTR")...)
		if !has(out, "flags: qr aa tc; QUERY: 1, ANSWER: 0, AUTHORITY: 0") {
			t.Errorf("%v, not truncated:\n%.2000s", args, out)
		}
		out = dig(t, port, append(args, "_pipe._tcp.pipes.test", "PTR")...)
		if !has(out, "flags: qr aa; QUERY: 1, ANSWER: 1000") || !strings.Contains(out, "service-999._pipe._tcp.pipes.test.") {
			t.Errorf("%v, not whole over TCP:\n%.2000s", args, out)
		}
	}
}

// Addresses that come unasked give way before anything is truncated.
func TestAddressesThatDoNotFitAreLeftOutUnsaid(t *testing.T) {
	c := testConfig()
	for i := range 40 {
		c.Daemons[0].Addrs = append(c.Daemons[0].Addrs, addrs(fmt.Sprintf("2001:db8::%x", i+1))...)
	}
	port := serveZones(t, mustZones(t, c))
	if out := dig(t, port, "+noedns", "_rpipe._tcp.pipes.test", "SRV"); !has(out, "flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 0") {
		t.Errorf("without EDNS:\n%s", out)
	}
	if out := dig(t, port, "+tcp", "_rpipe._tcp.pipes.test", "SRV"); !has(out, "flags: qr aa; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 43") {
		t.Errorf("over TCP:\n%s", out)
	}
}

func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("holds on Linux only")
	}
	for _, host := range []string{"0.0.0.0", "::"} {
		if host == "::" {
			if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
				t.Skipf("no IPv6 here: %v", err)
			} else {
				ln.Close()
			}
		}
		s := &Server{}
		if err := s.SetZones(mustZones(t, testConfig())); err != nil {
			t.Fatal(err)
		}
		port := start(t, s, host)
		asked := []string{"@127.0.0.2", "@127.99.1.1"}
		if host == "::" {
			asked = append(asked, "@::1")
		}
		for _, at := range asked {
			// dig does not take an answer from elsewhere.
			if out := dig(t, port, at, "upper.pipes.test", "AAAA"); !has(out, "status: NOERROR") {
				t.Errorf("%s on %s:\n%s", at, host, out)
			}
		}
	}
}
