package names

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// checkAnswer says what holds for the answer to any bytes.
func checkAnswer(t *testing.T, query, answer []byte, via transport) {
	t.Helper()
	if len(answer) < headerSize || !bytes.Equal(answer[:2], query[:2]) {
		t.Fatalf("the answer %x does not belong to the query %x", answer, query)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(answer); err != nil {
		t.Fatalf("%v: %x", err, answer)
	}
	switch {
	case !reply.Response || reply.RecursionAvailable || reply.AuthenticatedData || reply.Zero:
		t.Errorf("flags that are not ours: %s", reply)
	case reply.Opcode != int(query[2]>>3)&15 || reply.RecursionDesired != (query[2]&1 != 0):
		t.Errorf("opcode and RD are not those of the query: %s", reply)
	case len(reply.Answer) > 0 && !(reply.Authoritative && reply.Rcode == dns.RcodeSuccess):
		t.Errorf("an answer without authority: %s", reply)
	case reply.Truncated && via == overTCP:
		t.Errorf("truncated over TCP: %s", reply)
	case reply.Authoritative && len(reply.Answer)+len(reply.Ns) == 0 && !reply.Truncated:
		t.Errorf("neither answer nor authority: %s", reply)
	}
	request := new(dns.Msg)
	parsed := request.Unpack(query) == nil
	if len(reply.Question) > 0 && (!parsed || reply.Question[0] != request.Question[0]) {
		t.Errorf("another question than that of the query: %s", reply)
	}
	limit := dns.MinMsgSize
	if opt := reply.IsEdns0(); opt != nil {
		if !parsed || request.IsEdns0() == nil {
			t.Errorf("EDNS that was not asked for: %s", reply)
		} else {
			limit = min(max(int(request.IsEdns0().UDPSize()), limit), maxUDP)
		}
	}
	switch via {
	case overTCP:
		limit = dns.MaxMsgSize
	case overUDPCut:
		if len(reply.Answer)+len(reply.Ns) > 0 {
			t.Errorf("a cut answer says something: %s", reply)
		}
	}
	if len(answer) > limit {
		t.Errorf("%d bytes, at most %d were to be: %s", len(answer), limit, reply)
	}
	for _, rr := range reply.Answer {
		if !strings.HasSuffix(lower(rr.Header().Name), ".pipes.test.") && lower(rr.Header().Name) != "pipes.test." &&
			!strings.HasSuffix(lower(rr.Header().Name), ".ip6.arpa.") {
			t.Errorf("%s is no record of ours", rr)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	c := testConfig()
	c.Services = append(c.Services, manyServices(f, 60).Services...) // more than 512 and 1232 bytes hold
	zones := mustZones(f, c)
	for _, odd := range oddQueries(f) {
		f.Add(odd.wire)
	}
	for _, q := range questions(mustZones(f, testConfig()))[:200] {
		m := &dns.Msg{Question: []dns.Question{q}}
		m.Id = 1
		wire, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, query []byte) {
		if !isQuery(query) {
			if len(query) >= headerSize && binary.BigEndian.Uint16(query[2:])>>15 == 0 {
				t.Errorf("a query that is not looked at: %x", query)
			}
			return
		}
		for _, via := range []transport{overUDP, overUDPCut, overTCP} {
			checkAnswer(t, query, zones.answer(query, via), via)
		}
		checkAnswer(t, query, (*Zones)(nil).answer(query, overUDP), overUDP)
	})
}
