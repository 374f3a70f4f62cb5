package discovery

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DefaultTimeout is how long a Client waits in all.
const DefaultTimeout = 10 * time.Second

// systemServers is where Unix systems name theirs (resolv.conf(5)).
const systemServers = "/etc/resolv.conf"

const (
	attemptTime = 2 * time.Second // for an answer over UDP, of which any may be lost
	attempts    = 2               // for each name server
	payload     = 1232            // bytes of an answer over UDP, as name servers agree on
	connections = 8               // at most, for the details of many services
	most        = 1 << 14         // services; one message of 64 KiB holds fewer
)

// Client asks name servers. The zero value is ready. It may be used concurrently.
type Client struct {
	// Servers are host:port; a later one is asked where an earlier one gives no
	// answer. Empty: those of /etc/resolv.conf.
	Servers []string
	// Timeout bounds a call of Services; 0 is DefaultTimeout.
	Timeout time.Duration
}

// A Service is an entry of a zone's list.
type Service struct {
	Host    string // without a final dot
	Port    int
	Summary string // may hold anything; empty if there is none
}

// Services returns what a zone lists, by host and port. An entry that is gone by the time
// it is asked for, or says that it is not there (RFC 2782, target "."), is left out. The
// error is *NoListError, *ServerError, or the context's cause.
func (c *Client) Services(ctx context.Context, zone string) ([]Service, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	list, err := c.services(ctx, zone)
	if err != nil && parent.Err() != nil {
		return nil, context.Cause(parent)
	}
	return list, err
}

func (c *Client) services(ctx context.Context, zone string) ([]Service, error) {
	servers := c.Servers
	if len(servers) == 0 {
		config, err := dns.ClientConfigFromFile(systemServers)
		if err == nil && len(config.Servers) == 0 {
			err = errors.New(systemServers + " names none")
		}
		if err != nil {
			return nil, &ServerError{Err: err}
		}
		for _, server := range config.Servers {
			servers = append(servers, net.JoinHostPort(server, config.Port))
		}
	}
	answer, server, err := first(ctx, servers, "_pipe._tcp."+dns.Fqdn(zone), dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var entries []string
	for _, rr := range answer.Answer {
		if ptr, ok := rr.(*dns.PTR); ok && len(entries) < most {
			entries = append(entries, ptr.Ptr)
		}
	}
	if len(entries) == 0 {
		missing := &NoListError{Zone: zone, Server: server}
		soa, err := ask(ctx, server, dns.Fqdn(zone), dns.TypeSOA)
		if err != nil {
			return nil, err
		}
		missing.Exists = soa.Rcode == dns.RcodeSuccess
		return nil, missing
	}
	return details(ctx, server, entries)
}

// first returns the answer of the first name server that gives one, and which that is.
func first(ctx context.Context, servers []string, name string, kind uint16) (answer *dns.Msg, server string, err error) {
	for _, server = range servers {
		if answer, err = ask(ctx, server, name, kind); err == nil || ctx.Err() != nil {
			break
		}
	}
	return answer, server, err
}

// ask returns the answer of a name server: records, or that there are none. It asks over
// UDP, and over TCP where that has no room.
func ask(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	var last error
	for range attempts {
		answer, err := exchange(ctx, server, name, kind)
		if err == nil {
			return judge(server, answer)
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	return nil, &ServerError{Server: server, Err: last}
}

func exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	udp := dns.Client{Net: "udp", Timeout: attemptTime}
	answer, _, err := udp.ExchangeContext(ctx, question(name, kind), server)
	if err == nil && answer.Truncated {
		tcp := dns.Client{Net: "tcp", Timeout: attemptTime}
		answer, _, err = tcp.ExchangeContext(ctx, question(name, kind), server)
	}
	return answer, err
}

func question(name string, kind uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, kind)
	m.SetEdns0(payload, false)
	return m
}

// judge tells answers from those that say that there is no answer.
func judge(server string, answer *dns.Msg) (*dns.Msg, error) {
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, &ServerError{Server: server, Rcode: answer.Rcode}
	}
	return answer, nil
}

// details asks for SRV and TXT of each entry, over TCP: a name server answers one client only
// so often over UDP.
func details(ctx context.Context, server string, entries []string) ([]Service, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan string)
	var mu sync.Mutex
	var list []Service
	var asking sync.WaitGroup
	for range min(connections, len(entries)) {
		asking.Go(func() {
			a := asker{server: server}
			defer a.close()
			for entry := range work {
				s, ok, err := a.service(ctx, entry)
				if err != nil {
					cancel(err)
					return
				}
				if ok {
					mu.Lock()
					list = append(list, s)
					mu.Unlock()
				}
			}
		})
	}
	for _, entry := range entries {
		select {
		case work <- entry:
		case <-ctx.Done():
		}
	}
	close(work)
	asking.Wait()
	if ctx.Err() != nil {
		err := context.Cause(ctx)
		if _, ok := errors.AsType[*ServerError](err); !ok {
			err = &ServerError{Server: server, Err: err}
		}
		return nil, err
	}
	slices.SortFunc(list, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(list), nil
}

// asker asks one question after the other on a connection, or over UDP where the name server
// has no TCP.
type asker struct {
	server  string
	conn    *dns.Conn
	without bool // TCP
}

func (a *asker) close() {
	if a.conn != nil {
		a.conn.Close()
	}
}

func (a *asker) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	tcp := dns.Client{Net: "tcp", Timeout: attemptTime}
	for fresh := false; !a.without; {
		if a.conn == nil {
			fresh = true
			conn, err := tcp.DialContext(ctx, a.server)
			if err != nil {
				a.without = true
				break
			}
			a.conn = conn
		}
		answer, _, err := tcp.ExchangeWithConnContext(ctx, question(name, kind), a.conn)
		if err == nil {
			return judge(a.server, answer)
		}
		a.conn.Close()
		a.conn = nil
		if fresh || ctx.Err() != nil { // else it was closed for being idle
			if errors.Is(err, io.EOF) {
				err = errors.New("it closed the connection")
			}
			return nil, &ServerError{Server: a.server, Err: err}
		}
	}
	return ask(ctx, a.server, name, kind)
}

// service returns the service of an entry; false if it is there no more.
func (a *asker) service(ctx context.Context, entry string) (s Service, ok bool, err error) {
	answer, err := a.ask(ctx, entry, dns.TypeSRV)
	if err != nil {
		return s, false, err
	}
	for _, rr := range answer.Answer {
		if srv, is := rr.(*dns.SRV); is && srv.Target != "." && srv.Port != 0 {
			s.Host, s.Port, ok = strings.TrimSuffix(srv.Target, "."), int(srv.Port), true
			break
		}
	}
	if !ok {
		return s, false, nil
	}
	if answer, err = a.ask(ctx, entry, dns.TypeTXT); err != nil {
		return s, false, err
	}
	for _, rr := range answer.Answer {
		txt, is := rr.(*dns.TXT)
		if !is {
			continue
		}
		for _, text := range txt.Txt {
			if key, value, found := strings.Cut(text, "="); found && strings.EqualFold(key, "summary") && s.Summary == "" {
				s.Summary = plain(value)
			}
		}
	}
	return s, true, nil
}

// plain undoes the escapes of RFC 1035, section 5.1: \DDD is a byte, \X is X.
func plain(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		if i+2 < len(text) && isDigit(text[i]) && isDigit(text[i+1]) && isDigit(text[i+2]) {
			b.WriteByte(byte(int(text[i]-'0')*100 + int(text[i+1]-'0')*10 + int(text[i+2]-'0')))
			i += 2
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
