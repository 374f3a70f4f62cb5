//go:build unix

package serve

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"rpipe/remote/identity"
	"rpipe/remote/wire"
)

var takerRounds = flag.Int("takers", 10, "rounds in which 64 takers, each with a connection, want one ticket")

const takers = 64

// taker is a daemon's connection to another, by hand.
func (h *testHost) taker(t testing.TB, key *identity.Key) *testCaller {
	t.Helper()
	c := h.dialAs(t, key)
	c.session = c.wire.BeginHop()
	return c
}

func (c *testCaller) refused() string {
	c.t.Helper()
	r, err := wire.DecodeRefuse(c.want(wire.TypeRefuse).Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	if r.Status != wire.StatusIdentity {
		c.t.Errorf("status %d, want %d", r.Status, wire.StatusIdentity)
	}
	c.wantClosed()
	return r.Text
}

func (c *testCaller) ticket() wire.Take {
	return wire.Take{Direction: wire.ToStdin, Secret: c.open.In.Secret, Digest: c.open.Digest()}
}

func TestATicketThatIsNotGoodGetsNothingAndIsLogged(t *testing.T) {
	guessed := wire.NewSecret()
	for name, test := range map[string]struct {
		change func(*wire.Take)
		before func(t *testing.T, a, b *testHost, cb *testCaller)
		reason string
		spent  bool // also for the right taker
	}{
		"guessed": {
			change: func(k *wire.Take) { k.Secret = guessed },
			reason: ticketUnknown,
		},
		"almost right": {
			change: func(k *wire.Take) { k.Secret[31] ^= 1 },
			reason: ticketUnknown,
		},
		"other direction": {
			change: func(k *wire.Take) { k.Direction = 2 },
			reason: ticketDirection,
		},
		"no direction": {
			change: func(k *wire.Take) { k.Direction = 0 },
			reason: ticketDirection,
		},
		"other program": {
			change: func(k *wire.Take) { k.Digest = wire.Open{Programs: program("tac")}.Digest() },
			reason: ticketPrograms,
		},
		"other arguments": {
			change: func(k *wire.Take) { k.Digest = wire.Open{Programs: program("cat", "-n")}.Digest() },
			reason: ticketPrograms,
		},
		"replayed": {
			before: func(t *testing.T, a, b *testHost, cb *testCaller) {
				c := b.taker(t, a.Key)
				c.send(cb.ticket().Frame())
				c.want(wire.TypeTaken)
			},
			reason: ticketReplayed,
			spent:  true,
		},
		"relayed": {
			before: func(t *testing.T, _, b *testHost, cb *testCaller) {
				cb.send(wire.Frame{Type: wire.TypeRelay})
				cb.start()
				if _, err := cb.session.Stdin.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				until(t, "the session's running", func() bool { return cb.session.Stdout.Received() > 0 })
			},
			reason: ticketRelayed,
			spent:  true,
		},
		"expired": {
			before: func(t *testing.T, _, b *testHost, cb *testCaller) {
				b.tickets.validate(b.ticketOf(cb), time.Now())
			},
			reason: ticketExpired,
			spent:  true,
		},
		"of a session that has gone": {
			before: func(t *testing.T, _, b *testHost, cb *testCaller) {
				cb.wire.Close()
				until(t, "the session's end", func() bool { return b.book.has("session lost", "cat") })
			},
			reason: ticketUnknown,
			spent:  true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			cb := receive(t, a, b, program("cat"))
			// Another session keeps the peer of this name welcome, and must not be
			// touched.
			receive(t, a, b, program("wc"))
			wrong := cb.ticket()
			if test.change != nil {
				test.change(&wrong)
			}
			if test.before != nil {
				test.before(t, a, b, cb)
			}
			c := b.taker(t, a.Key)
			c.send(wrong.Frame())
			if got := c.refused(); got != badTicket {
				t.Errorf("text %q, want %q for every reason", got, badTicket)
			}
			if !b.book.has("hop refused", test.reason, a.Key.Fingerprint()) {
				t.Errorf("the log does not tell: %s", test.reason)
			}
			c = b.taker(t, a.Key)
			c.send(cb.ticket().Frame())
			if test.spent {
				c.refused()
			} else {
				c.want(wire.TypeTaken)
			}
		})
	}
}

func TestATicketIsGoodForOneHostOnly(t *testing.T) {
	a, b := pair(t)
	other := newTestHost(t, "other")
	cb := receive(t, a, b, program("cat"))
	receive(t, other, b, program("cat")) // it may come, too
	c := b.taker(t, other.Key)
	c.send(cb.ticket().Frame())
	if got := c.refused(); got != badTicket {
		t.Errorf("text %q", got)
	}
	if !b.book.has("hop refused", ticketForeign, other.Key.Fingerprint()) {
		t.Error("the log does not tell")
	}
	c = b.taker(t, b.user) // the caller itself may not take it either
	c.send(cb.ticket().Frame())
	if got := c.refused(); got != badTicket {
		t.Errorf("text %q", got)
	}
	c = b.taker(t, a.Key)
	c.send(cb.ticket().Frame())
	c.want(wire.TypeTaken)
}

func TestATicketExpires(t *testing.T) {
	a, b := pair(t, func(s *Server) { s.ticketLife = time.Nanosecond })
	cb := receive(t, a, b, program("cat"))
	c := b.taker(t, a.Key) // whose key nobody expects any more
	if got := c.refused(); got == badTicket {
		t.Error("a host without a good ticket was let in")
	}
	c = b.taker(t, b.user)
	c.send(cb.ticket().Frame())
	c.refused()
}

func TestAHostWithoutATicketIsAStranger(t *testing.T) {
	a, b := pair(t)
	if got := b.taker(t, a.Key).refused(); got == badTicket {
		t.Errorf("text %q", got)
	}
	if !b.book.has("unauthorised", a.Key.Fingerprint()) {
		t.Error("the log does not tell")
	}
}

func TestAHostWithATicketMayDoNothingElse(t *testing.T) {
	a, b := pair(t)
	receive(t, a, b, program("cat"))
	open, err := wire.Open{Programs: program("true")}.Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []wire.Frame{open[0], {Type: wire.TypeList}, {Type: wire.TypeStart}, {Type: wire.TypeRelay}} {
		c := b.dialAs(t, a.Key)
		c.send(f)
		c.wantClosed()
	}
	if b.book.has("msg=session") {
		t.Error("a program has run")
	}
}

// Of many takers at once, one wins: the tickets themselves.
func TestOneTakerOfManyWins(t *testing.T) {
	const rounds = 1000
	peer := []byte("key")
	var store tickets
	for round := range rounds {
		o := wire.Open{Programs: program("cat"), In: &wire.Ticket{Secret: wire.NewSecret(), Peer: peer}}
		k := store.add(o)
		store.validate(k, time.Now().Add(time.Hour))
		asked := wire.Take{Direction: wire.ToStdin, Secret: o.In.Secret, Digest: o.Digest()}
		start := make(chan struct{})
		problems := make([]string, takers)
		hops := make([]*hop, takers)
		var wg sync.WaitGroup
		for i := range takers {
			wg.Go(func() {
				<-start
				problems[i] = store.take(peer, asked, func() *hop { hops[i] = new(hop); return hops[i] })
			})
		}
		close(start)
		wg.Wait()
		winners := 0
		for i, p := range problems {
			switch {
			case p == "" && hops[i] == store.taken(k):
				winners++
			case p != ticketReplayed || hops[i] != nil:
				t.Fatalf("round %d: taker %d got %q", round, i, p)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d takers won", round, winners)
		}
		store.remove(k)
	}
	if len(store.all) != 0 || len(store.byPeer) != 0 {
		t.Errorf("%d tickets are left", len(store.all))
	}
}

// Of many takers at once, one wins: each over a connection of its own.
func TestOneConnectionOfManyWins(t *testing.T) {
	rounds := *takerRounds
	if testing.Short() {
		rounds = min(rounds, 2)
	}
	a, b := pair(t)
	for round := range rounds {
		if !t.Run(fmt.Sprint(round), func(t *testing.T) { takeAtOnce(t, a, b) }) {
			return
		}
	}
}

func takeAtOnce(t *testing.T, a, b *testHost) {
	cb := receive(t, a, b, program("cat"))
	all := make([]*testCaller, takers)
	for i := range all {
		all[i] = b.taker(t, a.Key)
	}
	take := cb.ticket().Frame()
	start := make(chan struct{})
	answers := make([]wire.Frame, takers)
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			<-start
			if err := c.wire.Send(take); err != nil {
				t.Error(err)
				return
			}
			select {
			case answers[i] = <-c.frames:
			case <-time.After(patience):
				t.Error("no answer")
			}
		})
	}
	close(start)
	wg.Wait()
	var winner *testCaller
	for i, f := range answers {
		switch {
		case f.Type == wire.TypeTaken && winner == nil:
			winner = all[i]
		case f.Type != wire.TypeRefuse:
			t.Fatalf("taker %d got %v", i, f.Type)
		}
	}
	if winner == nil {
		t.Fatal("nobody won")
	}
	text := make([]byte, 1000)
	rand.Read(text)
	cb.start(wire.Stdin)
	if _, err := winner.session.Stdin.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := winner.session.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	cb.ends()
	if !bytes.Equal(cb.stdout.Bytes(), text) {
		t.Error("the program got something else than the winner sent")
	}
}

// No caller can have a daemon connect to what its administrator did not list,
// whatever the name is that it sends, and however it spells it.
func TestAHopLeadsNowhereThatIsNotListed(t *testing.T) {
	a, b := pair(t)
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	stranger := newKey(t).PublicKey().Marshal()
	metadata := "169.254.169.254"
	for _, host := range []string{
		metadata, "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "LOCALHOST.", "0.0.0.0", "0", "",
		"::1", "::", "::ffff:127.0.0.1", "[::ffff:7f00:1]", "127.0.0.1.nip.io", "b", a.address, "\x1b[31m", "a b", "../b",
	} {
		for _, name := range []string{host + ":" + port, net.JoinHostPort(host, port), host + ":http", "x" + host} {
			ca := a.dial(t).accept(wire.Open{Programs: program("true"), Out: true})
			ca.askHop(wire.Hop{Name: name, Peer: stranger, Secret: wire.NewSecret()})
			if h := ca.hopped(); h.Made {
				t.Errorf("%q: a hop was made", name)
			}
			ca.wire.Close()
		}
	}
	// The address of one who is listed is the administrator's, too.
	cb := receive(t, a, b, program("cat"))
	ca := a.dial(t).accept(wire.Open{Programs: program("true"), Out: true})
	if h := ca.hop(cb, "127.0.0.1:"+port); !h.Made {
		t.Errorf("no hop: %s", h.Text)
	}
	for _, key := range [][]byte{[]byte("no key"), b.publicKey()[:20], append(bytes.Clone(b.publicKey()), 0)} {
		ca := a.dial(t).accept(wire.Open{Programs: program("true"), Out: true})
		ca.askHop(wire.Hop{Name: "b", Peer: key, Secret: wire.NewSecret()})
		if h := ca.hopped(); h.Made {
			t.Errorf("key %q: a hop was made", key)
		}
	}
	// Whoever had connected stands in the queue before us.
	ours, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	first, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if got, want := port4(first.RemoteAddr()), port4(ours.LocalAddr()); got != want {
		t.Errorf("somebody connected: from port %s, ours is %s", got, want)
	}
}

func port4(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestFramesOfHopsOutOfPlaceEndTheConnection(t *testing.T) {
	hop, err := wire.Hop{Name: "b", Peer: []byte("key")}.Frame()
	if err != nil {
		t.Fatal(err)
	}
	start, relay := wire.Frame{Type: wire.TypeStart}, wire.Frame{Type: wire.TypeRelay}
	take := wire.Take{Direction: wire.ToStdin}.Frame()
	in := &wire.Ticket{Peer: []byte("key")}
	for name, test := range map[string]struct {
		open   *wire.Open
		frames []wire.Frame
		answer bool // one comes before the end
	}{
		"START without HOP":            {&wire.Open{Out: true}, []wire.Frame{start}, false},
		"START without a hop":          {&wire.Open{In: in}, []wire.Frame{start}, false},
		"HOP of a session without one": {&wire.Open{}, []wire.Frame{hop}, false},
		"HOP of the input's session":   {&wire.Open{In: in}, []wire.Frame{hop}, false},
		"RELAY without a ticket":       {&wire.Open{Out: true}, []wire.Frame{relay}, false},
		"RELAY twice":                  {&wire.Open{In: in}, []wire.Frame{relay, relay}, false},
		"RELAY after START":            {&wire.Open{In: in}, []wire.Frame{relay, start, relay}, false},
		"HOP twice":                    {&wire.Open{Out: true}, []wire.Frame{hop, hop}, true},
		"TAKE in a session":            {&wire.Open{}, []wire.Frame{take}, false},
		"HOP without a session":        {nil, []wire.Frame{hop}, false},
		"RELAY without a session":      {nil, []wire.Frame{relay}, false},
		"TAKE after LIST":              {nil, []wire.Frame{{Type: wire.TypeList}, take}, true},
	} {
		t.Run(name, func(t *testing.T) {
			leaveNothing(t)
			b := newTestHost(t, "b")
			c := b.dial(t)
			if test.open != nil {
				test.open.Programs = program("cat")
				if test.open.In != nil {
					test.open.In.Secret = wire.NewSecret()
				}
				c.accept(*test.open)
			}
			for _, f := range test.frames {
				c.send(f)
			}
			<-c.wire.Done()
			if !test.answer {
				c.wantClosed()
			}
			until(t, "the log's telling", func() bool {
				return b.book.has("out of place") || b.book.has("session lost")
			})
		})
	}
}

func TestStdinFromTheClientOfASessionWithAHopEndsTheConnection(t *testing.T) {
	a, b := pair(t)
	w := newWitness(t)
	_, cb := chained(t, a, b, program("yes"), w.program())
	until(t, "the program's running", func() bool { return w.pid() != 0 })
	// As a client that has not diverted it would send it.
	s := cb.wire.Begin()
	if _, err := s.Stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-cb.wire.Done()
	w.wantKilled()
	until(t, "the log's telling", func() bool { return b.book.has("DATA of stdin, which this connection does not carry") })
}

func TestOneSecretIsOneSessions(t *testing.T) {
	a, b := pair(t)
	cb := receive(t, a, b, program("cat"))
	c := b.dial(t)
	frames, err := cb.open.Frames()
	if err != nil {
		t.Fatal(err)
	}
	c.send(frames[0])
	if r, err := wire.DecodeRefuse(c.want(wire.TypeRefuse).Payload); err != nil || r.Status != wire.StatusDenied {
		t.Errorf("%+v, %v", r, err)
	}
	if h := a.dial(t).accept(wire.Open{Programs: program("true"), Out: true}).hop(cb, "b"); !h.Made {
		t.Errorf("the first session's ticket is spoilt: %s", h.Text)
	}
}

func TestHopsCountAmongTheConnections(t *testing.T) {
	a, b := pair(t)
	cb := receive(t, a, b, program("cat"))
	ca := a.dial(t).accept(wire.Open{Programs: program("true"), Out: true})
	a.Server.mu.Lock()
	full := make([]net.Conn, 0)
	for len(a.Server.conns) < 2*maxStrangers+4*a.MaxSessions {
		c, other := net.Pipe()
		other.Close()
		a.Server.conns[c] = struct{}{}
		full = append(full, c)
	}
	a.Server.mu.Unlock()
	h := ca.hop(cb, "b")
	a.Server.mu.Lock()
	for _, c := range full {
		delete(a.Server.conns, c)
	}
	a.Server.mu.Unlock()
	if want := `this host cannot connect to "b": this host has too many connections`; h.Made || h.Text != want {
		t.Errorf("made: %v, %q, want %q", h.Made, h.Text, want)
	}
}

func TestShutdownWaitsForSessionsWithHops(t *testing.T) {
	a, b := pair(t)
	gate := t.TempDir() + "/go"
	const n = 4 << 20
	ca, cb := chained(t, a, b,
		program("sh", "-c", fmt.Sprintf(`echo x; until [ -e "$1" ]; do sleep 0.01; done; head -c %d /dev/zero`, n), "sh", gate), program("wc", "-c"))
	until(t, "the first bytes' leaving", func() bool { return a.book.has("hop made") })
	down := make(chan error, 2)
	go func() { down <- a.Shutdown(t.Context()) }()
	go func() { down <- b.Shutdown(t.Context()) }()
	until(t, "draining", func() bool { return a.isDraining() && b.isDraining() })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e := ca.ends()[0]; e.Out != n+2 {
		t.Errorf("a: %+v", e)
	}
	if e := cb.ends()[0]; e.In != n+2 {
		t.Errorf("b: %+v", e)
	}
	ca.wire.Close()
	cb.wire.Close()
	for range 2 {
		if err := <-down; err != nil {
			t.Error(err)
		}
	}
}

func TestCloseEndsHopsWithoutAnEndOfInput(t *testing.T) {
	for _, first := range []string{"a", "b"} {
		t.Run(first, func(t *testing.T) {
			a, b := pair(t)
			wa, wb := newWitness(t), newWitness(t)
			chained(t, a, b, wa.idle(), wb.program())
			until(t, "both programs' running", func() bool { return wa.pid() != 0 && wb.pid() != 0 })
			if first == "a" {
				a.Close()
				wa.wantKilled()
			} else {
				b.Close()
			}
			wb.wantKilled()
		})
	}
}
