package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestHopCarriesStdinToItsEndAndNothingElse(t *testing.T) {
	const n = 20 << 20
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			taker, server := pairOver(t, tr)
			ts := taker.BeginHop()
			ss := server.BeginHop()
			if err := server.Send(Frame{Type: TypeTaken}); err != nil {
				t.Fatal(err)
			}
			if f := await(t, "TAKEN", taker.control); f.Type != TypeTaken {
				t.Fatalf("got %v", f.Type)
			}
			if ts.Stdout != nil || ts.Stderr != nil || ss.Output != nil || ss.Error != nil {
				t.Error("a hop has other streams than stdin")
			}
			p := newPattern(n)
			check := p.clone()
			sent := run(func() error {
				if _, err := ts.Stdin.ReadFrom(p); err != nil {
					return err
				}
				return ts.Stdin.Close()
			})
			if err := check.take(ss.Input); err != nil {
				t.Error(err)
			}
			if err := await(t, "the sender", sent); err != nil {
				t.Error(err)
			}
			if !ss.Input.Complete() || ss.Input.Received() != n {
				t.Errorf("complete: %v, after %d bytes", ss.Input.Complete(), ss.Input.Received())
			}
		})
	}
}

func TestHopThatIsCutIsNoEnd(t *testing.T) {
	taker, server := pairOver(t, transports()[0])
	ts, ss := taker.beginHop(), server.beginHop()
	if _, err := io.WriteString(ts.Stdin, "part"); err != nil {
		t.Fatal(err)
	}
	ts.Stdin.Abort()
	taker.Close()
	var got strings.Builder
	if _, err := ss.Input.WriteTo(&got); err != io.ErrUnexpectedEOF || got.String() != "part" {
		t.Errorf("read %q, %v, want io.ErrUnexpectedEOF after all that came", got.String(), err)
	}
	if ss.Input.Complete() {
		t.Error("the stream is complete without EOF")
	}
}

func TestReaderThatHasGoneStopsTheTaker(t *testing.T) {
	taker, server := pairOver(t, transports()[0])
	ts, ss := taker.beginHop(), server.beginHop()
	ss.Input.Stop()
	await(t, "Over", ts.Stdin.Over())
	if !ts.Stdin.Stopped() {
		t.Error("the taker does not know that it was stopped")
	}
	if err := ts.Stdin.Close(); err != ErrStopped {
		t.Errorf("Close gave %v, want ErrStopped", err)
	}
}

func TestDivertedStreamIsNotOnTheConnection(t *testing.T) {
	client, server := pairOver(t, transports()[0])
	cs, ss := client.begin(), server.begin()
	for _, s := range []*Session{cs, ss} {
		s.Divert(Stdin)
		s.Divert(Stdout)
	}
	if _, err := cs.Stdin.Write([]byte("x")); err != ErrDiverted {
		t.Errorf("Write to stdin gave %v, want ErrDiverted", err)
	}
	if err := cs.Stdin.Close(); err != ErrDiverted {
		t.Errorf("Close of stdin gave %v, want ErrDiverted", err)
	}
	if err := ss.Output.Close(); err != ErrDiverted {
		t.Errorf("Close of stdout gave %v, want ErrDiverted", err)
	}
	if _, err := cs.Stdout.WriteTo(io.Discard); err != ErrDiverted {
		t.Errorf("WriteTo from stdout gave %v, want ErrDiverted", err)
	}
	ss.Input.Stop()
	cs.Stdout.Stop()
	if cs.Complete() {
		t.Error("complete before the EOF of stderr")
	}
	if err := ss.Error.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the session's being complete", cs.Complete)
	if err := errors.Join(client.Err(), server.Err()); err != nil {
		t.Error(err)
	}
}

func TestStartDoesNotOpenAHopNorTakenASession(t *testing.T) {
	for _, test := range []struct {
		begin   func(*Conn) *Session
		send    Type
		problem string
	}{
		{(*Conn).BeginHop, TypeStart, "DATA of stdin before TAKEN"},
		{(*Conn).Begin, TypeTaken, "DATA of stdin before START"},
	} {
		c, p := newPeer(t, Server)
		test.begin(c.Conn)
		if test.send == TypeStart {
			p.send(Frame{Type: TypeStart})
		} else if err := c.Send(Frame{Type: TypeTaken}); err != nil {
			t.Fatal(err)
		}
		p.send(data(Stdin, "x"))
		wantProblem(t, c, test.problem)
	}
}

func TestLostIsNotSentInsideASession(t *testing.T) {
	c, _ := newPeer(t, Server)
	c.begin()
	if err := c.Send(Lost{}.Frame()); err == nil {
		t.Error("LOST was sent while the session's streams may still send")
	}
	c.End()
	if err := c.Send(Lost{}.Frame()); err != nil {
		t.Error(err)
	}
}

func TestDigestIsOfThePrograms(t *testing.T) {
	programs := []Program{{Name: "load", Args: []string{"a", "b"}, Env: []Env{{Name: "TZ", Value: "UTC"}}}}
	o := Open{Programs: programs}
	digest := o.Digest()
	o.Out, o.In = true, &Ticket{Secret: NewSecret(), Peer: []byte("key")}
	if o.Digest() != digest {
		t.Error("the digest depends on where input and output are")
	}
	frames, err := o.Frames()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeOpen(gather(t, frames))
	if err != nil {
		t.Fatal(err)
	}
	if got.Digest() != digest {
		t.Error("what arrives has another digest")
	}
	seen := map[Digest]bool{digest: true, {}: true}
	for _, other := range [][]Program{
		{{Name: "loa", Args: []string{"d", "a", "b"}}},
		{{Name: "load", Args: []string{"a", "b"}}},
		{{Name: "load", Args: []string{"ab"}}},
		{{Name: "load", Args: []string{"a"}}, {Name: "b"}},
		{{Name: "load", Args: []string{"a", "b"}, Env: []Env{{Name: "TZ", Value: "UTC", Required: true}}}},
	} {
		d := Open{Programs: other}.Digest()
		if seen[d] {
			t.Errorf("%+v has the digest of something else", other)
		}
		seen[d] = true
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := NewSecret()
	hop := Hop{Name: "b", Secret: s}
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		if a, b := fmt.Sprintf(verb, hop), fmt.Sprintf(verb, Hop{Name: "b"}); a != b {
			t.Errorf("%s tells one secret from another: %q", verb, a)
		}
	}
	if s == NewSecret() {
		t.Error("two secrets are the same")
	}
}

func TestHopThatCannotBeSaidIsAnErrorWhereItIsMade(t *testing.T) {
	key := []byte("key")
	for name, h := range map[string]Hop{
		"no name":     {Peer: key},
		"long name":   {Name: strings.Repeat("n", MaxPeerName+1), Peer: key},
		"NUL in name": {Name: "a\x00", Peer: key},
		"no key":      {Name: "a"},
		"long key":    {Name: "a", Peer: bytes.Repeat(key, MaxPeerKey)},
	} {
		if _, err := h.Frame(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
	for _, peer := range [][]byte{nil, make([]byte, MaxPeerKey+1)} {
		o := one(Program{Name: "x"})
		o.In = &Ticket{Peer: peer}
		if _, err := o.Frames(); err == nil {
			t.Errorf("a ticket with a key of %d bytes: encoded", len(peer))
		}
	}
}

func TestLongestTextsArrive(t *testing.T) {
	long := strings.Repeat("é", MaxText)
	h, err := DecodeHopped(Hopped{Text: long}.Frame().Payload)
	if err != nil || len(h.Text) != MaxText {
		t.Errorf("HOPPED arrived with %d bytes, %v", len(h.Text), err)
	}
	l, err := DecodeLost(Lost{Text: long}.Frame().Payload)
	if err != nil || len(l.Text) != MaxText {
		t.Errorf("LOST arrived with %d bytes, %v", len(l.Text), err)
	}
	if h, err := DecodeHopped(Hopped{Made: true, Text: "why"}.Frame().Payload); err != nil || h.Text != "" {
		t.Errorf("a made hop has the text %q, %v", h.Text, err)
	}
}
