package names

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// newServer has the zones of testConfig.
func newServer(t *testing.T) *Server {
	t.Helper()
	s := &Server{}
	if err := s.SetZones(mustZones(t, testConfig())); err != nil {
		t.Fatal(err)
	}
	return s
}

func dialTCP(t *testing.T, port string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// ask sends a question over a connection and returns the serial of the answer.
func ask(conn net.Conn) (uint32, error) {
	c := &dns.Conn{Conn: conn}
	if err := c.WriteMsg(new(dns.Msg).SetQuestion("pipes.test.", dns.TypeSOA)); err != nil {
		return 0, err
	}
	reply, err := c.ReadMsg()
	if err != nil {
		return 0, err
	}
	if len(reply.Answer) != 1 {
		return 0, errors.New(reply.String())
	}
	return reply.Answer[0].(*dns.SOA).Serial, nil
}

func TestWithoutZonesEveryQuestionIsRefused(t *testing.T) {
	port := start(t, &Server{}, "127.0.0.1")
	if out := dig(t, port, "upper.pipes.test", "AAAA"); !has(out, "status: REFUSED") {
		t.Error(out)
	}
}

func TestANewZoneIsServedFromTheNextQueryOnAndAnOldSerialIsNot(t *testing.T) {
	s := newServer(t)
	conn := dialTCP(t, start(t, s, "127.0.0.1"))
	c := testConfig()
	if serial, err := ask(conn); err != nil || serial != c.Serial {
		t.Fatalf("serial %d, %v", serial, err)
	}
	first := s.Zones()
	for _, serial := range []uint32{c.Serial, c.Serial - 1} {
		older := c
		older.Serial = serial
		if err := s.SetZones(mustZones(t, older)); err == nil || s.Zones() != first {
			t.Errorf("serial %d is served after %d", serial, c.Serial)
		}
	}
	if s.SetZones(nil) == nil {
		t.Error("zones can be taken away")
	}
	c.Serial = NextSerial(c.Serial, time.Now())
	c.Services = c.Services[:1]
	if err := s.SetZones(mustZones(t, c)); err != nil {
		t.Fatal(err)
	}
	if serial, err := ask(conn); err != nil || serial != c.Serial {
		t.Errorf("serial %d, %v; want %d", serial, err, c.Serial)
	}
}

func TestZonesAreSwappedUnderLoadWithoutAWrongAnswer(t *testing.T) {
	s := newServer(t)
	port := start(t, s, "127.0.0.1")
	ctx, cancel := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	defer askers.Wait()
	defer cancel()
	for _, network := range []string{"tcp", "udp"} {
		conn, err := net.Dial(network, net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
		askers.Go(func() {
			defer conn.Close()
			for last := uint32(0); ctx.Err() == nil; {
				serial, err := ask(conn)
				if err != nil || last != 0 && serial != last && !serialGreater(serial, last) {
					t.Errorf("%s: serial %d after %d: %v", network, serial, last, err)
					return
				}
				last = serial
			}
		})
	}
	c := testConfig()
	for range 100 {
		c.Serial++
		if err := s.SetZones(mustZones(t, c)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFloodIsLimitedAndARealClientComesOverTCP(t *testing.T) {
	s := newServer(t)
	s.Rate, s.Unlimited = 1, []netip.Prefix{}
	port := start(t, s, "127.0.0.1")
	wire, err := new(dns.Msg).SetQuestion("pipes.test.", dns.TypeNS).Pack()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, dns.MaxMsgSize)
	// One answer, and then of each two queries one is answered, cut.
	whole, cut, sent := 0, 0, 0
	for cut < 50 {
		sent++
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
		before := s.Counts()
		for c := before; c.UDP+c.Unanswered < uint64(sent); c = s.Counts() {
			runtime.Gosched()
			if t.Context().Err() != nil {
				t.FailNow()
			}
		}
		if s.Counts().UDP == uint64(whole+cut) {
			continue // not answered
		}
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(buf[:n]); err != nil {
			t.Fatal(err)
		}
		if reply.Truncated {
			cut++
			if n > len(wire) {
				t.Fatalf("a cut answer of %d bytes to a query of %d", n, len(wire))
			}
		} else {
			whole++
		}
	}
	counts := s.Counts()
	if counts.Cut != uint64(cut) || counts.Unanswered < uint64(cut)-1 || counts.Unanswered > uint64(cut)+1 {
		t.Errorf("%d whole, %d cut of %d: %+v", whole, cut, sent, counts)
	}
	if out := dig(t, port, "+tries=30", "+time=1", "pipes.test", "NS"); !has(out, "ANSWER: 3") {
		t.Errorf("a real client has no answer:\n%s", out)
	}
}

func TestASlowOrSilentClientIsLeft(t *testing.T) {
	for name, do := range map[string]func(net.Conn) error{
		"silent":                func(net.Conn) error { return nil },
		"a byte":                func(c net.Conn) error { _, err := c.Write([]byte{0}); return err },
		"half a query":          func(c net.Conn) error { _, err := c.Write([]byte{0, 30, 1, 2, 3}); return err },
		"a query that is a lie": func(c net.Conn) error { _, err := c.Write([]byte{255, 255, 1}); return err },
		"no query":              func(c net.Conn) error { _, err := c.Write(make([]byte, 2)); return err },
		"a response": func(c net.Conn) error {
			_, err := c.Write(append([]byte{0, 12, 1, 2, 0x80}, make([]byte, 9)...))
			return err
		},
		"silent after an answer": func(c net.Conn) error { _, err := ask(c); return err },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.IdleTimeout = 200 * time.Millisecond
			conn := dialTCP(t, start(t, s, "127.0.0.1"))
			if err := do(conn); err != nil {
				t.Fatal(err)
			}
			if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %d, %v: the connection is not closed", n, err)
			}
		})
	}
}

// A client that asks and asks and never reads fills the sockets' buffers; then the server leaves it.
func TestAClientThatDoesNotReadIsLeft(t *testing.T) {
	s := &Server{IdleTimeout: 200 * time.Millisecond}
	if err := s.SetZones(mustZones(t, manyServices(t, 1000))); err != nil {
		t.Fatal(err)
	}
	conn := dialTCP(t, start(t, s, "127.0.0.1"))
	wire, err := new(dns.Msg).SetQuestion("_pipe._tcp.pipes.test.", dns.TypePTR).Pack()
	if err != nil {
		t.Fatal(err)
	}
	wire = append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...)
	for {
		if _, err := conn.Write(wire); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the server waits for a client that does not read")
			}
			return
		}
	}
}

func TestManySilentClientsKeepNobodyOut(t *testing.T) {
	s := newServer(t)
	s.MaxConns = 4
	port := start(t, s, "127.0.0.1")
	working := dialTCP(t, port)
	for range 30 {
		dialTCP(t, port) // silent
		if _, err := ask(working); err != nil {
			t.Fatalf("a working client was closed: %v", err)
		}
		if _, err := ask(dialTCP(t, port)); err != nil {
			t.Fatalf("a new client was kept out: %v", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.conns.len(); n > s.MaxConns || len(s.conns.place) != n {
		t.Errorf("%d connections, at most %d were to be", n, s.MaxConns)
	}
	if s.Counts().Evicted < 50 {
		t.Errorf("%+v", s.Counts())
	}
}

func TestShutdownEndsEverythingAndClosedServersTakeNothing(t *testing.T) {
	for name, end := range map[string]func(*Server) error{
		"Shutdown": func(s *Server) error {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			return s.Shutdown(ctx)
		},
		"Close": (*Server).Close,
		"Shutdown with no time": func(s *Server) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := s.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			s := newServer(t)
			pc, ln := listen(t, "127.0.0.1")
			ended := make(chan error, 2)
			go func() { ended <- s.ServePacket(pc) }()
			go func() { ended <- s.Serve(ln) }()
			_, port, _ := net.SplitHostPort(ln.Addr().String())
			conn := dialTCP(t, port)
			if _, err := ask(conn); err != nil {
				t.Fatal(err)
			}
			if out := dig(t, port, "upper.pipes.test", "AAAA"); !has(out, "status: NOERROR") {
				t.Fatal(out)
			}
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := <-ended; err != ErrServerClosed {
					t.Errorf("serving ended with %v", err)
				}
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the connection is left open: %v", err)
			}
			pc, ln = listen(t, "127.0.0.1")
			if err := s.ServePacket(pc); err != ErrServerClosed {
				t.Errorf("ServePacket: %v", err)
			}
			if err := s.Serve(ln); err != ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
			if _, err := pc.WriteTo([]byte{1}, pc.LocalAddr()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the socket is open: %v", err)
			}
			for range 3 {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			// Goroutines that have ended may be counted for a moment.
			for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); {
				runtime.Gosched()
			}
			if after := runtime.NumGoroutine(); after > before {
				t.Errorf("%d goroutines, and %d before", after, before)
			}
		})
	}
}

func TestAnEnormousDatagramIsNotAnswered(t *testing.T) {
	s := newServer(t)
	conn, err := net.Dial("udp", net.JoinHostPort("127.0.0.1", start(t, s, "127.0.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(make([]byte, 60000)); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(conn); err != nil { // it would be an answer with another number
		t.Error(err)
	}
	if _, err := ask(conn); err != nil {
		t.Error(err)
	}
}

func TestASocketThatFailsIsToldOf(t *testing.T) {
	s := newServer(t)
	defer s.Close()
	pc, ln := listen(t, "127.0.0.1")
	pc.Close()
	ln.Close()
	if err := s.ServePacket(pc); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ServePacket: %v", err)
	}
	if err := s.Serve(ln); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	if err := s.ServePacket(brokenPackets{pc}); err != io.ErrUnexpectedEOF {
		t.Errorf("ServePacket: %v", err)
	}
}

type brokenPackets struct{ net.PacketConn }

func (brokenPackets) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, io.ErrUnexpectedEOF }

// Sockets of other kinds than those of net are served too.
func TestAnyPacketConnIsServed(t *testing.T) {
	s := newServer(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.ServePacket(struct{ net.PacketConn }{pc}) }()
	conn, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := ask(conn); err != nil {
		t.Error(err)
	}
	s.Close()
	if err := <-ended; err != ErrServerClosed {
		t.Error(err)
	}
}
