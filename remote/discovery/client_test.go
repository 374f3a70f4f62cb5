package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A zone is the records of a name server, by name and type. Without TCP it answers over UDP only.
type zone struct {
	records []string
	noTCP   bool
	rcode   int // of every answer, if it is not 0
}

// serve answers until the test ends, and returns where.
func (z zone) serve(t *testing.T) string {
	t.Helper()
	known := make(map[string][]dns.RR)
	names := map[string]bool{"pipes.test.": true}
	for _, text := range z.records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		key := fmt.Sprint(strings.ToLower(rr.Header().Name), rr.Header().Rrtype)
		known[key] = append(known[key], rr)
		names[strings.ToLower(rr.Header().Name)] = true
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		m := new(dns.Msg).SetReply(query)
		q := query.Question[0]
		name := strings.ToLower(q.Name)
		m.Answer = known[fmt.Sprint(name, q.Qtype)]
		switch {
		case z.rcode != 0:
			m.Rcode = z.rcode
		case !names[name]:
			m.Rcode = dns.RcodeNameError
		}
		if _, udp := w.LocalAddr().(*net.UDPAddr); udp {
			m.Truncate(512)
		}
		_ = w.WriteMsg(m)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		ln.Close()
		t.Skipf("the port of TCP is taken for UDP: %v", err)
	}
	servers := []*dns.Server{{PacketConn: conn, Handler: answer}}
	if z.noTCP {
		ln.Close()
	} else {
		servers = append(servers, &dns.Server{Listener: ln, Handler: answer})
	}
	for _, s := range servers {
		started, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() {
			defer close(ended)
			_ = s.ActivateAndServe()
		}()
		<-started
		t.Cleanup(func() {
			_ = s.Shutdown()
			<-ended
		})
	}
	return conn.LocalAddr().String()
}

func TestTheServicesOfAZoneAreListedByHostAndPort(t *testing.T) {
	z := zone{records: []string{
		`_pipe._tcp.pipes.test. 60 IN PTR upper._pipe._tcp.pipes.test.`,
		`_pipe._tcp.pipes.test. 60 IN PTR sort._pipe._tcp.pipes.test.`,
		`_pipe._tcp.pipes.test. 60 IN PTR off._pipe._tcp.pipes.test.`,
		`_pipe._tcp.pipes.test. 60 IN PTR gone._pipe._tcp.pipes.test.`,
		`upper._pipe._tcp.pipes.test. 60 IN SRV 0 0 9999 upper.pipes.test.`,
		`upper._pipe._tcp.pipes.test. 60 IN TXT "txtvers=1" "Summary=a \"b\" \\ \195\169 \007"`,
		`sort._pipe._tcp.pipes.test. 60 IN SRV 0 0 7001 sort.else.test.`,
		`sort._pipe._tcp.pipes.test. 60 IN TXT ""`,
		`off._pipe._tcp.pipes.test. 60 IN SRV 0 0 0 .`,
	}}
	want := []Service{{"sort.else.test", 7001, ""}, {"upper.pipes.test", 9999, "a \"b\" \\ é \a"}}
	for _, without := range []bool{false, true} {
		z.noTCP = without
		c := Client{Servers: []string{z.serve(t)}}
		for _, name := range []string{"pipes.test", "pipes.test.", "PIPES.Test"} {
			if got, err := c.Services(t.Context(), name); !slices.Equal(got, want) || err != nil {
				t.Errorf("%s, without TCP %v: %+v, %v", name, z.noTCP, got, err)
			}
		}
	}
}

func TestAListOfManyServicesIsWhole(t *testing.T) {
	var z zone
	const count = 700
	for i := range count {
		z.records = append(z.records,
			fmt.Sprintf(`_pipe._tcp.pipes.test. 60 IN PTR s%d._pipe._tcp.pipes.test.`, i),
			fmt.Sprintf(`s%d._pipe._tcp.pipes.test. 60 IN SRV 0 0 9999 s%d.pipes.test.`, i, i))
	}
	c := Client{Servers: []string{z.serve(t)}, Timeout: time.Minute}
	if got, err := c.Services(t.Context(), "pipes.test"); len(got) != count || err != nil {
		t.Errorf("%d services, %v", len(got), err)
	}
}

func TestWhatListsNothingIsAnErrorThatSaysWhy(t *testing.T) {
	c := Client{Servers: []string{zone{}.serve(t)}}
	missing, ok := errors.AsType[*NoListError](second(c.Services(t.Context(), "pipes.test")))
	if !ok || !missing.Exists || missing.ExitStatus() != 69 || !strings.Contains(missing.Hint(), "list = true") {
		t.Errorf("a zone without a list: %v", missing)
	}
	missing, ok = errors.AsType[*NoListError](second(c.Services(t.Context(), "else.test")))
	if !ok || missing.Exists || missing.ExitStatus() != 69 || !strings.Contains(missing.Hint(), "--resolver") {
		t.Errorf("no zone: %v", missing)
	}
	c = Client{Servers: []string{zone{rcode: dns.RcodeRefused}.serve(t)}}
	refused, ok := errors.AsType[*ServerError](second(c.Services(t.Context(), "pipes.test")))
	if !ok || refused.Rcode != dns.RcodeRefused || !strings.Contains(refused.Error(), "REFUSED") || refused.ExitStatus() != 69 {
		t.Errorf("a name server that refuses: %v", refused)
	}
}

// TestANameServerThatIsNotThereGivesWayToTheNext has one that nobody is, and one that says nothing.
func TestANameServerThatIsNotThereGivesWayToTheNext(t *testing.T) {
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := nobody.LocalAddr().String()
	nobody.Close()
	there := zone{records: []string{
		`_pipe._tcp.pipes.test. 60 IN PTR a._pipe._tcp.pipes.test.`,
		`a._pipe._tcp.pipes.test. 60 IN SRV 0 0 9999 a.pipes.test.`,
	}}.serve(t)
	c := Client{Servers: []string{closed, there}}
	if got, err := c.Services(t.Context(), "pipes.test"); len(got) != 1 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	c = Client{Servers: []string{silent.LocalAddr().String()}, Timeout: 50 * time.Millisecond}
	failed, ok := errors.AsType[*ServerError](second(c.Services(t.Context(), "pipes.test")))
	if !ok || failed.Server != c.Servers[0] || failed.Err == nil {
		t.Errorf("silence: %v", failed)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("over")
	cancel(over)
	if _, err := c.Services(ctx, "pipes.test"); !errors.Is(err, over) {
		t.Errorf("cancelled: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
