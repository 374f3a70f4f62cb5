package remote_test

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
)

// Types of DNS records (RFC 1035, RFC 2782).
const (
	typeA   = 1
	typeSRV = 33
)

// record is one resource record, but for its name.
type record struct {
	typ  uint16
	data []byte
}

func a(ip string) record { return record{typeA, net.ParseIP(ip).To4()} }

func srv(priority, weight uint16, port int, target string) record {
	b := binary.BigEndian.AppendUint16(nil, priority)
	b = binary.BigEndian.AppendUint16(b, weight)
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	if target != "." {
		for label := range strings.SplitSeq(strings.TrimSuffix(target, "."), ".") {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return record{typeSRV, append(b, 0)}
}

// nameServer answers questions over UDP: those about names in zone with what is
// there, and others with NXDOMAIN. To questions about silent names it says
// nothing.
type nameServer struct {
	zone   map[string][]record // names in lower case, with their final dot
	silent map[string]bool

	mu    sync.Mutex
	asked map[string]int // names of SRV questions
}

// newResolver starts a nameServer that ends with the test.
func newResolver(t *testing.T, s *nameServer) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.asked = make(map[string]int)
	var wg sync.WaitGroup
	wg.Go(func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := s.answer(buf[:n]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		wg.Wait()
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", conn.LocalAddr().String())
		},
	}
}

// answer returns the response to a query with one question, or nil.
func (s *nameServer) answer(query []byte) []byte {
	const header = 12
	if len(query) < header {
		return nil
	}
	name, end := "", header
	for end < len(query) && query[end] != 0 {
		n := int(query[end])
		if end+1+n >= len(query) {
			return nil
		}
		name += strings.ToLower(string(query[end+1:end+1+n])) + "."
		end += 1 + n
	}
	if end += 5; end > len(query) { // the root, type, class
		return nil
	}
	typ := binary.BigEndian.Uint16(query[end-4:])
	s.mu.Lock()
	if typ == typeSRV {
		s.asked[name]++
	}
	s.mu.Unlock()
	if s.silent[name] {
		return nil
	}
	records, known := s.zone[name]
	flags := uint16(0x8180) // response, recursion desired and available
	if !known {
		flags |= 3 // NXDOMAIN
	}
	var answers []byte
	count := 0
	for _, r := range records {
		if r.typ != typ {
			continue
		}
		count++
		answers = append(answers, 0xc0, header) // the name of the question
		answers = binary.BigEndian.AppendUint16(answers, r.typ)
		answers = append(answers, 0, 1, 0, 0, 0, 60) // class IN, a minute
		answers = binary.BigEndian.AppendUint16(answers, uint16(len(r.data)))
		answers = append(answers, r.data...)
	}
	b := append([]byte(nil), query[:2]...)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, 0, 1, 0, byte(count), 0, 0, 0, 0)
	b = append(b, query[header:end]...)
	return append(b, answers...)
}

// questions returns how often SRV records of a name were asked for.
func (s *nameServer) questions(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

// all returns how often SRV records were asked for.
func (s *nameServer) all() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.asked {
		n += k
	}
	return n
}
