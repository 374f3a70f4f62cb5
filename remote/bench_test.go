package remote_test

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"rpipe/remote/serve"
)

// BenchmarkSessionStart is the time from nothing to the end of a program that
// does nothing: here, over a new connection, and over one that is used again.
func BenchmarkSessionStart(b *testing.B) {
	b.Run("local", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, parent := range []struct {
		name   string
		adjust func(*serve.Server)
	}{
		{"", func(*serve.Server) {}},
		{", no reaper", func(s *serve.Server) { s.Reapers = nil }},
	} {
		h := newHost(b, parent.adjust)
		b.Run("new connection"+parent.name, func(b *testing.B) {
			for b.Loop() {
				if err := h.command(b, "true").Run(); err != nil {
					b.Fatal(err)
				}
				h.dialer.Close() // the idle connection; it dials again
			}
		})
		b.Run("same connection"+parent.name, func(b *testing.B) {
			for b.Loop() {
				if err := h.command(b, "true").Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGigabyte sends 1 GB through cat | cat, and through a local cat into a
// remote one: pipes at both ends, as in a pipeline.
func BenchmarkGigabyte(b *testing.B) {
	const size = 1 << 30
	source := func(b *testing.B) (*os.File, func()) {
		r, w, err := os.Pipe()
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command("head", "-c", "1073741824", "/dev/zero")
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		w.Close()
		return r, func() {
			r.Close()
			cmd.Wait()
		}
	}
	sink := func(b *testing.B, r *os.File) {
		if n, err := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}); err != nil || n != size {
			b.Fatalf("%d bytes, %v", n, err)
		}
	}
	b.Run("plain pipe", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			in, end := source(b)
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			cmd := exec.Command("cat")
			cmd.Stdin, cmd.Stdout = in, w
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			w.Close()
			sink(b, r)
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
			r.Close()
			end()
		}
	})
	h := newHost(b)
	b.Run("remote", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			in, end := source(b)
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			cmd := h.command(b, "cat")
			cmd.Stdin, cmd.Stdout = in, w
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				done <- cmd.Wait()
				w.Close()
			}()
			sink(b, r)
			if err := <-done; err != nil {
				b.Fatal(err)
			}
			r.Close()
			end()
		}
	})
}
