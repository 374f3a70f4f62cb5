//go:build unix

package remote_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rpipe/remote"
)

// TestServiceResetIsALoss resets connections in mid-stream, while the client only
// reads, only writes, does both, and after its half-close.
func TestServiceResetIsALoss(t *testing.T) {
	const whole = 1 << 20
	states := map[string]struct {
		endless bool // input
		closed  bool // input, at once
	}{
		"half-closed": {closed: true},
		"reading":     {},
		"writing":     {endless: true},
	}
	for name, state := range states {
		for _, percent := range []int{0, 10, 50, 90} {
			for _, spliced := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%d%%/spliced %v", name, percent, spliced), func(t *testing.T) {
					part := whole * percent / 100
					arrived := make(chan struct{}, 1)
					address := startService(t, "tcp", func(c peer) {
						var drained sync.WaitGroup
						if state.endless {
							// Reads, so that the client writes all the time.
							drained.Go(func() { io.Copy(io.Discard, c) })
						}
						if state.closed {
							io.Copy(io.Discard, c) // to the FIN
						}
						c.Write(make([]byte, part))
						<-arrived
						reset(c)
						drained.Wait()
					})
					for range 10 {
						inR, inW := newPipe(t, true)
						outR, outW := newPipe(t, false)
						s := remote.NewService(t.Context(), "tcp", address)
						s.Stdin, s.Stdout = inR, outW
						if !spliced {
							s.Stdin, s.Stdout = struct{ io.Reader }{inR}, struct{ io.Writer }{outW}
						}
						var feeder sync.WaitGroup
						switch {
						case state.closed:
							inW.Close()
						case state.endless:
							feeder.Go(func() { io.Copy(inW, zeros{}) })
						case !spliced:
							// A Read that nothing can end would hold Wait.
							feeder.Go(func() {
								<-t.Context().Done()
							})
							s.Stdin = inR
						}
						if err := s.Start(); err != nil {
							t.Fatal(err)
						}
						if _, err := io.ReadFull(outR, make([]byte, part)); err != nil {
							t.Fatal(err)
						}
						arrived <- struct{}{}
						err := s.Wait()
						inR.Close()
						inW.Close()
						if !(!spliced && !state.closed && !state.endless) {
							feeder.Wait()
						}
						var lost *remote.LostError
						if !errors.As(err, &lost) || lost.Delivered != int64(part) || exitStatus(err) != 76 {
							t.Fatalf("%v (status %d), want a loss after %d bytes", err, exitStatus(err), part)
						}
						if !errors.Is(err, syscall.ECONNRESET) {
							t.Errorf("%v, want a reset", err)
						}
					}
				})
			}
		}
	}
}

func TestServiceResetAtOnceIsNeverSuccess(t *testing.T) {
	address := startService(t, "tcp", func(c peer) { reset(c) })
	for range 200 {
		s := remote.NewService(t.Context(), "tcp", address)
		if err := s.Run(); exitStatus(err) != 76 {
			t.Fatalf("%v, want a loss", err)
		}
	}
}

// TestServiceThatEndsEarlyIsNoFailure is head -1 with more input than it wants: the
// client learns from a reset that follows the FIN that nobody reads any more.
func TestServiceThatEndsEarlyIsNoFailure(t *testing.T) {
	for _, network := range networks {
		for kind, input := range map[string]func(t *testing.T) io.Reader{
			"pipe": func(t *testing.T) io.Reader {
				r, w := newPipe(t, false)
				var wg sync.WaitGroup
				wg.Go(func() { io.Copy(w, zeros{}) })
				t.Cleanup(func() {
					r.Close()
					wg.Wait()
				})
				return r
			},
			"reader": func(*testing.T) io.Reader { return zeros{} },
		} {
			t.Run(network+"/"+kind, func(t *testing.T) {
				address := startService(t, network, func(c peer) {
					io.ReadFull(c, make([]byte, 1000))
					io.WriteString(c, "first\n")
					c.CloseWrite()
					// The FIN first, and a reset when all that is there was read.
					io.CopyN(io.Discard, c, 1<<20)
				})
				for range 20 {
					var out strings.Builder
					s := remote.NewService(t.Context(), network, address)
					s.Stdin, s.Stdout = input(t), &out
					if err := s.Run(); err != nil || out.String() != "first\n" {
						t.Fatalf("%q, %v", out.String(), err)
					}
					if !s.InputLeft() {
						t.Error("InputLeft is false")
					}
				}
			})
		}
	}
}

// TestServiceThatEndsItsOutputFirstGetsAllInput is a sink: its FIN does not say that
// it reads no more.
func TestServiceThatEndsItsOutputFirstGetsAllInput(t *testing.T) {
	for _, network := range networks {
		for in, input := range inputs {
			t.Run(network+"/"+in, func(t *testing.T) {
				got := make(chan int64, 1)
				address := startService(t, network, func(c peer) {
					c.CloseWrite()
					n, _ := io.Copy(io.Discard, c)
					got <- n
				})
				s := remote.NewService(t.Context(), network, address)
				s.Stdin = input(t, make([]byte, 5<<20))
				if err := s.Run(); err != nil || s.InputLeft() {
					t.Fatal(err, s.InputLeft())
				}
				if n := <-got; n != 5<<20 {
					t.Errorf("it got %d bytes", n)
				}
			})
		}
	}
}

func TestServiceWhoseReaderLeavesIsReset(t *testing.T) {
	for _, network := range networks {
		for _, blocking := range []bool{false, true} {
			for _, busy := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/blocking %v/busy %v", network, blocking, busy), func(t *testing.T) {
					seen := make(chan error, 1)
					address := startService(t, network, func(c peer) {
						io.WriteString(c, "first\n")
						var err error
						if busy {
							_, err = io.Copy(c, zeros{})
						} else {
							_, err = c.Read(make([]byte, 1))
						}
						seen <- err
					})
					inR, _ := newPipe(t, blocking) // stays quiet
					outR, outW := newPipe(t, blocking)
					s := remote.NewService(t.Context(), network, address)
					s.Stdin, s.Stdout = inR, outW
					if err := s.Start(); err != nil {
						t.Fatal(err)
					}
					if _, err := outR.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
					outR.Close()
					err := s.Wait()
					if exitStatus(err) != 141 || !s.ReaderGone() {
						t.Errorf("%v, ReaderGone %v, want SIGPIPE", err, s.ReaderGone())
					}
					if err := <-seen; err == io.EOF && network == "tcp" {
						t.Error("the service saw an end of its input")
					}
				})
			}
		}
	}
}

func TestServiceWhoseReaderLeavesAfterTheOutputIsWhole(t *testing.T) {
	got := make(chan int64, 1)
	address := startService(t, "tcp", func(c peer) {
		io.WriteString(c, "all\n")
		c.CloseWrite()
		n, _ := io.Copy(io.Discard, c)
		got <- n
	})
	inR, inW := newPipe(t, false)
	outR, outW := newPipe(t, false)
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin, s.Stdout = inR, outW
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(outR, make([]byte, 4))
	inW.Write(make([]byte, 1<<20)) // after it the end of the output was seen
	awaitInput(s, 1<<20)
	outR.Close()
	inW.Write(make([]byte, 1<<20))
	inW.Close()
	if err := s.Wait(); err != nil || s.ReaderGone() {
		t.Error(err, s.ReaderGone())
	}
	if n := <-got; n != 2<<20 {
		t.Errorf("the service got %d bytes", n)
	}
}

func TestServiceInputIsLeftAloneAfterItsEnd(t *testing.T) {
	for _, network := range networks {
		for _, blocking := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/blocking %v", network, blocking), func(t *testing.T) {
				address := startService(t, network, func(c peer) { c.Read(make([]byte, 64)) })
				r, w := newPipe(t, blocking)
				s := remote.NewService(t.Context(), network, address)
				s.Stdin = r
				s.Patience = 50 * time.Millisecond // TCP does not tell of the close
				fmt.Fprintln(w, "first")
				if err := s.Run(); err != nil || !s.InputLeft() { // although w stays open
					t.Fatal(err, s.InputLeft())
				}
				fmt.Fprintln(w, "second")
				buf := make([]byte, 64)
				if n, err := r.Read(buf); err != nil || string(buf[:n]) != "second\n" {
					t.Errorf("%q, %v, want what was written after the service ended", buf[:n], err)
				}
			})
		}
	}
}

// TestServicePatienceIsForAQuietInputOnly holds input back in a service that has
// ended its output and reads slowly: that is no quiet input.
func TestServicePatienceIsForAQuietInputOnly(t *testing.T) {
	got := make(chan int64, 1)
	address := startService(t, "tcp", func(c peer) {
		c.CloseWrite()
		time.Sleep(300 * time.Millisecond)
		n, _ := io.Copy(io.Discard, c)
		got <- n
	})
	s := remote.NewService(t.Context(), "tcp", address)
	s.Stdin = io.LimitReader(zeros{}, 30<<20)
	s.Patience = 20 * time.Millisecond
	if err := s.Run(); err != nil || s.InputLeft() {
		t.Fatal(err, s.InputLeft())
	}
	if n := <-got; n != 30<<20 {
		t.Errorf("the service got %d bytes", n)
	}
}

// TestServiceCancelledInAnyStateGivesTheCause cancels while each of the things blocks
// that can, and sees that the service is told of no end of input.
func TestServiceCancelledInAnyStateGivesTheCause(t *testing.T) {
	quiet := func(c peer) error {
		_, err := io.Copy(io.Discard, c)
		return err
	}
	flood := func(c peer) error {
		io.Copy(c, zeros{})
		return errors.New("its output failed")
	}
	both := func(c peer) error { // one of them sees the reset
		failed := make(chan error, 1)
		go func() {
			_, err := io.Copy(c, zeros{})
			failed <- err
		}()
		if err := quiet(c); err != nil {
			return err
		}
		c.SetWriteDeadline(time.Now().Add(time.Second)) // where that was none
		if err := <-failed; errors.Is(err, syscall.ECONNRESET) {
			return err
		}
		return nil
	}
	for name, test := range map[string]struct {
		service func(peer) error
		fill    bool // the input is endless
	}{
		"input blocks":            {service: quiet},
		"output blocks":           {service: flood},
		"connection is full":      {service: func(c peer) error { time.Sleep(10 * time.Millisecond); return errors.New("none") }, fill: true},
		"everything is under way": {service: both, fill: true},
	} {
		for _, network := range networks {
			for _, form := range []string{"pipe", "blocking pipe", "reader"} {
				if form == "reader" && !test.fill {
					continue // its Read would not end
				}
				t.Run(name+"/"+network+"/"+form, func(t *testing.T) {
					saw := make(chan error, 1)
					release := make(chan struct{})
					address := startService(t, network, func(c peer) {
						saw <- test.service(c)
						<-release
					})
					defer close(release)
					inR, inW := newPipe(t, form == "blocking pipe")
					_, outW := newPipe(t, form == "blocking pipe")
					ctx, cancel := context.WithCancelCause(t.Context())
					s := remote.NewService(ctx, network, address)
					s.Stdin, s.Stdout = inR, outW
					if form == "reader" {
						s.Stdin = zeros{}
					}
					var feeder sync.WaitGroup
					if test.fill {
						feeder.Go(func() { io.Copy(inW, zeros{}) })
					}
					if err := s.Start(); err != nil {
						t.Fatal(err)
					}
					if name == "everything is under way" {
						awaitInput(s, 16<<20)
					} else {
						standstill(s)
					}
					cancel(cause(syscall.SIGINT))
					if err := s.Wait(); err != cause(syscall.SIGINT) {
						t.Errorf("Wait: %v, want the cause", err)
					}
					inR.Close()
					feeder.Wait()
					if err := <-saw; err == nil && network == "tcp" {
						t.Error("the service saw an end of its input")
					}
				})
			}
		}
	}
	t.Run("before", func(t *testing.T) {
		leftNothing(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause(syscall.SIGTERM))
		if err := remote.NewService(ctx, "tcp", "127.0.0.1:1").Open(); err != cause(syscall.SIGTERM) {
			t.Error(err)
		}
	})
	t.Run("lookup", func(t *testing.T) {
		leftNothing(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		s := remote.NewService(ctx, "tcp", "service.example:9999")
		s.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel(cause(syscall.SIGTERM))
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		if err := s.Open(); err != cause(syscall.SIGTERM) {
			t.Error(err)
		}
	})
}

// TestServiceThatIsGivenUpSeesNoEndOfInput gives calls up in all the ways there are,
// just when the input ends.
func TestServiceThatIsGivenUpSeesNoEndOfInput(t *testing.T) {
	saw := make(chan error, 1)
	address := startService(t, "tcp", func(c peer) {
		_, err := io.Copy(io.Discard, c)
		saw <- err
	})
	failed := errors.New("no such luck")
	for name, test := range map[string]struct {
		prepare func(s *remote.Service, cancel func())
		status  int
	}{
		"Abort": {func(s *remote.Service, _ func()) {
			s.Stdin = funcReader(func([]byte) (int, error) { s.Abort(); return 0, io.EOF })
		}, 137},
		"Ended":  {func(s *remote.Service, _ func()) { s.Ended = func() bool { return false } }, 137},
		"both":   {func(s *remote.Service, _ func()) { s.Ended = func() bool { s.Abort(); return true } }, 137},
		"cancel": {func(s *remote.Service, cancel func()) { s.Ended = func() bool { cancel(); return true } }, -1},
		"error": {func(s *remote.Service, _ func()) {
			s.Stdin = funcReader(func([]byte) (int, error) { return 0, failed })
		}, 1},
		"closed socket": {func(s *remote.Service, _ func()) {
			s.Stdin = funcReader(func([]byte) (int, error) { return 0, net.ErrClosed })
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				s := remote.NewService(ctx, "tcp", address)
				test.prepare(s, cancel)
				if err := s.Run(); exitStatus(err) != test.status {
					t.Fatalf("%v (status %d), want %d", err, exitStatus(err), test.status)
				}
				cancel()
				if err := <-saw; err == nil {
					t.Fatal("the service saw an end of its input")
				}
			}
		})
	}
	t.Run("Close", func(t *testing.T) {
		s := remote.NewService(t.Context(), "tcp", address)
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := <-saw; err == nil {
			t.Error("the service saw an end of its input")
		}
	})
	t.Run("Abort before Start", func(t *testing.T) {
		s := remote.NewService(t.Context(), "tcp", address)
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
		s.Abort()
		if err := s.Start(); err == nil {
			t.Error("it started")
		}
		if err := <-saw; err == nil {
			t.Error("the service saw an end of its input")
		}
	})
}
