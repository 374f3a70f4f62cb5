package wire

import (
	"bytes"
	"io"
	"testing"
)

func TestStalledReaderHoldsUpNothingButItsStream(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			client, server := pairOver(t, tr)
			cs, ss := client.begin(), server.begin()
			// Nobody reads stdin there, and stdout here.
			in, out := newPattern(3*InitialWindow), newPattern(3*InitialWindow)
			inCheck, outCheck := in.clone(), out.clone()
			sentIn := run(func() error { return in.sendTo(cs.Stdin, ChunkLen) })
			sentOut := run(func() error { return out.sendTo(ss.Output, 1000) })
			until(t, "stdin's being full", func() bool { return ss.Input.Received() == InitialWindow })
			until(t, "stdout's being full", func() bool { return cs.Stdout.Received() == InitialWindow })

			f, _ := SignalFrame("INT")
			if err := client.Send(f); err != nil {
				t.Fatal(err)
			}
			if got := await(t, "SIGNAL", server.control); got.Type != TypeSignal {
				t.Errorf("got %v, want SIGNAL", got.Type)
			}
			text := newPattern(5 * InitialWindow)
			check := text.clone()
			sentErr := run(func() error { return text.sendTo(ss.Error, 4096) })
			if err := await(t, "stderr", run(func() error { return check.take(cs.Stderr) })); err != nil {
				t.Errorf("stderr: %v", err)
			}
			if err := <-sentErr; err != nil {
				t.Errorf("stderr: %v", err)
			}

			if in, out := cs.Stdin.Sent(), ss.Output.Sent(); in != InitialWindow || out != InitialWindow {
				t.Errorf("%d bytes of stdin and %d of stdout were sent on a credit of %d", in, out, InitialWindow)
			}
			if n, most := ss.Input.chunks()+cs.Stdout.chunks(), 2*(InitialWindow/(MaxPayload-minRoom)+1); n > most {
				t.Errorf("%d chunks are held, more than %d", n, most)
			}

			checked := run(func() error { return inCheck.take(ss.Input) })
			if err := outCheck.take(cs.Stdout); err != nil {
				t.Errorf("stdout: %v", err)
			}
			for what, c := range map[string]<-chan error{"stdin": checked, "sending stdin": sentIn, "sending stdout": sentOut} {
				if err := await(t, what, c); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestPingIsAnsweredWhileTheReaderStalls(t *testing.T) {
	c, p := newPeer(t, Server)
	c.begin()
	for range InitialWindow / MaxPayload {
		p.send(data(Stdin, string(make([]byte, MaxPayload))))
	}
	if got := p.settle(); len(got) > 0 {
		t.Errorf("before the answer came %q", got)
	}
}

// No lengths of frames let a peer take much more memory than its credit.
func TestMemoryIsBoundedWhateverTheLengthsOfFrames(t *testing.T) {
	// Full chunks but for minRoom, and the first and the last in part.
	const most = InitialWindow/(MaxPayload-minRoom) + 2
	for _, lengths := range [][]int{{1}, {2, 1}, {MaxPayload/2 + 1}, {MaxPayload, 1}, {ChunkLen}, {MaxPayload - 1, 2}, {61_441, 4096}} {
		a := NewConn(nil, quiet(Server))
		r := newReceiver(a, Stdin)
		for left, i := InitialWindow, 0; left > 0; i++ {
			n := min(lengths[i%len(lengths)], left)
			if err := r.accept(n); err != nil {
				t.Fatal(err)
			}
			for k := n; k > 0; {
				p := r.room(k)
				r.commit(len(p))
				k -= len(p)
			}
			left -= n
		}
		if got := r.chunks(); got > most {
			t.Errorf("frames of %v bytes take %d chunks, want at most %d", lengths, got, most)
		}
		if err := r.accept(1); err == nil {
			t.Errorf("frames of %v bytes pass the credit", lengths)
		}
	}
}

func TestShortFramesAreGatheredIntoLongWrites(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	for range 1000 {
		p.send(data(Stdin, "x"))
	}
	p.send(eof(Stdin, 1000))
	p.settle()
	var writes countingWriter
	if n, err := s.Input.WriteTo(&writes); n != 1000 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	if writes != 1 {
		t.Errorf("%d writes for bytes that were all there, want 1", writes)
	}
}

type countingWriter int

func (c *countingWriter) Write(p []byte) (int, error) { *c++; return len(p), nil }

// feed sends n bytes as the peer of a Conn.
func (p *peer) feed(s Stream, n int) {
	p.t.Helper()
	for n > 0 {
		k := min(n, ChunkLen)
		p.send(data(s, string(make([]byte, k))))
		n -= k
	}
}

// grow feeds a stream whose reader keeps up, and returns the credit it got on
// each quarter of the window, until the window has not grown for three of them.
func (p *peer) grow(r *Receiver) (window int) {
	p.t.Helper()
	window = InitialWindow
	for still := 0; still < 3; {
		p.feed(r.id, window/4)
		f, err := ReadFrame(p.Conn)
		if err != nil || f.Type != TypeWindow {
			p.t.Fatalf("got %v, %v, want WINDOW", f.Type, err)
		}
		if more := int(credit(f.Payload)) - window/4; more > 0 {
			window += more
			still = 0
		} else {
			still++
		}
	}
	return window
}

func TestWindowOfAReaderThatKeepsUpGrowsToTheLargest(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	go s.Input.WriteTo(io.Discard)
	if got := p.grow(s.Input); got != MaxWindow {
		t.Errorf("it grew to %d, want %d", got, MaxWindow)
	}
}

func TestWindowGrowsWhileTheNextFrameIsUnderWay(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	go s.Input.WriteTo(io.Discard)
	// The header of a frame, and not its end, is there when the reader has
	// caught up: so it always is on a long fat network.
	frame, err := AppendFrame(nil, data(Stdin, "next"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := AppendFrame(nil, data(Stdin, string(make([]byte, MaxPayload))))
	if err != nil {
		t.Fatal(err)
	}
	p.Write(append(first, frame[:HeaderLen+1]...))
	p.want("WINDOW stdin 327680") // what was read, and as much as the window was
	p.Write(frame[HeaderLen+1:])
}

func TestWindowOfAReaderThatLagsDoesNotGrow(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	p.feed(Stdin, InitialWindow)
	p.settle() // all of it is there before the first is read
	go s.Input.WriteTo(io.Discard)
	for left := InitialWindow; left > ChunkLen; {
		f, err := ReadFrame(p.Conn)
		if err != nil || f.Type != TypeWindow {
			t.Fatalf("got %v, %v, want WINDOW", f.Type, err)
		}
		left -= int(credit(f.Payload))
		if left < 0 {
			t.Errorf("%d bytes of credit more than were read", -left)
		}
	}
}

func TestBudgetBoundsTheGrowthAndIsGivenBack(t *testing.T) {
	const all = 1 << 20 // enough for 256 KiB and 512 KiB more
	budget := NewBudget(all)
	for name, over := range map[string]func(c *end, p *peer, s *Session){
		"End":   func(c *end, _ *peer, s *Session) { c.End() },
		"Close": func(c *end, _ *peer, s *Session) { c.Close() },
		"Stop":  func(_ *end, _ *peer, s *Session) { s.Input.Stop() },
		"EOF": func(_ *end, p *peer, s *Session) {
			p.send(eof(Stdin, s.Input.Received()))
			p.settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quiet(Server)
			o.Budget = budget
			c, p := newPeerWith(t, o)
			s := c.begin()
			go s.Input.WriteTo(io.Discard)
			if got := p.grow(s.Input); got != 1<<20 {
				t.Errorf("the window grew to %d, want 1 MiB", got)
			}
			if left := budget.left.Load(); left != 256<<10 {
				t.Errorf("%d bytes are left of the budget, want 256 KiB", left)
			}
			over(c, p, s)
			if left := budget.left.Load(); left != all {
				t.Errorf("%d bytes are left of the budget, want all %d again", left, all)
			}
		})
	}
}

func TestReaderThatGoesOnAfterTheEndTakesNoBudgetAndSendsNothing(t *testing.T) {
	const all = 1 << 30
	o := quiet(Server)
	o.Budget = NewBudget(all)
	c, p := newPeerWith(t, o)
	s := c.begin()
	p.feed(Stdin, InitialWindow)
	p.settle()
	hold, got := make(chan struct{}), make(chan struct{})
	read := run(func() error {
		_, err := s.Input.WriteTo(gate{got, hold})
		return err
	})
	await(t, "the first bytes", got)
	c.End()
	close(hold)
	if err := await(t, "WriteTo", read); err != ErrClosed {
		t.Errorf("WriteTo gave %v, want ErrClosed", err)
	}
	if left := o.Budget.left.Load(); left != all {
		t.Errorf("%d bytes are left of the budget, want all %d", left, all)
	}
	s.Input.Stop()
	if got := p.settle(); len(got) > 0 {
		t.Errorf("after End came %q", got)
	}
}

// gate is a writer that says when it got something, and then waits.
type gate struct{ got, hold chan struct{} }

func (g gate) Write(p []byte) (int, error) {
	select {
	case g.got <- struct{}{}:
	case <-g.hold:
	}
	<-g.hold
	return len(p), nil
}

func TestErrorOfTheWriterKeepsTheRest(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	p.send(data(Stdin, "hello world"), eof(Stdin, 11))
	p.settle()
	var b bytes.Buffer
	n, err := s.Input.WriteTo(&shortWriter{&b, 6})
	if n != 6 || err != io.ErrShortWrite {
		t.Errorf("WriteTo gave %d, %v, want 6, io.ErrShortWrite", n, err)
	}
	if n, err := s.Input.WriteTo(&b); n != 5 || err != nil {
		t.Errorf("the next WriteTo gave %d, %v, want 5, nil", n, err)
	}
	if b.String() != "hello world" {
		t.Errorf("written %q, want each byte once", b.String())
	}
}

// shortWriter takes left bytes and no more.
type shortWriter struct {
	w    io.Writer
	left int
}

func (s *shortWriter) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	return s.w.Write(p[:n])
}

func TestReadFromTakesNoMoreThanItsCredit(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	source := newPattern(2 * InitialWindow)
	read := run(func() error { _, err := s.Stdin.ReadFrom(source); return err })
	for left := InitialWindow; left > 0; {
		f, err := ReadFrame(p.Conn)
		if err != nil {
			t.Fatal(err)
		}
		left -= len(f.Payload)
	}
	if source.left != InitialWindow {
		t.Errorf("%d bytes were taken on a credit of %d", source.total-source.left, InitialWindow)
	}
	p.send(stop(Stdin))
	if err := await(t, "ReadFrom", read); err != ErrStopped {
		t.Errorf("ReadFrom gave %v, want ErrStopped", err)
	}
	if source.left != InitialWindow {
		t.Error("bytes were taken after STOP")
	}
}
