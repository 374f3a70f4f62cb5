package names

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	// maxUDP is the largest answer over UDP: what passes every usual path
	// unfragmented (DNS flag day 2020).
	maxUDP = 1232
	// maxOPT is what EDNS takes of an answer: the OPT record without options.
	maxOPT = 11
	// minRecord is the least that a record takes: a pointer to its name, its
	// fixed fields, and one byte of data.
	minRecord = 2 + 10 + 1
)

// A transport says how large an answer may be.
type transport int

const (
	overUDP    transport = iota
	overUDPCut           // over UDP, to a network that has had its share: truncated whatever it is
	overTCP
)

// isQuery reports whether anything may be answered: a response never is, or two servers could
// keep each other busy.
func isQuery(query []byte) bool {
	return len(query) >= headerSize && query[2]&0x80 == 0
}

// answer returns the whole answer to a query, of any bytes for which isQuery holds.
// It does not keep query.
func (z *Zones) answer(query []byte, via transport) []byte {
	request := new(dns.Msg)
	if rcode := parse(request, query); rcode != dns.RcodeSuccess {
		return bare(query, rcode)
	}
	reply := &dns.Msg{Compress: true, Question: request.Question}
	reply.Id = request.Id
	reply.Response = true
	reply.RecursionDesired = request.RecursionDesired

	limit := dns.MaxMsgSize
	opt := request.IsEdns0()
	if via != overTCP {
		limit = dns.MinMsgSize
		if opt != nil {
			limit = min(max(int(opt.UDPSize()), dns.MinMsgSize), maxUDP)
		}
	}
	if via == overUDPCut {
		reply.Truncated = true
	} else {
		z.resolve(reply, request, limit)
	}
	if opt != nil {
		reply.Extra = append(reply.Extra, answerOPT(opt))
	}
	return pack(reply, limit, query)
}

// parse reads a query; its rcode says why that is not one question to be
// answered. It looks at the counts first, so that nobody has a long message
// decoded in vain.
func parse(request *dns.Msg, query []byte) int {
	if opcode := int(query[2]>>3) & 15; opcode != dns.OpcodeQuery {
		return dns.RcodeNotImplemented
	}
	count := func(i int) int { return int(binary.BigEndian.Uint16(query[4+2*i:])) }
	if count(0) != 1 || count(1) != 0 || count(2) > 1 || count(3) > 2 {
		return dns.RcodeFormatError
	}
	if request.Unpack(query) != nil || len(request.Question) != 1 {
		return dns.RcodeFormatError
	}
	// Authority has a record in the query for an incremental transfer only.
	if len(request.Ns) != 0 && request.Question[0].Qtype != dns.TypeIXFR {
		return dns.RcodeFormatError
	}
	opts := 0
	for _, rr := range request.Extra {
		if rr.Header().Rrtype == dns.TypeOPT {
			opts++
			if rr.Header().Name != "." {
				return dns.RcodeFormatError
			}
		}
	}
	if opts > 1 { // RFC 6891 section 6.1.1
		return dns.RcodeFormatError
	}
	return dns.RcodeSuccess
}

// bare returns an answer without sections, in which the bytes of query are
// looked at no further than its header.
func bare(query []byte, rcode int) []byte {
	reply := make([]byte, headerSize)
	copy(reply, query[:2])
	reply[2] = 0x80 | query[2]&0x79 // opcode and RD as they came
	reply[3] = byte(rcode)
	return reply
}

// resolve fills in the sections and the rcode. It truncates what is certain not to
// fit into limit bytes, so that long lists are not encoded in vain.
func (z *Zones) resolve(reply, request *dns.Msg, limit int) {
	question := request.Question[0]
	opt := request.IsEdns0()
	switch {
	case opt != nil && opt.Version() != 0:
		reply.Rcode = dns.RcodeBadVers
		return
	case request.IsTsig() != nil: // no key is known here, RFC 8945 section 5.2
		reply.Rcode = dns.RcodeNotAuth
		return
	case question.Qclass != dns.ClassINET, question.Qtype == dns.TypeAXFR, question.Qtype == dns.TypeIXFR:
		reply.Rcode = dns.RcodeRefused
		return
	}
	zone, off := z.find(question.Name)
	if zone == nil {
		reply.Rcode = dns.RcodeRefused
		return
	}
	reply.Authoritative = true
	node := zone.nodes[lower(question.Name)]
	if node == nil {
		reply.Rcode = dns.RcodeNameError
	} else if set := node.answer(question.Qtype); set != nil {
		if len(set)*minRecord > limit {
			reply.Truncated = true
			return
		}
		reply.Answer = renamed(set, question.Name)
		reply.Extra = z.glue(set)
		return
	}
	reply.Ns = []dns.RR{zone.negative(question.Name[off:])}
}

// answer returns the records of a type; for ANY one set of them all, RFC 8482
// section 4.1. Nil is none.
func (n *node) answer(qtype uint16) rrset {
	if qtype == dns.TypeANY && len(n.sets) > 0 {
		return n.sets[0]
	}
	return n.set(qtype)
}

// renamed returns copies of records that have their name as it stands in the
// question, letter for letter.
func renamed(set rrset, name string) []dns.RR {
	records := make([]dns.RR, len(set))
	for i, rr := range set {
		records[i] = dns.Copy(rr)
		records[i].Header().Name = name
	}
	return records
}

// glue returns the addresses of the hosts that records point to, as far as they
// lie in the zones.
func (z *Zones) glue(set rrset) []dns.RR {
	var records []dns.RR
	for _, rr := range set {
		var host string
		switch rr := rr.(type) {
		case *dns.SRV:
			host = rr.Target
		case *dns.NS:
			host = rr.Ns
		default:
			return nil
		}
		zone, _ := z.find(host)
		if zone == nil {
			continue
		}
		if node := zone.nodes[lower(host)]; node != nil {
			records = append(records, node.set(dns.TypeA)...)
			records = append(records, node.set(dns.TypeAAAA)...)
		}
	}
	return records
}

// negative returns the SOA record for an answer that there is nothing; its TTL is how
// long that may be kept (RFC 2308 section 3).
func (z *Zone) negative(origin string) dns.RR {
	soa := *z.soa
	soa.Hdr.Name = origin
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return &soa
}

// answerOPT returns our side of EDNS, RFC 6891. Options that came are not known here and
// ignored; DO is copied (RFC 3225 section 3), though nothing is signed.
func answerOPT(asked *dns.OPT) *dns.OPT {
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(maxUDP)
	if asked.Do() {
		opt.SetDo()
	}
	return opt
}

// pack encodes a reply into at most limit bytes. Addresses that nobody asked for are left out
// first, and unsaid; then everything, said by TC.
func pack(reply *dns.Msg, limit int, query []byte) []byte {
	var opt []dns.RR
	if last := len(reply.Extra) - 1; last >= 0 && reply.Extra[last].Header().Rrtype == dns.TypeOPT {
		opt = reply.Extra[last:]
	}
	for range 3 {
		if wire, err := reply.Pack(); err == nil && len(wire) <= limit {
			return wire
		}
		if len(reply.Extra) > len(opt) {
			reply.Extra = opt
			continue
		}
		reply.Truncated = true
		reply.Answer, reply.Ns = nil, nil
	}
	return bare(query, dns.RcodeServerFailure)
}
