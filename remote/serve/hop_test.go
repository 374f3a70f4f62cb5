//go:build unix

package serve

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"rpipe/remote/wire"
)

func TestAHopCarriesTheOutputToTheOtherHostWithoutTheClient(t *testing.T) {
	a, b := pair(t)
	const n = 64 << 20
	ca, cb := chained(t, a, b, program("head", "-c", fmt.Sprint(n), "/dev/zero"), program("wc", "-c"))
	ea, eb := ca.ends()[0], cb.ends()[0]
	if got := strings.TrimSpace(cb.stdout.String()); got != fmt.Sprint(n) {
		t.Errorf("%s bytes arrived at the program, want %d", got, n)
	}
	if ea.Out != n || eb.In != n || ea.In != 0 || ea.Status != 0 || ea.Stopped || eb.Status != 0 {
		t.Errorf("a: %+v\nb: %+v\nwant %d bytes out and in, status 0, not stopped", ea, eb, n)
	}
	if got := ca.carried.Load() + cb.carried.Load(); got > 32<<10 {
		t.Errorf("%d bytes crossed the client's connections", got)
	}
	for _, want := range []struct {
		book  *logBook
		words []string
	}{
		{a.book, []string{`msg="hop made"`, "to=b", "name=b", "address=" + b.address}},
		{a.book, []string{"msg=session", "hop_out=b"}},
		{b.book, []string{`msg="hop taken"`, a.Key.Fingerprint()}},
		{b.book, []string{"msg=session", "hop_in=" + a.Key.Fingerprint()}},
	} {
		if got := want.book.lines(want.words...); len(got) != 1 {
			t.Errorf("log has %d lines with %q, want 1", len(got), want.words)
		}
	}
}

func TestAChainGoesOverAsManyHostsAsItHas(t *testing.T) {
	a, b := pair(t)
	c := newTestHost(t, "c")
	link(b, c, c.address)
	const n = 8 << 20
	ca := a.dial(t).accept(wire.Open{Programs: program("head", "-c", fmt.Sprint(n), "/dev/zero"), Out: true})
	cb := b.dial(t).accept(wire.Open{
		Programs: append(program("cat"), program("tr", `\0`, "x")...), Out: true,
		In: &wire.Ticket{Secret: wire.NewSecret(), Peer: a.publicKey()},
	})
	cc := receive(t, b, c, program("cksum"))
	for _, h := range []wire.Hopped{ca.hop(cb, "b"), cb.hop(cc, "c")} {
		if !h.Made {
			t.Fatalf("no hop: %s", h.Text)
		}
	}
	cc.start(wire.Stdin)
	cb.start(wire.Stdin, wire.Stdout)
	ca.start(wire.Stdout)
	ea, eb, ec := ca.ends(), cb.ends(), cc.ends()
	if ea[0].Out != n || eb[0].In != n || eb[0].Out != 0 || eb[1].In != 0 || eb[1].Out != n || ec[0].In != n {
		t.Errorf("a: %+v\nb: %+v\nc: %+v\nwant %d bytes over each hop", ea, eb, ec, n)
	}
	if got, want := strings.Fields(cc.stdout.String())[1], fmt.Sprint(n); got != want {
		t.Errorf("%s bytes arrived at the end, want %s", got, want)
	}
}

func TestAnEmptyOutputIsAnEmptyInput(t *testing.T) {
	a, b := pair(t)
	ca, cb := chained(t, a, b, program("true"), program("wc", "-c"))
	if e := ca.ends()[0]; e.Out != 0 || e.Status != 0 {
		t.Errorf("a: %+v", e)
	}
	cb.ends()
	if got := strings.TrimSpace(cb.stdout.String()); got != "0" {
		t.Errorf("%s bytes arrived", got)
	}
}

// A program that fails, or that dies by itself, has an end of output all the same,
// as in a shell.
func TestTheOutputOfAProgramThatFailsHasAnEnd(t *testing.T) {
	a, b := pair(t)
	for script, want := range map[string]wire.End{
		"echo x; exit 3":        {Status: 3, Out: 2},
		"echo x; kill -SEGV $$": {Signal: "SEGV", Out: 2},
	} {
		ca, cb := chained(t, a, b, program("sh", "-c", script), program("cat"))
		e := ca.ends()[0]
		if e.Status != want.Status || e.Signal != want.Signal || e.Out != want.Out {
			t.Errorf("%q ended with %+v, want %+v", script, e, want)
		}
		if e := cb.ends()[0]; e.Status != 0 || cb.stdout.String() != "x\n" {
			t.Errorf("after %q the reader ended with %+v and %q", script, e, cb.stdout.String())
		}
	}
}

func TestAReaderThatHasGoneEndsTheWriterOnTheOtherHost(t *testing.T) {
	a, b := pair(t)
	ca, cb := chained(t, a, b, program("yes"), program("head", "-1"))
	if e := cb.ends()[0]; e.Status != 0 || cb.stdout.String() != "y\n" {
		t.Errorf("b: %+v, %q", e, cb.stdout.String())
	}
	if e := ca.ends()[0]; e.Signal != "PIPE" || !e.Stopped {
		t.Errorf("a: %+v, want death by SIGPIPE, stopped", e)
	}
}

// A reader that closes its input and goes on is gone for the writer at once.
func TestAReaderThatOnlyClosesItsInputEndsTheWriter(t *testing.T) {
	a, b := pair(t)
	ca, cb := chained(t, a, b, program("yes"), program("sh", "-c", "exec <&-; exec sleep 100000"))
	if e := ca.ends()[0]; e.Signal != "PIPE" || !e.Stopped {
		t.Errorf("a: %+v, want death by SIGPIPE, stopped", e)
	}
	cb.signal("TERM")
	if e := cb.ends()[0]; e.Signal != "TERM" {
		t.Errorf("b: %+v, want the signal that it got", e)
	}
}

func TestAHopThatIsCutIsNoEndOfInput(t *testing.T) {
	for name, reset := range map[string]bool{"FIN": false, "RST": true} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			p := newProxy(t, b.address)
			link(a, b, p.address())
			w := newWitness(t)
			ca, cb := chained(t, a, b, program("yes"), w.program())
			until(t, "some bytes", func() bool { return w.size() > 1<<20 })
			p.cut(reset)
			l := cb.lost()
			if int64(l.In) < w.size() || l.Text == "" {
				t.Errorf("LOST tells of %d bytes, %q; %d were passed on", l.In, l.Text, w.size())
			}
			w.wantKilled()
			if e := ca.ends()[0]; e.Signal != "PIPE" || e.Stopped {
				t.Errorf("a: %+v, want death by SIGPIPE, not stopped", e)
			}
			until(t, "the log's telling", func() bool { return b.book.has("session lost", "hop_in=") })
			until(t, "the log's telling", func() bool { return a.book.has("hop lost", "to=b") })
		})
	}
}

// The loss of one hop goes on over the next, and no stage has an end of input.
func TestALossGoesOnAlongTheChain(t *testing.T) {
	a, b := pair(t)
	c := newTestHost(t, "c")
	p := newProxy(t, b.address)
	link(a, b, p.address())
	link(b, c, c.address)
	w := newWitness(t)
	ca := a.dial(t).accept(wire.Open{Programs: program("yes"), Out: true})
	cb := b.dial(t).accept(wire.Open{Programs: program("cat"), Out: true, In: &wire.Ticket{Secret: wire.NewSecret(), Peer: a.publicKey()}})
	cc := receive(t, b, c, w.program())
	if x, y := ca.hop(cb, "b"), cb.hop(cc, "c"); !x.Made || !y.Made {
		t.Fatal(x, y)
	}
	cc.start(wire.Stdin)
	cb.start(wire.Stdin, wire.Stdout)
	ca.start(wire.Stdout)
	until(t, "some bytes", func() bool { return w.size() > 1<<20 })
	p.cut(false)
	cb.lost()
	cc.lost()
	w.wantKilled()
	ca.ends()
}

func TestAHopThatIsCutBeforeStartLosesTheSession(t *testing.T) {
	a, b := pair(t)
	p := newProxy(t, b.address)
	link(a, b, p.address())
	w := newWitness(t)
	ca := a.dial(t).accept(wire.Open{Programs: program("yes"), Out: true})
	cb := receive(t, a, b, w.program())
	if h := ca.hop(cb, "b"); !h.Made {
		t.Fatal(h.Text)
	}
	p.cut(true)
	until(t, "the hop's end", func() bool { return b.tickets.taken(b.ticketOf(cb)).wire.Err() != nil })
	cb.start(wire.Stdin)
	if l := cb.lost(); l.In != 0 {
		t.Errorf("LOST tells of %d bytes", l.In)
	}
	if w.pid() != 0 {
		t.Error("the program has run")
	}
	ca.start(wire.Stdout)
	if e := ca.ends()[0]; e.Signal != "PIPE" || e.Stopped {
		t.Errorf("a: %+v, want death by SIGPIPE, not stopped", e)
	}
}

func TestAClientThatIsLostEndsBothHostsWithoutAnEndOfInput(t *testing.T) {
	for name, lose := range map[string]func(ca, cb *testCaller){
		"both":    func(ca, cb *testCaller) { ca.wire.Close(); cb.wire.Close() },
		"of a":    func(ca, _ *testCaller) { ca.wire.Close() },
		"of b":    func(_, cb *testCaller) { cb.wire.Close() },
		"b first": func(ca, cb *testCaller) { cb.wire.Close(); ca.wire.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			wa, wb := newWitness(t), newWitness(t)
			ca, cb := chained(t, a, b, wa.idle(), wb.program())
			until(t, "both programs' running", func() bool { return wa.pid() != 0 && wb.pid() != 0 })
			lose(ca, cb)
			if name == "of a" {
				cb.lost()
			}
			wb.wantKilled()
			if name == "of b" {
				ca.wire.Close()
			}
			wa.wantKilled()
			if wb.sawEnd() {
				t.Error("the program has seen an end of its input")
			}
		})
	}
}

// Programs that a signal of the client's ends have not said that their output is
// whole.
func TestAProgramThatTheClientKillsHasNoEndOfOutput(t *testing.T) {
	for _, name := range []string{"KILL", "TERM", "INT", "HUP", "QUIT"} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			wa, wb := newWitness(t), newWitness(t)
			ca, cb := chained(t, a, b, wa.idle(), wb.program())
			until(t, "both programs' running", func() bool { return wa.pid() != 0 && wb.pid() != 0 })
			ca.signal(name)
			if e := ca.ends()[0]; e.Signal != name || e.Stopped {
				t.Errorf("a: %+v, want the signal, not stopped", e)
			}
			cb.lost()
			wb.wantKilled()
		})
	}
}

func TestASignalThatEndsNoProgramLeavesTheHop(t *testing.T) {
	a, b := pair(t)
	w := newWitness(t)
	ca, cb := chained(t, a, b, program("sh", "-c",
		`trap 'echo got; exit 0' USR1; echo $$ >"$1/pid"; while :; do sleep 0.01; done`, "sh", w.folder), program("cat"))
	until(t, "the program's running", func() bool { return w.pid() != 0 })
	ca.signal("USR1")
	ca.ends()
	cb.ends()
	if got := cb.stdout.String(); got != "got\n" {
		t.Errorf("the reader got %q", got)
	}
}

func TestTheClientRelaysWhereNoHopCanBeMade(t *testing.T) {
	closed := func(t *testing.T, _, _ *testHost) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	silent := func(t *testing.T, _, _ *testHost) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ln.Close() })
		return ln.Addr().String() // the kernel accepts
	}
	other := func(t *testing.T, a, _ *testHost) string { return a.address }
	for name, test := range map[string]struct {
		address func(t *testing.T, a, b *testHost) string
		text    string
	}{
		"nobody listens": {closed, `this host cannot connect to "b": connect: connection refused`},
		"no answer":      {silent, `this host cannot connect to "b": no answer in 300ms`},
		"another host":   {other, `this host cannot connect to "b": another host answers there: its key is SHA256:`},
		"not listed":     {nil, `this host may not connect to "b": its administrator would list the key SHA256:`},
	} {
		t.Run(name, func(t *testing.T) {
			leaveNothing(t)
			short := func(s *Server) { s.hopTimeout = 300 * time.Millisecond }
			a, b := newTestHost(t, "a", short), newTestHost(t, "b")
			if test.address != nil {
				link(a, b, test.address(t, a, b))
			}
			const n = 3 << 20
			ca := a.dial(t).accept(wire.Open{Programs: program("head", "-c", fmt.Sprint(n), "/dev/zero"), Out: true})
			cb := receive(t, a, b, program("wc", "-c"))
			if h := ca.hop(cb, "b"); h.Made || !strings.HasPrefix(h.Text, test.text) {
				t.Fatalf("made: %v, text %q, want %q", h.Made, h.Text, test.text)
			}
			if !a.book.has("hop", "name=b") {
				t.Error("the log does not tell")
			}
			cb.send(wire.Frame{Type: wire.TypeRelay})
			cb.start()
			pr, pw := io.Pipe()
			relayed := make(chan error, 1)
			go func() {
				_, err := cb.session.Stdin.ReadFrom(pr)
				if err == nil {
					err = cb.session.Stdin.Close()
				}
				relayed <- err
			}()
			ca.send(wire.Frame{Type: wire.TypeStart})
			_, err := ca.session.Stdout.WriteTo(pw)
			pw.CloseWithError(err)
			if err := <-relayed; err != nil {
				t.Error(err)
			}
			if e := ca.ends()[0]; e.Out != n || e.Stopped {
				t.Errorf("a: %+v", e)
			}
			if e := cb.ends()[0]; e.In != n {
				t.Errorf("b: %+v", e)
			}
			if got := strings.TrimSpace(cb.stdout.String()); got != fmt.Sprint(n) {
				t.Errorf("%s bytes arrived", got)
			}
		})
	}
}

func TestRelayDropsAHopThatWasTaken(t *testing.T) {
	a, b := pair(t)
	ca := a.dial(t).accept(wire.Open{Programs: program("yes"), Out: true})
	cb := receive(t, a, b, program("cat"))
	if h := ca.hop(cb, "b"); !h.Made {
		t.Fatal(h.Text)
	}
	cb.send(wire.Frame{Type: wire.TypeRelay})
	cb.start()
	if _, err := io.WriteString(cb.session.Stdin, "relayed"); err != nil {
		t.Fatal(err)
	}
	if err := cb.session.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if e := cb.ends()[0]; e.In != 7 || cb.stdout.String() != "relayed" {
		t.Errorf("b: %+v, %q", e, cb.stdout.String())
	}
	ca.start(wire.Stdout)
	if e := ca.ends()[0]; e.Signal != "PIPE" || e.Stopped {
		t.Errorf("a: %+v, want death by SIGPIPE, not stopped", e)
	}
}

// short has the two ends give each other up soon.
func short(s *Server) { s.IdleTimeout, s.DeadTimeout = 100*time.Millisecond, 2*time.Second }

func TestASlowReaderAtTheEndOfAHopLives(t *testing.T) {
	a, b := pair(t, short)
	const n = 32 << 20
	ca, cb := chained(t, a, b, program("head", "-c", fmt.Sprint(n), "/dev/zero"), program("sh", "-c", "sleep 4; wc -c"))
	if e := cb.ends()[0]; e.In != n || strings.TrimSpace(cb.stdout.String()) != fmt.Sprint(n) {
		t.Errorf("b: %+v, %q", e, cb.stdout.String())
	}
	if e := ca.ends()[0]; e.Out != n || e.Status != 0 {
		t.Errorf("a: %+v", e)
	}
}

func TestAPeerThatFallsSilentIsALoss(t *testing.T) {
	for name, from := range map[string][]wire.Program{"idle": program("sleep", "100000"), "full": program("yes")} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, short)
			p := newProxy(t, b.address)
			link(a, b, p.address())
			w := newWitness(t)
			ca, cb := chained(t, a, b, from, w.program())
			until(t, "the program's running", func() bool { return w.pid() != 0 })
			p.stall()
			if l := cb.lost(); !strings.Contains(l.Text, "nothing heard") {
				t.Errorf("LOST says %q", l.Text)
			}
			w.wantKilled()
			if name == "full" {
				if e := ca.ends()[0]; e.Signal != "PIPE" || e.Stopped {
					t.Errorf("a: %+v, want death by SIGPIPE, not stopped", e)
				}
			}
		})
	}
}
