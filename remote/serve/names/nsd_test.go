package names

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startNSD loads the printed zones into a real nsd and returns its address.
func startNSD(t *testing.T, zones *Zones, options ...string) string {
	t.Helper()
	path := needTool(t, "nsd")
	dir := t.TempDir()
	for range 5 {
		pc, ln := listen(t, "127.0.0.1")
		addr := pc.LocalAddr().String()
		pc.Close()
		ln.Close()
		if runNSD(t, path, dir, addr, zones, options) {
			return addr
		}
	}
	t.Fatal("nsd finds no free port")
	return ""
}

func runNSD(t *testing.T, path, dir, addr string, zones *Zones, options []string) bool {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	var conf bytes.Buffer
	fmt.Fprintf(&conf, "server:\n ip-address: 127.0.0.1\n port: %s\n server-count: 1\n username: \"\"\n chroot: \"\"\n database: \"\"\n"+
		" pidfile: \"\"\n zonesdir: %q\n xfrdir: %q\n xfrdfile: %q\n zonelistfile: %q\n hide-version: yes\n"+
		" rrl-ratelimit: 0\n ipv4-edns-size: 1232\n%s\nremote-control:\n control-enable: no\n",
		port, dir, dir, filepath.Join(dir, "xfrd.state"), filepath.Join(dir, "zone.list"), strings.Join(options, "\n"))
	for i, z := range zones.All() {
		file := filepath.Join(dir, fmt.Sprintf("zone%d", i))
		writeZone(t, z, file)
		fmt.Fprintf(&conf, "zone:\n name: %q\n zonefile: %q\n", z.Origin(), file)
	}
	confPath := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(confPath, conf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, path, "-d", "-c", confPath)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	stop := func() { cancel(); <-ended }
	client := dns.Client{Timeout: 200 * time.Millisecond}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		m := new(dns.Msg).SetQuestion(zones.All()[0].Origin(), dns.TypeSOA)
		if reply, _, err := client.Exchange(m, addr); err == nil && reply.Rcode == dns.RcodeSuccess {
			t.Cleanup(stop)
			return true
		}
		select {
		case <-ended:
			t.Logf("nsd: %s", &log)
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	t.Logf("nsd does not answer: %s", &log)
	return false
}

func writeZone(t *testing.T, z *Zone, path string) {
	t.Helper()
	var b bytes.Buffer
	if n, err := z.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo: %d bytes of %d, %v", n, b.Len(), err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// questions are all types for names that exist, that lie between others, and that do not exist.
func questions(zones *Zones) []dns.Question {
	names := []string{".", "test.", "elsewhere.test.", "xpipes.test.", `x\.pipes.test.`, "nobody.pipes.test.", "a.b.nobody.pipes.test.", "below.upper.pipes.test.",
		`\000.pipes.test.`, "*.pipes.test.", strings.Repeat("a", 63) + ".pipes.test.", "1.0.0.127.in-addr.arpa.", "ip6.arpa."}
	for _, z := range zones.All() {
		for name := range z.nodes {
			names = append(names, name, strings.ToUpper(name[:1])+name[1:], "x."+name, "0."+name)
		}
	}
	slices.Sort(names)
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypePTR, dns.TypeSOA, dns.TypeNS, dns.TypeTXT, dns.TypeMX, dns.TypeCNAME,
		dns.TypeDS, dns.TypeDNSKEY, dns.TypeNSEC, dns.TypeRRSIG, dns.TypeCAA, dns.TypeHTTPS, dns.TypeNAPTR, 65280}
	var out []dns.Question
	for _, name := range slices.Compact(names) {
		for _, qtype := range types {
			out = append(out, dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET})
		}
	}
	return out
}

// told is what a reply says: flags, rcode and sections, whose order does not count.
func told(m *dns.Msg, extra bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "opcode %d rcode %s aa %t tc %t rd %t ra %t ad %t cd %t z %t question %v\n", m.Opcode, dns.RcodeToString[m.Rcode],
		m.Authoritative, m.Truncated, m.RecursionDesired, m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled, m.Zero, m.Question)
	sections := [][]dns.RR{m.Answer, m.Ns}
	if extra {
		sections = append(sections, m.Extra)
	}
	for i, section := range sections {
		var lines []string
		for _, rr := range section {
			if opt, ok := rr.(*dns.OPT); ok {
				lines = append(lines, fmt.Sprintf("OPT version %d do %t size %d", opt.Version(), opt.Do(), opt.UDPSize()))
				continue
			}
			lines = append(lines, lower(rr.String()))
		}
		slices.Sort(lines)
		fmt.Fprintf(&b, "section %d: %s\n", i, strings.Join(lines, "\n           "))
	}
	return b.String()
}

func TestAnswersAreThoseOfNSDFromThePrintedZones(t *testing.T) {
	zones := mustZones(t, testConfig())
	theirs := startNSD(t, zones, " minimal-responses: yes")
	ours := net.JoinHostPort("127.0.0.1", serveZones(t, zones))
	type variant struct {
		network string
		edns    bool
		do, rd  bool
	}
	asked := 0
	for _, v := range []variant{{network: "udp"}, {network: "udp", edns: true, do: true, rd: true}, {network: "tcp", edns: true}} {
		client := dns.Client{Net: v.network, UDPSize: dns.MaxMsgSize, Timeout: 10 * time.Second}
		var conns [2]*dns.Conn
		for i, addr := range []string{ours, theirs} {
			if v.network == "tcp" {
				break // nsd closes a connection after some queries
			}
			conn, err := client.Dial(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns[i] = conn
		}
		all := questions(zones)
		if v.network == "tcp" {
			all = slices.DeleteFunc(all, func(q dns.Question) bool { return q.Qtype != dns.TypeAAAA && q.Qtype != dns.TypePTR })
		}
		for _, q := range all {
			m := &dns.Msg{Question: []dns.Question{q}}
			m.Id = dns.Id()
			m.RecursionDesired = v.rd
			if v.edns {
				m.SetEdns0(4096, v.do)
			}
			var replies [2]string
			for i, addr := range []string{ours, theirs} {
				var reply *dns.Msg
				var err error
				if conns[i] != nil {
					reply, _, err = client.ExchangeWithConn(m, conns[i])
				} else {
					reply, _, err = client.Exchange(m, addr)
				}
				if err != nil {
					t.Fatalf("%s to %s: %v", q.String(), addr, err)
				}
				replies[i] = told(reply, reply.Rcode != dns.RcodeSuccess || len(reply.Answer) == 0)
			}
			asked++
			if replies[0] != replies[1] {
				t.Errorf("%v %s\nours:   %s\nnsd's: %s", v, q.String(), replies[0], replies[1])
			}
		}
	}
	t.Logf("%d questions", asked)
}

// An oddQuery is one that is no plain question.
type oddQuery struct {
	what  string
	wire  []byte
	rcode string // of our answer; empty is silence
	// notNSD says why nsd's answer differs; empty: it does not.
	notNSD string
}

// oddQueries are seeds of the fuzz test too.
func oddQueries(tb testing.TB) []oddQuery {
	var out []oddQuery
	add := func(what, rcode, notNSD string, m *dns.Msg, edit func([]byte) []byte) {
		wire, err := m.Pack()
		if err != nil {
			tb.Fatalf("%s: %v", what, err)
		}
		if edit != nil {
			wire = edit(wire)
		}
		out = append(out, oddQuery{what, wire, rcode, notNSD})
	}
	question := func(name string, qtype, class uint16) *dns.Msg {
		m := &dns.Msg{Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: class}}}
		m.Id = 4711
		return m
	}
	edns := func(edit func(*dns.Msg, *dns.OPT)) *dns.Msg {
		m := question("upper.pipes.test.", dns.TypeAAAA, dns.ClassINET)
		m.SetEdns0(4096, false)
		edit(m, m.IsEdns0())
		return m
	}
	plain := question("upper.pipes.test.", dns.TypeAAAA, dns.ClassINET)

	add("chaos", "REFUSED", "", question("version.bind.", dns.TypeTXT, dns.ClassCHAOS), nil)
	add("hesiod", "REFUSED", "", question("upper.pipes.test.", dns.TypeAAAA, dns.ClassHESIOD), nil)
	add("class NONE", "REFUSED", "", question("upper.pipes.test.", dns.TypeAAAA, dns.ClassNONE), nil)
	add("class ANY", "REFUSED", "nsd takes it for IN", question("upper.pipes.test.", dns.TypeAAAA, dns.ClassANY), nil)
	for _, name := range []string{"upper.pipes.test.", "pipes.test."} {
		for _, qtype := range []uint16{0, dns.TypeOPT, dns.TypeTKEY, dns.TypeTSIG, dns.TypeMAILA, dns.TypeMAILB, dns.TypeANY, 65535} {
			add(fmt.Sprintf("%s type %d", name, qtype), "NOERROR", "", question(name, qtype, dns.ClassINET), nil)
		}
		add("AXFR of "+name, "REFUSED", "nsd says NOTIMP over UDP", question(name, dns.TypeAXFR, dns.ClassINET), nil)
	}
	add("IXFR", "REFUSED", "", new(dns.Msg).SetIxfr("pipes.test.", 1, "a.", "b."), nil)
	for opcode := 1; opcode < 16; opcode++ {
		m := question("pipes.test.", dns.TypeSOA, dns.ClassINET)
		m.Opcode = opcode
		notNSD := ""
		if opcode == dns.OpcodeNotify {
			notNSD = "nsd can be a secondary"
		}
		add(fmt.Sprint("opcode ", opcode), "NOTIMP", notNSD, m, nil)
	}
	add("no question", "FORMERR", "", plain, func(b []byte) []byte { b[5] = 0; return b })
	add("two questions", "FORMERR", "", plain, func(b []byte) []byte { b[5] = 2; return b })
	add("an answer", "FORMERR", "", plain, func(b []byte) []byte { b[7] = 1; return b })
	add("a header alone", "FORMERR", "", plain, func(b []byte) []byte { return b[:12] })
	add("a cut name", "FORMERR", "", plain, func(b []byte) []byte { return b[:20] })
	add("a cut type", "FORMERR", "", plain, func(b []byte) []byte { return b[:len(b)-1] })
	add("a name that points to itself", "FORMERR", "", plain, func(b []byte) []byte { return append(b[:12], 0xc0, 12, 0, 28, 0, 1) })
	add("more behind the question", "NOERROR", "", plain, func(b []byte) []byte { return append(b, 1, 2, 3) })
	add("all flags", "NOERROR", "nsd takes offence at TC", plain, func(b []byte) []byte { b[2] |= 7; b[3] = 0xff; return b })
	add("EDNS version 1", "BADSIG", "", edns(func(_ *dns.Msg, o *dns.OPT) { o.SetVersion(1) }), nil) // 16 is BADVERS too
	add("two OPT", "FORMERR", "", edns(func(m *dns.Msg, o *dns.OPT) { m.Extra = append(m.Extra, o) }), nil)
	add("OPT with a name", "FORMERR", "", edns(func(_ *dns.Msg, o *dns.OPT) { o.Hdr.Name = "x." }), nil)
	options := edns(func(_ *dns.Msg, o *dns.OPT) {
		o.Option = append(o.Option, &dns.EDNS0_LOCAL{Code: 65001, Data: []byte("abc")}, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0102030405060708"})
	})
	add("unknown options", "NOERROR", "", options, nil)
	add("an option longer than OPT", "FORMERR", "", options, func(b []byte) []byte { b[len(b)-9]++; return b })
	signed := question("upper.pipes.test.", dns.TypeAAAA, dns.ClassINET).SetTsig("key.", dns.HmacSHA256, 300, 1)
	wire, _, err := dns.TsigGenerate(signed, "c2VjcmV0", "", false)
	if err != nil {
		tb.Fatal(err)
	}
	out = append(out, oddQuery{"TSIG", wire, "NOTAUTH", "nsd adds a TSIG record"})
	add("a response", "", "", plain, func(b []byte) []byte { b[2] |= 0x80; return b })
	add("less than a header", "", "", plain, func(b []byte) []byte { return b[:11] })
	return out
}

func TestOddQueriesAreAnsweredAsByNSD(t *testing.T) {
	zones := mustZones(t, testConfig())
	theirs := startNSD(t, zones, " minimal-responses: yes")
	ours := net.JoinHostPort("127.0.0.1", serveZones(t, zones))
	for _, odd := range oddQueries(t) {
		if odd.rcode == "" { // the fuzz test holds that these have no answer
			continue
		}
		got := exchangeRaw(t, ours, odd.wire)
		if dns.RcodeToString[got.Rcode] != odd.rcode {
			t.Errorf("%s: want %s, got\n%s", odd.what, odd.rcode, got)
		}
		if odd.notNSD != "" {
			continue
		}
		want := exchangeRaw(t, theirs, odd.wire)
		got.Question, want.Question = nil, nil // nsd leaves it out of some refusals
		if told(got, true) != told(want, true) {
			t.Errorf("%s\nours:  %s\nnsd's: %s", odd.what, told(got, true), told(want, true))
		}
	}
}

// exchangeRaw sends any bytes and returns the answer.
func exchangeRaw(t *testing.T, addr string, wire []byte) *dns.Msg {
	t.Helper()
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(wire); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	if err := m.Unpack(buf[:n]); err != nil {
		t.Fatalf("an answer that cannot be read: %v\n%x", err, buf[:n])
	}
	return m
}

func TestAddressesThatComeUnaskedAreAmongThoseOfNSD(t *testing.T) {
	zones := mustZones(t, testConfig())
	theirs := startNSD(t, zones, " minimal-responses: no")
	ours := net.JoinHostPort("127.0.0.1", serveZones(t, zones))
	client := dns.Client{UDPSize: dns.MaxMsgSize, Timeout: 10 * time.Second}
	for _, q := range []dns.Question{
		{Name: "_pipe._tcp.upper.pipes.test.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
		{Name: "_rpipe._tcp.pipes.test.", Qtype: dns.TypeSRV, Qclass: dns.ClassINET},
		{Name: "pipes.test.", Qtype: dns.TypeNS, Qclass: dns.ClassINET},
	} {
		m := &dns.Msg{Question: []dns.Question{q}}
		m.SetEdns0(1232, false)
		got, _, err := client.Exchange(m, ours)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := client.Exchange(m, theirs)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Extra) < 2 {
			t.Errorf("%s: no addresses come with it\n%s", q.String(), got)
		}
		for _, rr := range got.Extra {
			if !slices.ContainsFunc(want.Extra, func(other dns.RR) bool { return rr.String() == other.String() || rr.Header().Rrtype == dns.TypeOPT }) {
				t.Errorf("%s: nsd does not say %s", q.String(), rr)
			}
		}
	}
}
