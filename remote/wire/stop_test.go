package wire

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
)

func TestStopEndsAWriterThatWaitsForCredit(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			client, server := pairOver(t, tr)
			cs, ss := client.begin(), server.begin()
			in := run(func() error { return newPattern(1<<30).sendTo(cs.Stdin, ChunkLen) })
			out := run(func() error { return newPattern(1<<30).sendTo(ss.Output, ChunkLen) })
			until(t, "stdin's being full", func() bool { return ss.Input.Received() == InitialWindow })
			until(t, "stdout's being full", func() bool { return cs.Stdout.Received() == InitialWindow })
			ss.Input.Stop()
			cs.Stdout.Stop()
			if err := await(t, "the writer of stdin", in); err != ErrStopped {
				t.Errorf("it got %v, want ErrStopped", err)
			}
			if err := await(t, "the writer of stdout", out); err != ErrStopped {
				t.Errorf("it got %v, want ErrStopped", err)
			}
			await(t, "Over", ss.Output.Over())
			if err := cs.Stdin.Close(); err != ErrStopped {
				t.Errorf("Close of stdin gave %v, want ErrStopped", err)
			}
			if err := ss.Output.Close(); err != nil {
				t.Errorf("Close of stdout gave %v", err)
			}
			if err := ss.Error.Close(); err != nil {
				t.Errorf("Close of stderr gave %v", err)
			}
			until(t, "the outputs' being complete", cs.Complete)
			if n := cs.Stdout.Received(); n != ss.Output.Sent() {
				t.Errorf("%d bytes of stdout counted, %d sent", n, ss.Output.Sent())
			}
		})
	}
}

func TestStopEndsAReader(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	read := run(func() error { _, err := s.Stdout.WriteTo(io.Discard); return err })
	s.Stdout.Stop()
	if err := await(t, "WriteTo", read); err != ErrStopped {
		t.Errorf("WriteTo gave %v, want ErrStopped", err)
	}
	p.want("STOP stdout")
}

func TestStopIsSaidOnceAndNotAfterTheEnd(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	p.send(eof(Stdout, 0))
	p.settle()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(s.Stderr.Stop)
		wg.Go(s.Stdout.Stop)
	}
	wg.Wait()
	if got, want := p.settle(), []string{"STOP stderr"}; !slices.Equal(got, want) {
		t.Errorf("the peer got %q, want %q", got, want)
	}
	if _, err := s.Stdout.WriteTo(io.Discard); err != ErrStopped {
		t.Errorf("WriteTo gave %v, want ErrStopped", err)
	}
}

func TestNoCreditIsGivenAfterStop(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	p.feed(Stdin, InitialWindow/2)
	p.settle()
	got, hold := make(chan struct{}), make(chan struct{})
	read := run(func() error { _, err := s.Input.WriteTo(gate{got, hold}); return err })
	await(t, "the first bytes", got)
	s.Input.Stop()
	close(hold)
	await(t, "WriteTo", read)
	p.feed(Stdin, InitialWindow/2) // was on its way
	if got, want := p.settle(), []string{"STOP stdin"}; !slices.Equal(got, want) {
		t.Errorf("the peer got %q, want %q", got, want)
	}
	if n := s.Input.Received(); n != InitialWindow {
		t.Errorf("%d bytes counted, want those dropped too", n)
	}
	p.send(eof(Stdin, InitialWindow))
	p.settle()
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestDroppedBytesAreHeldByNobody(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	p.feed(Stdin, InitialWindow/2)
	p.settle()
	s.Input.Stop()
	if n := s.Input.chunks(); n != 0 {
		t.Errorf("%d chunks are held after Stop", n)
	}
	p.feed(Stdin, InitialWindow/2)
	p.settle()
	if n := s.Input.chunks(); n != 0 {
		t.Errorf("%d chunks are held of what came after Stop", n)
	}
}

// What WriteTo passes on must not change under the writer's hands, though it was
// dropped and more came.
func TestStopLeavesTheWriterItsBytes(t *testing.T) {
	for range 10 {
		client, server := pairOver(t, transport{"tcp", tcpPair})
		cs, ss := client.begin(), server.begin()
		check := newPattern(1 << 30)
		sent := run(func() error { return check.clone().sendTo(ss.Output, 5000) })
		other := run(func() error { return newPattern(1<<20).sendTo(ss.Error, 5000) })
		read := run(func() error { return check.take(cs.Stdout) })
		otherRead := run(func() error { _, err := cs.Stderr.WriteTo(io.Discard); return err })
		until(t, "some bytes", func() bool { return cs.Stdout.Received() > 1<<20 })
		cs.Stdout.Stop()
		if err := await(t, "the reader", read); err != ErrStopped {
			t.Fatalf("reader: %v, want ErrStopped", err)
		}
		if err := await(t, "the writer", sent); err != ErrStopped {
			t.Fatalf("writer: %v, want ErrStopped", err)
		}
		if err := errors.Join(await(t, "stderr", other), await(t, "stderr", otherRead)); err != nil {
			t.Fatal(err)
		}
		client.Close()
		server.Close()
	}
}

func TestServerEndsAStoppedStreamOnce(t *testing.T) {
	c, p := newPeer(t, Server)
	s := c.begin()
	if _, err := s.Output.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	p.want(`DATA stdout "abc"`)
	p.send(stop(Stdout))
	p.settle()
	if _, err := s.Output.Write([]byte("d")); err != ErrStopped {
		t.Errorf("Write gave %v, want ErrStopped", err)
	}
	if err := s.Output.Close(); err != nil {
		t.Errorf("Close gave %v", err)
	}
	if err := s.Output.Close(); err != io.ErrClosedPipe {
		t.Errorf("the second Close gave %v, want io.ErrClosedPipe", err)
	}
	if got, want := p.settle(), []string{"EOF stdout 3"}; !slices.Equal(got, want) {
		t.Errorf("the peer got %q, want %q", got, want)
	}
}

func TestClientSaysNothingAfterStop(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	p.send(stop(Stdin))
	p.settle()
	if _, err := s.Stdin.Write([]byte("x")); err != ErrStopped {
		t.Errorf("Write gave %v, want ErrStopped", err)
	}
	if err := s.Stdin.Close(); err != ErrStopped {
		t.Errorf("Close gave %v, want ErrStopped", err)
	}
	if got := p.settle(); len(got) > 0 {
		t.Errorf("the peer got %q", got)
	}
}

func TestStopAfterEOFIsNoError(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		c, p := newPeer(t, role)
		s := c.begin()
		id := Stdin
		if role == Server {
			id = Stdout
		}
		if err := s.sender(id).Close(); err != nil {
			t.Fatal(err)
		}
		p.want(fmt.Sprintf("EOF %v 0", id))
		p.send(stop(id), windowFrame(id, 1000)) // they crossed it
		p.settle()
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingOfAStreamIsSentAfterEnd(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		for _, stopped := range []bool{false, true} {
			c, p := newPeer(t, role)
			s := c.begin()
			for id := range Stream(streams) {
				if stopped && s.sender(id) != nil {
					p.send(stop(id))
				}
			}
			p.settle()
			c.End()
			for id := range Stream(streams) {
				if x := s.sender(id); x != nil {
					if _, err := x.Write([]byte("x")); err == nil {
						t.Errorf("Write to %v after End gave no error", id)
					}
					if err := x.Close(); err == nil {
						t.Errorf("Close of %v after End gave no error", id)
					}
				} else {
					s.receiver(id).Stop()
				}
			}
			if got := p.settle(); len(got) > 0 {
				t.Errorf("after End the peer got %q", got)
			}
		}
	}
}

func TestAbortIsNeverFollowedByEOF(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		for _, stopped := range []bool{false, true} {
			c, p := newPeer(t, role)
			s := c.begin()
			id := Stdin
			if role == Server {
				id = Stdout
			}
			x := s.sender(id)
			if stopped {
				p.send(stop(id))
				p.settle()
			}
			x.Abort()
			await(t, "Over", x.Over())
			if _, err := x.Write([]byte("x")); err != ErrAborted {
				t.Errorf("Write gave %v, want ErrAborted", err)
			}
			if err := x.Close(); err != ErrAborted {
				t.Errorf("Close gave %v, want ErrAborted", err)
			}
			x.Abort()
			if got := p.settle(); len(got) > 0 {
				t.Errorf("after Abort the peer got %q", got)
			}
			c.Close()
			if err := x.Close(); err != ErrAborted {
				t.Errorf("Close after the connection's end gave %v, want ErrAborted", err)
			}
		}
	}
}

func TestAbortEndsAWriterThatWaitsForCredit(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	write := run(func() error { return newPattern(1<<20).sendTo(s.Stdin, ChunkLen) })
	for left := InitialWindow; left > 0; {
		f, err := ReadFrame(p.Conn)
		if err != nil {
			t.Fatal(err)
		}
		left -= len(f.Payload)
	}
	s.Stdin.Abort()
	if err := await(t, "Write", write); err != ErrAborted {
		t.Errorf("Write gave %v, want ErrAborted", err)
	}
	p.send(windowFrame(Stdin, 1<<20))
	if got := p.settle(); len(got) > 0 {
		t.Errorf("after Abort the peer got %.100q", got)
	}
}

// Of Abort and Close at the same time the first decides, and Close says which.
func TestAbortAndCloseAreInAnOrder(t *testing.T) {
	c, p := newPeer(t, Client)
	for range 100 {
		s := c.begin()
		closed := run(s.Stdin.Close)
		s.Stdin.Abort()
		err := <-closed
		got := p.settle()
		switch {
		case err == nil && slices.Equal(got, []string{"EOF stdin 0"}):
		case err == ErrAborted && len(got) == 0:
		default:
			t.Fatalf("Close gave %v, and the peer got %q", err, got)
		}
		c.End()
	}
}

func TestWriteAfterCloseIsAnError(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	if err := s.Stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stdin.Write([]byte("x")); err != io.ErrClosedPipe {
		t.Errorf("Write gave %v, want io.ErrClosedPipe", err)
	}
	if err := s.Stdin.Close(); err != io.ErrClosedPipe {
		t.Errorf("the second Close gave %v, want io.ErrClosedPipe", err)
	}
	if got, want := p.settle(), []string{"EOF stdin 0"}; !slices.Equal(got, want) {
		t.Errorf("the peer got %q, want %q", got, want)
	}
}
