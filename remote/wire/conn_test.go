package wire

import (
	"errors"
	"flag"
	"io"
	"net"
	"strings"
	"testing"

	"rpipe/remote/wire/wiretest"
)

var bulk = flag.Int64("bulk", 256<<20, "bytes that go each way in the test of both ways at once")

func TestBytesArriveUnchangedBothWaysAtOnce(t *testing.T) {
	n := *bulk
	if testing.Short() {
		n = min(n, 8<<20)
	}
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			client, server := pairOver(t, tr)
			cs, ss := client.begin(), server.begin()
			in, out, errs := newPattern(n), newPattern(n), newPattern(n/16)
			inCheck, outCheck, errsCheck := in.clone(), out.clone(), errs.clone()
			results := []<-chan error{
				run(func() error { return in.sendTo(cs.Stdin, 100_000) }),
				run(func() error {
					if _, err := ss.Output.ReadFrom(out); err != nil {
						return err
					}
					return ss.Output.Close()
				}),
				run(func() error { return errs.sendTo(ss.Error, 777) }),
				run(func() error { return inCheck.take(ss.Input) }),
				run(func() error { return outCheck.take(cs.Stdout) }),
				run(func() error { return errsCheck.take(cs.Stderr) }),
			}
			for i, c := range results {
				if err := <-c; err != nil {
					t.Errorf("stream %d: %v", i, err)
				}
			}
			if !cs.Complete() {
				t.Error("the outputs are not complete after their EOF")
			}
			if got := ss.Input.Received(); got != uint64(n) || cs.Stdin.Sent() != got {
				t.Errorf("sent %d, received %d, want %d", cs.Stdin.Sent(), got, n)
			}
		})
	}
}

func TestVectorsComeToAConnectionInTheirState(t *testing.T) {
	tried := 0
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		if v.State == "" {
			continue
		}
		tried++
		t.Run(v.Name, func(t *testing.T) {
			role := map[string]Role{"client": Client, "server": Server}[v.To]
			c, p := newPeer(t, role)
			want := io.EOF
			switch v.State {
			case "open":
				c.Begin()
				want = io.ErrUnexpectedEOF
			case "running":
				c.begin()
				want = io.ErrUnexpectedEOF
			case "ended":
				c.begin()
				c.End()
			case "taking":
				c.BeginHop()
				want = io.ErrUnexpectedEOF
			case "hop":
				c.beginHop()
				want = io.ErrUnexpectedEOF
			case "chained":
				s := c.begin()
				s.Divert(Stdin)
				s.Divert(Stdout)
				want = io.ErrUnexpectedEOF
			}
			go func() {
				p.Write(v.Bytes)
				p.Conn.(*net.TCPConn).CloseWrite()
			}()
			if v.Reason != "" {
				wantProblem(t, c, v.Reason)
				return
			}
			await(t, "the end of the connection", c.Done())
			if err := c.Err(); err != want {
				t.Errorf("connection ended with %v, want %v", err, want)
			}
		})
	}
	if tried == 0 {
		t.Error("no vector has a state")
	}
}

func TestControlFramesArriveInOrder(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			client, server := pairOver(t, tr)
			server.begin()
			for _, name := range []string{"INT", "TERM", "KILL"} {
				f, err := SignalFrame(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := client.Send(f); err != nil {
					t.Fatal(err)
				}
				got := await(t, "SIGNAL", server.control)
				if n, err := DecodeSignal(got.Payload); err != nil || n != name {
					t.Errorf("got %q, %v, want %q", n, err, name)
				}
			}
		})
	}
}

func TestPeerThatClosesBetweenSessionsIsEOF(t *testing.T) {
	c, p := newPeer(t, Client)
	p.Close()
	await(t, "the end of the connection", c.Done())
	if err := c.Err(); err != io.EOF {
		t.Errorf("connection ended with %v, want io.EOF", err)
	}
	s := c.begin()
	if _, err := s.Stdin.Write([]byte("x")); err != io.ErrUnexpectedEOF {
		t.Errorf("Write in a session after that gave %v, want io.ErrUnexpectedEOF", err)
	}
	if _, err := s.Stdout.WriteTo(io.Discard); err != io.ErrUnexpectedEOF {
		t.Errorf("WriteTo in a session after that gave %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestPeerThatClosesWithinASessionIsALossOnEveryStream(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			client, server := pairOver(t, tr)
			cs, ss := client.begin(), server.begin()
			if _, err := ss.Output.Write([]byte("part")); err != nil {
				t.Fatal(err)
			}
			until(t, "the arrival of the part", func() bool { return cs.Stdout.Received() == 4 })
			server.Close()
			await(t, "the end of the connection", client.Done())
			if err := client.Err(); err == nil || err == io.EOF {
				t.Errorf("connection ended with %v, want a loss", err)
			}
			var got strings.Builder
			if _, err := cs.Stdout.WriteTo(&got); err == nil || err == io.EOF {
				t.Errorf("stdout ended with %v, want a loss", err)
			}
			if got.String() != "part" {
				t.Errorf("of stdout came %q, want what was sent before the loss", got.String())
			}
			if _, err := cs.Stderr.WriteTo(io.Discard); err == nil || err == io.EOF {
				t.Errorf("stderr ended with %v, want a loss", err)
			}
			if _, err := cs.Stdin.Write([]byte("x")); err == nil {
				t.Error("Write after the loss gave no error")
			}
			if err := cs.Stdin.Close(); err == nil {
				t.Error("Close after the loss gave no error")
			}
		})
	}
}

func TestErrorOfTheHandlerEndsTheConnection(t *testing.T) {
	a, b := tcpPair(t)
	mine := errors.New("mine")
	c := NewConn(a, quiet(Server))
	c.Start(func(Frame) error { return mine })
	defer c.Close()
	if err := WriteFrame(b, Frame{Type: TypeList}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the connection", c.Done())
	if c.Err() != mine {
		t.Errorf("connection ended with %v, want the handler's error", c.Err())
	}
}

func TestCloseEndsWhatIsUnderWayAndLeavesNothing(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			a, _ := tr.pair(t) // whose other end reads nothing
			c := newEnd(t, a, quiet(Client))
			s := c.begin()
			read := run(func() error { _, err := s.Stdout.WriteTo(io.Discard); return err })
			write := run(func() error {
				_, err := s.Stdin.Write(make([]byte, 2*InitialWindow))
				return err
			})
			// Fills the network, and waits in a write for it.
			control := run(func() error {
				for {
					if err := c.Send(Frame{Type: TypeOpen, Payload: make([]byte, MaxPayload)}); err != nil {
						return err
					}
				}
			})
			until(t, "the network's being full", func() bool {
				if c.wmu.TryLock() {
					c.wmu.Unlock()
					return false
				}
				return true
			})
			if err := c.Close(); err != nil {
				t.Errorf("Close gave %v", err)
			}
			for what, got := range map[string]<-chan error{"WriteTo": read, "Write": write, "Send": control} {
				if err := await(t, what, got); !errors.Is(err, ErrClosed) {
					t.Errorf("%s gave %v, want ErrClosed", what, err)
				}
			}
			checkGoroutines(t)
			if err := c.Close(); err != nil {
				t.Errorf("the second Close gave %v", err)
			}
			if c.Err() != ErrClosed {
				t.Errorf("Err is %v, want ErrClosed", c.Err())
			}
			if err := c.Send(Frame{Type: TypeList}); !errors.Is(err, ErrClosed) {
				t.Errorf("Send after Close gave %v, want ErrClosed", err)
			}
		})
	}
}

// slowClose is a stream whose Close takes its time, as that of a tls.Conn does
// that waits for room to send its alert.
type slowClose struct {
	io.ReadWriteCloser
	closing, leave chan struct{}
}

func (s slowClose) Close() error {
	close(s.closing)
	<-s.leave
	return s.ReadWriteCloser.Close()
}

func TestDoneDoesNotWaitForTheStreamToClose(t *testing.T) {
	a, _ := tcpPair(t)
	rwc := slowClose{a, make(chan struct{}), make(chan struct{})}
	c := newEnd(t, rwc, quiet(Client))
	go c.Drop()
	await(t, "Close of the stream", rwc.closing)
	await(t, "Done", c.Done())
	close(rwc.leave)
}

func TestBrokenWriteEndsTheConnectionThoughThePeerTalksOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := newEnd(t, halfBroken{a}, Options{Role: Server})
		talk := talkForever(b, numberFrame(TypePong, 0, 0))
		if err := c.Send(Refuse{Status: StatusBusy}.Frame()); !errors.Is(err, errBroken) {
			t.Fatalf("Send gave %v, want the write's error", err)
		}
		<-c.Done()
		if err := c.Err(); !errors.Is(err, errBroken) {
			t.Errorf("connection ended with %v, want the write's error", err)
		}
		<-talk
	})
}

var errBroken = errors.New("broken")

type halfBroken struct{ net.Conn }

func (halfBroken) Write([]byte) (int, error) { return 0, errBroken }

func TestServerCannotSendEndWhileItsStreamsMaySend(t *testing.T) {
	c, p := newPeer(t, Server)
	c.begin()
	if err := c.Send(End{}.Frame()); err == nil {
		t.Error("END went out within the session")
	}
	c.End()
	if err := c.Send(End{}.Frame()); err != nil {
		t.Errorf("Send of END after End gave %v", err)
	}
	p.want(`END program 0 status 0 signal "" user 0 system 0 maxrss 0 in 0 out 0`)
}

func TestFramesThatAreNotOfVersion1AreNotSent(t *testing.T) {
	c, p := newPeer(t, Client)
	for _, f := range []Frame{
		{Type: 0x20},
		{Type: TypeAccept, Payload: []byte("xy")},
		{Type: TypeStop, Stream: 3},
		{Type: TypeStart, Stream: Stdout},
		{Type: TypeOpen, Payload: make([]byte, MaxPayload+1)},
		data(Stdin, "past its stream"), eof(Stdin, 0), stop(Stdout), windowFrame(Stdout, 1),
	} {
		if err := c.Send(f); err == nil {
			t.Errorf("%v of %d bytes was sent", f.Type, len(f.Payload))
		}
	}
	if err := c.Send(Frame{Type: TypeList}); err != nil {
		t.Fatal(err)
	}
	p.want("LIST")
}
