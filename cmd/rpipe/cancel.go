package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
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

// untilSignal returns a context that INT, TERM and HUP end, with a signalCause.
// Also, a write to a closed stdout or stderr no longer kills this process, which
// has stages to end: it fails. The function returned undoes all that.
func untilSignal(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case sig := <-ending:
			cancel(signalCause(sig.(syscall.Signal)))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(ending)
		signal.Stop(broken)
		cancel(nil)
		<-done
	}
}

// untilTimeout returns a context that ends with a timeoutCause.
func untilTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, timeoutCause(d))
}
