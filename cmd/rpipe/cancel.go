package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signalCause is a signal that asked rpipe to end: it goes on to every stage.
type signalCause syscall.Signal

func (s signalCause) Error() string          { return syscall.Signal(s).String() }
func (s signalCause) Signal() syscall.Signal { return syscall.Signal(s) }
func (s signalCause) ExitStatus() int        { return 128 + int(s) }

// timeoutCause is --timeout; the stages get TERM.
type timeoutCause time.Duration

func (t timeoutCause) Error() string          { return fmt.Sprintf("timed out after %v", time.Duration(t)) }
func (t timeoutCause) Signal() syscall.Signal { return syscall.SIGTERM }
func (t timeoutCause) ExitStatus() int        { return 124 }

// signals ends a context for INT, TERM and HUP, with a signalCause. Also, a write to
// a closed stdout or stderr no longer kills this process, which has stages to end: it
// fails.
type signals struct {
	incoming chan os.Signal
	broken   chan os.Signal

	settling sync.Mutex // one settle at a time

	mu      sync.Mutex
	settled chan struct{} // closed when the next marker has come
}

// untilSignal returns a context that signals end. It is for as long as the process
// lives: a signal that comes when all is over must not take the place of the status.
func untilSignal(ctx context.Context) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{
		incoming: make(chan os.Signal, 8),
		broken:   make(chan os.Signal, 1),
		settled:  make(chan struct{}),
	}
	signal.Notify(s.broken, syscall.SIGPIPE)
	ending := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	signal.Notify(s.incoming, append(ending, markers...)...)
	go func() {
		for sig := range s.incoming {
			if isMarker(sig) {
				s.mu.Lock()
				close(s.settled)
				s.settled = make(chan struct{})
				s.mu.Unlock()
				continue
			}
			cancel(signalCause(sig.(syscall.Signal))) // the first one counts
		}
	}()
	return ctx, s
}

// settlePatience bounds settle.
const settlePatience = 100 * time.Millisecond

// settle returns when every signal that came to this process before the call has
// had its effect. It sends this process a signal that means nothing, and waits for it:
// of several that are pending the one with the lower number is taken first
// (signal(7)), and os/signal keeps to that. It does so twice, since two threads may
// have taken one each, and the second been faster.
func (s *signals) settle() {
	s.settling.Lock()
	defer s.settling.Unlock()
	for range 2 {
		s.mu.Lock()
		settled := s.settled
		s.mu.Unlock()
		if !mark() {
			return
		}
		select {
		case <-settled:
		case <-time.After(settlePatience):
		}
	}
}

// untilTimeout returns a context that ends with a timeoutCause.
func untilTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timeoutCause(d))
}
