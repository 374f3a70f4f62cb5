package wire

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f with a clock of its own, which stands still while anything runs.
func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

// talkForever sends a frame each second until it cannot.
func talkForever(w io.Writer, f Frame) <-chan error {
	return run(func() error {
		for {
			if err := WriteFrame(w, f); err != nil {
				return err
			}
			sleep()
		}
	})
}

// sleep lets a second pass on a bubble's clock.
func sleep() { time.Sleep(time.Second) }

func TestSilentPeerIsDeadInTime(t *testing.T) {
	for _, role := range []Role{Client, Server} {
		bubble(t, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			go io.Copy(io.Discard, b) // it hears us, and says nothing
			c := newEnd(t, a, Options{Role: role})
			start := time.Now()
			<-c.Done()
			wantDead(t, c, time.Since(start))
		})
	}
}

func wantDead(t *testing.T, c *end, took time.Duration) {
	t.Helper()
	var dead *DeadError
	if err := c.Err(); !errors.As(err, &dead) || !dead.Timeout() {
		t.Fatalf("connection ended with %v, want a DeadError", err)
	}
	if took < DefaultDeadTimeout || took > DefaultDeadTimeout+time.Second {
		t.Errorf("that took %v, want %v", took, DefaultDeadTimeout)
	}
	if got, want := dead.Error(), "nothing heard from it for 15s"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestSilentPeerIsDeadInTimeThoughAWriteIsBlocked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe() // nobody reads: the first write blocks
		defer b.Close()
		c := newEnd(t, a, Options{Role: Client})
		s := c.begin()
		start := time.Now()
		_, err := s.Stdin.Write([]byte("into the void"))
		wantDead(t, c, time.Since(start))
		if !errors.As(err, new(*DeadError)) {
			t.Errorf("Write gave %v, want the DeadError", err)
		}
		if err := s.Stdin.Close(); !errors.As(err, new(*DeadError)) {
			t.Errorf("Close gave %v, want the DeadError", err)
		}
		if _, err := s.Stdout.WriteTo(io.Discard); !errors.As(err, new(*DeadError)) {
			t.Errorf("WriteTo gave %v, want the DeadError", err)
		}
	})
}

func TestSilentPeerIsDeadOverTheRealNetworkThoughAWriteIsBlocked(t *testing.T) {
	for _, tr := range transports() {
		t.Run(tr.name, func(t *testing.T) {
			a, _ := tr.pair(t)
			c := newEnd(t, a, Options{Role: Client, IdleTimeout: 20 * time.Millisecond, DeadTimeout: 100 * time.Millisecond})
			var err error
			for err == nil { // until the network is full
				err = c.Send(Frame{Type: TypeOpen, Payload: make([]byte, MaxPayload)})
			}
			if !errors.As(err, new(*DeadError)) {
				t.Errorf("Send gave %v, want a DeadError", err)
			}
			await(t, "the end of the connection", c.Done())
		})
	}
}

func TestIdleConnectionLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		client, server := newEnd(t, a, Options{Role: Client}), newEnd(t, b, Options{Role: Server})
		time.Sleep(time.Hour)
		if client.Err() != nil || server.Err() != nil {
			t.Errorf("ended with %v and %v", client.Err(), server.Err())
		}
	})
}

func TestSlowReaderLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		client, server := newEnd(t, a, Options{Role: Client}), newEnd(t, b, Options{Role: Server})
		cs, ss := client.begin(), server.begin()
		go newPattern(1<<20).sendTo(ss.Output, ChunkLen)
		n, err := cs.Stdout.WriteTo(slowWriter{})
		if n != 1<<20 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

type slowWriter struct{}

func (slowWriter) Write(p []byte) (int, error) {
	time.Sleep(10 * time.Minute)
	return len(p), nil
}

func TestSlowNetworkLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		go io.Copy(io.Discard, b)
		c := newEnd(t, a, Options{Role: Server})
		c.begin()
		frame, err := AppendFrame(nil, data(Stdin, "one frame that takes longer than the dead time"))
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range frame {
			b.Write([]byte{x})
			sleep()
		}
		if err := c.Err(); err != nil {
			t.Errorf("ended with %v while bytes came", err)
		}
	})
}

// An end that is busy hearing its peer still has to be heard: its PONG alone
// would wait for a PING that is behind all the data in the network's queue.
func TestEndThatOnlyListensShowsLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		c := newEnd(t, a, Options{Role: Server})
		s := c.begin()
		go s.Input.WriteTo(io.Discard)
		talk := talkForever(b, data(Stdin, "x"))
		start := time.Now()
		for want := uint64(1); want <= 3; want++ {
			f, err := ReadFrame(b)
			if err != nil {
				t.Fatal(err)
			}
			if f.Type != TypePing || number(f.Payload) != want {
				t.Fatalf("got %v %d, want PING %d", f.Type, number(f.Payload), want)
			}
			if d := time.Since(start); d > time.Duration(want)*DefaultIdleTimeout+time.Second {
				t.Fatalf("PING %d came after %v", want, d)
			}
		}
		b.Close()
		<-talk
	})
}

func TestEveryPingIsAnsweredAndTheLastOfMany(t *testing.T) {
	c, p := newPeer(t, Client)
	for n := range uint64(3) {
		p.send(numberFrame(TypePing, 0, n))
		p.want("PONG " + string(rune('0'+n)))
	}
	for n := range uint64(10_000) {
		p.send(numberFrame(TypePing, 0, n))
	}
	for got := ""; got != "PONG 9999"; got = p.next() {
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestPausedClientLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		server := newEnd(t, a, Options{Role: Server})
		client := NewConn(b, Options{})
		resume := client.Pause()
		patience := run(func() error { _, err := io.Copy(io.Discard, b); return err }) // the stopped client's kernel
		time.Sleep(time.Hour)
		if err := server.Err(); err != nil {
			t.Fatalf("the server gave it up: %v", err)
		}
		resume()
		start := time.Now()
		<-server.Done() // of a client that says nothing and has not told so
		wantDead(t, server, time.Since(start))
		if err := <-patience; err != nil && err != io.EOF {
			t.Error(err)
		}
	})
}

// The peer's measure of silence may be longer than ours: it answers, and says
// nothing of its own.
func TestEndThatTalksAllTheTimeStillHearsItsPeer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		c := newEnd(t, a, Options{Role: Client, IdleTimeout: 2 * time.Second, DeadTimeout: 6 * time.Second})
		s := c.begin()
		go func() {
			for {
				f, err := ReadFrame(b)
				if err != nil {
					return
				}
				if f.Type == TypePing {
					WriteFrame(b, numberFrame(TypePong, 0, number(f.Payload)))
				}
			}
		}()
		for range 100 {
			if _, err := s.Stdin.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			sleep()
		}
	})
}

func TestPingsAreFrequentEnoughForBothEnds(t *testing.T) {
	for dead, want := range map[time.Duration]time.Duration{
		0:                DefaultIdleTimeout,
		3 * time.Second:  time.Second,
		15 * time.Second: 5 * time.Second,
		time.Minute:      5 * time.Second, // the peer's may be the default
		24 * time.Hour:   5 * time.Second,
	} {
		if got := IdleTimeoutFor(dead); got != want {
			t.Errorf("dead time-out %v: PING after %v, want %v", dead, got, want)
		}
	}
}
