package pipeline

import (
	"context"
	"sync"
	"time"
)

// lateness tells when everything that runs under a context ought to have ended,
// because the context was done long enough ago for all of it to be killed.
type lateness struct {
	come  chan struct{} // closed when it is late
	watch func() bool   // stops waiting for the context

	mu    sync.Mutex
	timer *time.Timer
}

// lateness returns that of ctx. stop frees it.
func (x *execution) lateness(ctx context.Context) *lateness {
	l := &lateness{come: make(chan struct{})}
	l.watch = context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		// A remote command has the grace, then as long again for KILL.
		l.timer = time.AfterFunc(2*x.opts.Grace+time.Second, func() { close(l.come) })
	})
	return l
}

func (l *lateness) stop() {
	l.watch()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
}

// await calls f and returns its error, or errGivenUp when it is late; f is then
// left running.
func (l *lateness) await(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-l.come:
		return errGivenUp
	}
}
