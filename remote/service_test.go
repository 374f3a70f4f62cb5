//go:build unix

package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rpipe/remote"
)

var gigabytes = flag.Float64("gigabytes", 0.25, "how much TestServiceNoDeadlock sends")

func TestServiceBytesArriveUnchanged(t *testing.T) {
	random := make([]byte, 3<<20)
	rand.Read(random)
	for _, network := range networks {
		address := startService(t, network, serveCat)
		for in, input := range inputs {
			for out, output := range outputs {
				for _, data := range [][]byte{nil, []byte("x"), random} {
					t.Run(fmt.Sprintf("%s/%s to %s/%d", network, in, out, len(data)), func(t *testing.T) {
						s := remote.NewService(t.Context(), network, address)
						s.Stdin = input(t, data)
						w, got := output(t)
						s.Stdout = w
						if err := s.Run(); err != nil {
							t.Fatal(err)
						}
						if b := got(); !bytes.Equal(b, data) {
							t.Errorf("%d bytes sent, %d other bytes came back", len(data), len(b))
						}
						if in, out := s.Counts(); in != int64(len(data)) || out != in {
							t.Errorf("counts %d and %d, want %d", in, out, len(data))
						}
						if s.InputLeft() || s.ReaderGone() {
							t.Errorf("InputLeft %v, ReaderGone %v", s.InputLeft(), s.ReaderGone())
						}
					})
				}
			}
		}
	}
}

func TestServiceWithoutStreams(t *testing.T) {
	for _, network := range networks {
		got := make(chan error, 1)
		address := startService(t, network, func(c peer) {
			_, err := c.Read(make([]byte, 1))
			got <- err
			io.WriteString(c, "dropped")
		})
		if err := remote.NewService(t.Context(), network, address).Run(); err != nil {
			t.Errorf("%s: %v", network, err)
		}
		if err := <-got; err != io.EOF {
			t.Errorf("%s: the service read %v, want the end of an empty input", network, err)
		}
	}
}

// TestServiceNoDeadlock sends far more than all buffers hold through a service that
// answers at once, with a reader that begins when nothing moves any more. A client
// that writes all and then reads is stuck there for good.
func TestServiceNoDeadlock(t *testing.T) {
	size := int64(*gigabytes * (1 << 30))
	for _, network := range networks {
		t.Run("naive over "+network, func(t *testing.T) {
			address := startService(t, network, serveCat)
			c, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(time.Second))
			if n, err := io.CopyN(c, newPattern(), size); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d bytes, %v: what this test is for cannot be seen", n, err)
			}
		})
		for _, blocking := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/blocking %v", network, blocking), func(t *testing.T) {
				address := startService(t, network, serveCat)
				inR, inW := newPipe(t, blocking)
				outR, outW := newPipe(t, blocking)
				s := remote.NewService(t.Context(), network, address)
				s.Stdin, s.Stdout = inR, outW
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
				var writer sync.WaitGroup
				writer.Go(func() {
					io.CopyN(inW, newPattern(), size)
					inW.Close()
				})
				standstill(s)
				waited := make(chan error, 1)
				go func() {
					waited <- s.Wait()
					outW.Close()
				}()
				n, hash, err := sum(outR)
				if werr := <-waited; werr != nil || err != nil {
					t.Fatal(werr, err)
				}
				writer.Wait()
				if _, want, _ := sum(io.LimitReader(newPattern(), size)); n != size || hash != want {
					t.Errorf("%d bytes of %d, or other ones", n, size)
				}
				runtime.ReadMemStats(&after)
				if grown := int64(after.Sys) - int64(before.Sys); grown > 32<<20 {
					t.Errorf("memory grew by %d bytes", grown)
				}
			})
		}
	}
}

// TestServiceTakesNoMoreThanItSends gives a service a file that others read on from.
func TestServiceTakesNoMoreThanItSends(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs sendfile(2) and splice(2)")
	}
	release := make(chan struct{})
	address := startService(t, "tcp", func(c peer) { <-release; reset(c) }) // reads nothing
	f := tempFile(t)
	f.Truncate(64 << 20)
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin = f
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	standstill(s)
	close(release)
	if err := s.Wait(); exitStatus(err) != 76 {
		t.Errorf("%v, want a loss", err)
	}
	sent, _ := s.Counts()
	if offset, err := f.Seek(0, io.SeekCurrent); err != nil || offset != sent {
		t.Errorf("%d bytes taken, %d sent", offset, sent)
	}
}

func TestServiceTakesNoInputBeforeItIsConnected(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	s := remote.NewService(t.Context(), "tcp", ln.Addr().String())
	s.Stdin = funcReader(func([]byte) (int, error) {
		t.Error("read")
		return 0, io.EOF
	})
	if err := s.Run(); exitStatus(err) != 69 {
		t.Errorf("%v, want unreachable", err)
	}
	address := startService(t, "tcp", serveCat)
	s.Address = address
	s = remote.NewService(t.Context(), "tcp", address)
	s.Stdin = funcReader(func([]byte) (int, error) {
		t.Error("read")
		return 0, io.EOF
	})
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestServiceThatCannotBeReached(t *testing.T) {
	leftNothing(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := ln.Addr().String()
	ln.Close()
	dir := t.TempDir()
	stale := filepath.Join(dir, "s")
	unixLn, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	unixLn.SetUnlinkOnClose(false)
	unixLn.Close()
	for _, test := range []struct{ name, network, address, hint string }{
		{"refused", "tcp", refused, "listens"},
		{"no such name", "tcp", "no-such-name.invalid:9999", "name"},
		{"no such socket", "unix", filepath.Join(dir, "none"), "socket"},
		{"stale socket", "unix", stale, "runs no more"},
		{"long path", "unix", "/" + strings.Repeat("x", 200), "107"},
		{"no zone", "tcp", "[fe80::1%nosuch0]:9999", "address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := remote.NewService(t.Context(), test.network, test.address).Open()
			var dial *remote.DialError
			if !errors.As(err, &dial) || dial.Address != test.address || exitStatus(err) != 69 {
				t.Fatalf("%v (status %d), want a DialError", err, exitStatus(err))
			}
			var hinter interface{ Hint() string }
			if !errors.As(err, &hinter) || !strings.Contains(hinter.Hint(), test.hint) || strings.Contains(hinter.Hint(), "rpiped") {
				t.Errorf("hint %q", hinter.Hint())
			}
		})
	}
}

// TestServiceHonoursTheResolver looks a name up that only a resolver of its own knows,
// and finds no answer in time from one that does not speak.
func TestServiceHonoursTheResolver(t *testing.T) {
	leftNothing(t)
	var asked sync.WaitGroup
	asked.Add(1)
	once := sync.OnceFunc(asked.Done)
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		once()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	s := remote.NewService(t.Context(), "tcp", "service.example:9999")
	s.Resolver = resolver
	s.ConnectTimeout = 50 * time.Millisecond
	if err := s.Open(); exitStatus(err) != 69 {
		t.Errorf("%v, want unreachable", err)
	}
	asked.Wait()
}

func TestServiceOutputThatCannotBeWrittenIsACopyError(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	address := startService(t, "tcp", func(c peer) { io.Copy(c, zeros{}) })
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdout = full
	err = s.Run()
	var failed *remote.CopyError
	if !errors.As(err, &failed) || !failed.Output() || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want a full disk", err)
	}
}
