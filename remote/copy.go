package remote

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"rpipe/remote/pollfd"
	"rpipe/remote/wire"
)

// copyIn sends the input. Only an end of input that was seen ends the stream; one
// that comes after the context was done is the end of whoever was cancelled too.
func (c *Cmd) copyIn() {
	in := c.session.Stdin
	if c.Stdin == nil || !c.client.accept.Input {
		_ = in.Close()
		return
	}
	r := &errorReader{r: c.waker.Reader(c.Stdin)}
	_, err := in.ReadFrom(r)
	ended := err == nil && (c.Ended == nil || c.Ended())
	switch {
	case err == nil && c.ctx.Err() != nil:
		in.Abort() // and cancel ends the programs
	case ended:
		_ = in.Close()
	case err == nil:
		c.Abort()
	case r.err != nil && r.err != io.EOF && r.err != pollfd.ErrWoken:
		c.fail(&CopyError{Stream: wire.Stdin, Err: r.err})
		c.Abort()
	} // else it was stopped, aborted, or the connection has ended
}

// copyOut writes one output. A reader that has gone is told to the host, whose
// program then gets SIGPIPE.
func (c *Cmd) copyOut(id wire.Stream, from *wire.Receiver, to io.Writer) {
	w := &errorWriter{w: to}
	_, _ = from.WriteTo(w)
	if w.err == nil {
		return
	}
	if !errors.Is(w.err, syscall.EPIPE) && !errors.Is(w.err, io.ErrClosedPipe) {
		c.fail(&CopyError{Stream: id, Err: w.err})
	}
	from.Stop()
}

func (c *Cmd) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = err
	}
}

// errorWriter keeps the last error of w, to tell it from the stream's own.
type errorWriter struct {
	w   io.Writer
	err error
}

func (e *errorWriter) Write(p []byte) (int, error) {
	n, err := e.w.Write(p)
	e.err = err
	return n, err
}

// errorReader keeps the last error of r, likewise.
type errorReader struct {
	r   io.Reader
	err error
}

func (e *errorReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.err = err
	return n, err
}

// lockedWriter serialises two streams into one writer, as os/exec does.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// sameWriter reports whether two writers are one, and not a file, whose writes
// the kernel serialises.
func sameWriter(a, b io.Writer) bool {
	if _, ok := a.(*os.File); ok {
		return false
	}
	defer func() { _ = recover() }() // of types that cannot be compared
	return a != nil && a == b
}
