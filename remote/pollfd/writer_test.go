//go:build unix

package pollfd

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
)

func TestWakeEndsAWriteToAFullPipe(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(w)
			waker := newTestWaker(t)
			type result struct {
				n   int
				err error
			}
			done := make(chan result, 1)
			data := make([]byte, 8<<20) // more than a pipe holds
			for i := range data {
				data[i] = byte(i)
			}
			go func() {
				n, err := waker.Writer(w).Write(data)
				done <- result{n, err}
			}()
			first := make([]byte, 1000)
			if _, err := io.ReadFull(r, first); err != nil {
				t.Fatal(err)
			}
			waker.Wake()
			got := <-done
			if got.err != ErrWoken || got.n <= 0 || got.n >= len(data) {
				t.Fatalf("%d, %v, want ErrWoken after a part", got.n, got.err)
			}
			waker.Close()
			w.Close()
			rest, err := io.ReadAll(r)
			if err != nil || len(first)+len(rest) != got.n {
				t.Errorf("%d bytes written, %d arrived", got.n, len(first)+len(rest))
			}
		})
	}
}

func TestWriterWritesAll(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(w)
			waker := newTestWaker(t)
			defer waker.Close()
			written := make(chan error, 1)
			go func() {
				n, err := waker.Writer(w).Write(make([]byte, 1<<20))
				if err == nil && n != 1<<20 {
					err = io.ErrShortWrite
				}
				w.Close()
				written <- err
			}()
			n, err := io.Copy(io.Discard, r)
			if werr := <-written; n != 1<<20 || err != nil || werr != nil {
				t.Errorf("%d bytes, %v, %v", n, err, werr)
			}
		})
	}
}

func TestWriterToNobodyIsEPIPE(t *testing.T) {
	r, w := pipe(t)
	waker := newTestWaker(t)
	defer waker.Close()
	r.Close()
	_, err := waker.Writer(w).Write([]byte("x"))
	var path *os.PathError
	if !errors.Is(err, syscall.EPIPE) || !errors.As(err, &path) {
		t.Errorf("%v", err)
	}
}

func TestAPipeIsNoTerminal(t *testing.T) {
	r, _ := pipe(t)
	if IsTerminal(r) {
		t.Error("it is one")
	}
}
