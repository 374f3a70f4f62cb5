package serve

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// outputPipe is our end of a pipe that programs write to.
type outputPipe struct {
	*os.File

	mu      sync.Mutex
	silence time.Duration // 0: no limit
}

// limit ends the output, for its reader, after a silence of d: nothing that is in
// the pipe by then is lost. It takes effect on a Read that is under way.
func (p *outputPipe) limit(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silence = d
	_ = p.SetReadDeadline(time.Now().Add(d))
}

// Read implements io.Reader. While there is something to read, however long ago
// it was written, that comes first.
func (p *outputPipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	if p.silence > 0 { // not since the last Read: its data may have waited for the caller
		_ = p.SetReadDeadline(time.Now().Add(p.silence))
	}
	p.mu.Unlock()
	n, err := p.File.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return n, io.EOF
	}
	return n, err
}
