package pollfd

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
)

// connection returns the two ends of a TCP connection.
func connection(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		d.Close()
	})
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func TestWakeEndsASendAndWhatIsNotSentStays(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(r)
			a, b := connection(t)
			waker := newTestWaker(t)
			sent, full := int64(0), make(chan struct{})
			done := make(chan error, 1)
			go func() { done <- waker.Send(a, r, func(n int64) { sent += n }) }()
			wrote := int64(0)
			go func() { // until nothing moves any more
				defer close(full)
				for {
					n, err := w.Write(make([]byte, 4096))
					wrote += int64(n)
					if err != nil {
						return
					}
				}
			}()
			io.ReadFull(b, make([]byte, 1<<20))
			waker.Wake()
			if err := <-done; err != ErrWoken {
				t.Fatal(err)
			}
			waker.Close()
			go func() {
				<-full
				w.Close()
			}()
			w.SetWriteDeadline(past)
			left, err := io.Copy(io.Discard, r)
			<-full
			if err != nil || sent+left != wrote {
				t.Errorf("%d bytes written, %d sent, %d left, %v", wrote, sent, left, err)
			}
		})
	}
}

func TestReceiveTellsWhoHasGone(t *testing.T) {
	t.Run("the connection", func(t *testing.T) {
		_, w := pipe(t)
		a, b := connection(t)
		b.SetLinger(0)
		b.Close()
		waker := newTestWaker(t)
		defer waker.Close()
		err := waker.Receive(w, a, func(int64) {})
		var path *os.PathError
		if !errors.Is(err, syscall.ECONNRESET) || errors.As(err, &path) {
			t.Error(err)
		}
	})
	t.Run("the reader", func(t *testing.T) {
		r, w := pipe(t)
		a, b := connection(t)
		r.Close()
		io.WriteString(b, "x")
		waker := newTestWaker(t)
		defer waker.Close()
		err := waker.Receive(w, a, func(int64) {})
		var path *os.PathError
		if !errors.Is(err, syscall.EPIPE) || !errors.As(err, &path) {
			t.Error(err)
		}
	})
}

func TestAHalfCloseIsNoHangup(t *testing.T) {
	a, b := connection(t)
	b.CloseWrite()
	io.ReadAll(a)
	waker := newTestWaker(t)
	hung := make(chan bool, 1)
	go func() { hung <- waker.AwaitHangup(a) }()
	io.WriteString(a, "it is still read")
	io.ReadFull(b, make([]byte, 16))
	waker.Wake()
	if <-hung {
		t.Error("it is none")
	}
	waker.Close()

	waker = newTestWaker(t)
	defer waker.Close()
	go func() { hung <- waker.AwaitHangup(a) }()
	b.SetLinger(0)
	b.Close()
	if !<-hung {
		t.Error("a reset is one")
	}
}
