//go:build unix

package pollfd

import (
	"io"
	"os"
	"os/exec"
	"testing"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

func newTestWaker(t *testing.T) *Waker {
	t.Helper()
	w, err := NewWaker()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// forms are the two kinds of pipe: polled by the runtime, and blocking, as after
// a child was given it.
var forms = map[string]func(*os.File) *os.File{
	"parked": func(f *os.File) *os.File { return f },
	"blocking": func(f *os.File) *os.File {
		f.Fd()
		return f
	},
}

func TestWakeEndsAReadAndTakesNothing(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(r)
			waker := newTestWaker(t)
			reader := waker.Reader(r)
			if n, err := writeThenRead(w, reader, "abc"); n != 3 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			done := make(chan error, 1)
			go func() {
				_, err := reader.Read(make([]byte, 8))
				done <- err
			}()
			waker.Wake()
			if err := <-done; err != ErrWoken {
				t.Errorf("Read: %v, want ErrWoken", err)
			}
			if _, err := reader.Read(make([]byte, 8)); err != ErrWoken {
				t.Errorf("later Read: %v, want ErrWoken", err)
			}
			waker.Close()
			if n, err := writeThenRead(w, r, "left"); n != 4 || err != nil {
				t.Errorf("the file afterwards: %d, %v", n, err)
			}
		})
	}
}

func writeThenRead(w io.Writer, r io.Reader, s string) (int, error) {
	if _, err := io.WriteString(w, s); err != nil {
		return 0, err
	}
	return r.Read(make([]byte, 64))
}

func TestReaderSeesTheEnd(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(r)
			waker := newTestWaker(t)
			defer waker.Close()
			io.WriteString(w, "x")
			w.Close()
			got, err := io.ReadAll(waker.Reader(r))
			if string(got) != "x" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestReaderReadsRegularFiles(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	io.WriteString(f, "text")
	f.Seek(0, io.SeekStart)
	waker := newTestWaker(t)
	defer waker.Close()
	if got, err := io.ReadAll(waker.Reader(f)); string(got) != "text" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAwaitReaderGone(t *testing.T) {
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			r, w := pipe(t)
			form(w)
			waker := newTestWaker(t)
			gone := make(chan bool, 1)
			go func() { gone <- waker.AwaitReaderGone(w) }()
			r.Close()
			if !<-gone {
				t.Error("not noticed")
			}
			waker.Close()
		})
		t.Run(name+" woken", func(t *testing.T) {
			_, w := pipe(t)
			form(w)
			waker := newTestWaker(t)
			gone := make(chan bool, 1)
			go func() { gone <- waker.AwaitReaderGone(w) }()
			waker.Wake()
			if <-gone {
				t.Error("noticed what did not happen")
			}
			waker.Close()
		})
	}
}

func TestManyWakersOnOneFileAfterAnother(t *testing.T) {
	r, w := pipe(t)
	for range 100 {
		waker := newTestWaker(t)
		done := make(chan error, 1)
		go func() {
			_, err := waker.Reader(r).Read(make([]byte, 1))
			done <- err
		}()
		waker.Wake()
		if err := <-done; err != ErrWoken {
			t.Fatal(err)
		}
		waker.Close()
	}
	if n, err := writeThenRead(w, r, "x"); n != 1 || err != nil {
		t.Error(n, err)
	}
}

func TestAwaitExitLeavesAZombie(t *testing.T) {
	cmd := exec.Command("sh", "-c", "read x; exit 7")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pidfd := -1
	preparePidfd(cmd, &pidfd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan bool, 1)
	go func() { exited <- awaitExit(pidfd) }()
	in.Close()
	if !<-exited {
		t.Skip("this system has no pidfd")
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
		t.Error(err)
	}
}

func TestWakersOfOneFileDoNotDisturbEachOther(t *testing.T) {
	r, w := pipe(t)
	first, second := newTestWaker(t), newTestWaker(t)
	defer first.Close()
	defer second.Close()
	one, two := first.Reader(r), second.Reader(r)
	got := make(chan error, 1)
	go func() {
		_, err := two.Read(make([]byte, 8))
		got <- err
	}()
	first.Wake()
	if _, err := one.Read(make([]byte, 8)); err != ErrWoken {
		t.Errorf("the woken one: %v", err)
	}
	io.WriteString(w, "x")
	if err := <-got; err != nil {
		t.Errorf("the other one: %v", err)
	}
}

func TestTwoReadersOfABlockingFileAndOneLine(t *testing.T) {
	for range 200 {
		r, w := pipe(t)
		r.Fd() // blocking
		waker := newTestWaker(t)
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := waker.Reader(r).Read(make([]byte, 8))
				ended <- err
			}()
		}
		io.WriteString(w, "x")
		first := <-ended
		waker.Wake() // the other one must not be stuck in read(2)
		second := <-ended
		if first != nil || second != ErrWoken {
			t.Fatal(first, second)
		}
		waker.Close()
		r.Close()
		w.Close()
	}
}
