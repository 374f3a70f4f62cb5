package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
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

// signals ends a context for the signals that end a process, with a signalCause, unless
// the script catches them. Those that this process was told to ignore when it was started
// stay ignored (POSIX, 2.12). Also, a write to a closed stdout or stderr no longer kills
// this process, which has stages to end: it fails.
type signals struct {
	incoming chan os.Signal
	broken   chan os.Signal
	cancel   context.CancelCauseFunc

	settling sync.Mutex // one settle at a time

	mu      sync.Mutex
	settled chan struct{} // closed when the next marker has come
	marks   int           // markers that were sent and have not come
	marker  os.Signal     // what they are
	caught  map[syscall.Signal]func()
}

// untilSignal returns a context that signals end. It is for as long as the process
// lives: a signal that comes when all is over must not take the place of the status.
func untilSignal(ctx context.Context) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{
		incoming: make(chan os.Signal, 8),
		broken:   make(chan os.Signal, 1),
		cancel:   cancel,
		settled:  make(chan struct{}),
		caught:   make(map[syscall.Signal]func()),
	}
	signal.Notify(s.broken, syscall.SIGPIPE)
	for _, sig := range ending {
		if !signal.Ignored(sig) {
			signal.Notify(s.incoming, sig)
		}
	}
	signal.Notify(s.incoming, markers...)
	go func() {
		for sig := range s.incoming {
			s.take(sig.(syscall.Signal))
		}
	}()
	return ctx, s
}

// take does what a signal that has come is for.
func (s *signals) take(sig syscall.Signal) {
	s.mu.Lock()
	if s.marks > 0 && os.Signal(sig) == s.marker {
		s.marks--
		close(s.settled)
		s.settled = make(chan struct{})
		s.mu.Unlock()
		return
	}
	deliver := s.caught[sig]
	s.mu.Unlock()
	switch {
	case deliver != nil:
		deliver()
	case slices.Contains(ending, os.Signal(sig)):
		s.cancel(signalCause(sig)) // the first one counts
	}
}

// Catch makes deliver be called for each signal of a kind that comes, as
// pipeline.Signals has it. KILL and STOP never come.
func (s *signals) Catch(sig syscall.Signal, deliver func()) {
	if signal.Ignored(sig) || isOfRuntime(sig) {
		return
	}
	s.mu.Lock()
	_, was := s.caught[sig]
	if deliver != nil {
		s.caught[sig] = deliver
	} else {
		delete(s.caught, sig)
	}
	s.mu.Unlock()
	switch {
	case deliver != nil:
		signal.Notify(s.incoming, sig)
	case was && !slices.Contains(markers, os.Signal(sig)) && !slices.Contains(ending, os.Signal(sig)) && sig != syscall.SIGPIPE && !stops(sig):
		signal.Reset(sig)
	}
}

// Settle is settle, as pipeline.Signals has it.
func (s *signals) Settle() { s.settle() }

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
		s.marker = s.unwanted()
		s.marks++
		marker := s.marker
		s.mu.Unlock()
		if !mark(marker) {
			return
		}
		select {
		case <-settled:
		case <-time.After(settlePatience):
			s.mu.Lock()
			s.marks = 0
			s.mu.Unlock()
		}
	}
}

// unwanted returns a marker that the script does not catch, if there is one: two of a
// kind may come as one. The caller holds mu.
func (s *signals) unwanted() os.Signal {
	for _, m := range markers {
		if s.caught[m.(syscall.Signal)] == nil {
			return m
		}
	}
	if len(markers) == 0 {
		return nil
	}
	return markers[0]
}

// untilTimeout returns a context that ends with a timeoutCause.
func untilTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timeoutCause(d))
}
