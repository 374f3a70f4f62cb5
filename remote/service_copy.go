package remote

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"rpipe/remote/pollfd"
	"rpipe/remote/wire"
)

// copySize is that of the buffers, where bytes go through user space.
const copySize = 64 << 10

// copyIn sends the input, and its end.
func (s *Service) copyIn() {
	if s.Stdin != nil {
		switch own, err := s.send(); {
		case err == nil:
		case errors.Is(err, pollfd.ErrWoken):
			return
		case own:
			s.end(&CopyError{Stream: wire.Stdin, Err: err})
			return
		case errors.Is(err, net.ErrClosed): // by end
			return
		case errors.Is(err, syscall.EPIPE), s.isUnread(err):
			// It reads no more. Whether it had ended well, the end of the output tells:
			// after a reset the kernel gives ECONNRESET to one of us, and EPIPE
			// to who comes later, and where a FIN had come before.
			return
		default:
			// The reader of the output may see a plain end now. What has arrived
			// is still written.
			s.mu.Lock()
			s.judge(&LostError{Service: true, Err: err})
			s.mu.Unlock()
			return
		}
	}
	s.mu.Lock()
	s.inputDone = true
	s.mu.Unlock()
	ended := s.Ended == nil || s.Ended()
	switch {
	case s.ctx.Err() != nil: // it may be the end of whoever was cancelled, too
		s.end(context.Cause(s.ctx))
	case !ended || !s.endInput():
		s.end(errKilled())
	}
}

// send copies Stdin to the connection. own tells that the error is one of Stdin.
func (s *Service) send() (own bool, err error) {
	if f, ok := s.Stdin.(*os.File); ok {
		if conn, ok := s.conn.(syscall.Conn); ok {
			err := s.waker.Send(conn, f, func(n int64) { s.in.Add(n) })
			if !errors.Is(err, errors.ErrUnsupported) {
				return false, err
			}
		}
	}
	in := s.waker.Reader(s.Stdin)
	buf := make([]byte, copySize)
	for {
		if err := s.awaitRoom(); err != nil {
			return false, err
		}
		n, err := in.Read(buf)
		if n > 0 {
			sent, werr := s.conn.Write(buf[:n])
			s.in.Add(int64(sent))
			if werr != nil {
				return false, werr
			}
		}
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return true, err
		}
	}
}

// awaitRoom waits until the connection takes bytes.
func (s *Service) awaitRoom() error {
	if conn, ok := s.conn.(syscall.Conn); ok {
		return s.waker.AwaitRoom(conn)
	}
	return nil
}

// copyOut writes the output.
func (s *Service) copyOut() {
	own, err := s.receive()
	switch {
	case err == nil, !own && s.isUnread(err):
		s.mu.Lock()
		close(s.outputEnd)
		s.mu.Unlock()
	case errors.Is(err, pollfd.ErrWoken):
	case own && (errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)):
		s.leave()
	case own:
		s.end(&CopyError{Stream: wire.Stdout, Err: err})
	case errors.Is(err, net.ErrClosed): // by end
	default:
		s.lose(err)
	}
}

// receive copies the connection to Stdout. own tells that the error is one of Stdout.
func (s *Service) receive() (own bool, err error) {
	if f, ok := s.Stdout.(*os.File); ok {
		if conn, ok := s.conn.(syscall.Conn); ok {
			err := s.waker.Receive(f, conn, func(n int64) { s.out.Add(n) })
			if !errors.Is(err, errors.ErrUnsupported) {
				var output *fs.PathError
				return errors.As(err, &output), err
			}
		}
	}
	out := io.Discard
	if s.Stdout != nil {
		out = s.waker.Writer(s.Stdout)
	}
	buf := make([]byte, copySize)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			written, werr := out.Write(buf[:n])
			s.out.Add(int64(max(written, 0)))
			if werr == nil && written < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return true, werr
			}
		}
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		}
	}
}

// isUnread reports whether an error is that of a Unix socket whose peer has not read
// all when it was closed, and no more than that: all of its output arrives
// before.
func (s *Service) isUnread(err error) bool {
	return s.Network == "unix" && errors.Is(err, syscall.ECONNRESET)
}

// leave ends the call because nobody reads the rest of the output.
func (s *Service) leave() {
	s.mu.Lock()
	select {
	case <-s.outputEnd: // it is complete
		s.mu.Unlock()
		return
	default:
	}
	if s.err == nil && !s.closing {
		s.readerGone = true
	}
	s.mu.Unlock()
	s.end(&ExitError{Signal: "PIPE"})
}

// watchReader ends the call as soon as nobody reads Stdout, before a write.
func (s *Service) watchReader() {
	if s.waker.AwaitReaderGone(s.Stdout) {
		s.leave()
	}
}

// watchCancel ends the call when the context is done, or after Abort.
func (s *Service) watchCancel() {
	select {
	case <-s.aborted:
		s.end(errKilled())
	case <-s.ctx.Done():
		s.end(context.Cause(s.ctx))
	case <-s.over:
	}
}

// watchHangup leaves the input alone when the service has ended its output, and then
// is seen to read no more.
func (s *Service) watchHangup() {
	select {
	case <-s.outputEnd:
	case <-s.over:
		return
	}
	if conn, ok := s.conn.(syscall.Conn); ok && s.waker.AwaitHangup(conn) {
		s.waker.Wake()
	}
}

// watchQuiet leaves the input alone when the service has ended its output, and then
// nothing comes that could be sent, for as long as Patience.
func (s *Service) watchQuiet() {
	patience := s.Patience
	if f, ok := s.Stdin.(*os.File); ok && patience == 0 && pollfd.IsTerminal(f) {
		patience = DefaultPatience
	}
	if patience <= 0 {
		return
	}
	select {
	case <-s.outputEnd:
	case <-s.over:
		return
	}
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for sent, full := s.in.Load(), s.isFull(); ; {
		select {
		case <-ticker.C:
		case <-s.over:
			return
		}
		sentBefore, fullBefore := sent, full
		full, sent = s.isFull(), s.in.Load()
		s.mu.Lock()
		inputDone := s.inputDone
		s.mu.Unlock()
		if sent == sentBefore && !full && !fullBefore && !inputDone {
			s.end(nil)
			return
		}
	}
}
