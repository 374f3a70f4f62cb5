package serve

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// outputPipe is our end of a pipe that programs write to.
type outputPipe struct {
	*os.File
	lost  func() bool // nil: never; true makes an end none
	first []byte      // read before what the programs write

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

// errLost is an end of output that came with the loss of the programs.
var errLost = errors.New("its programs were killed")

// Read implements io.Reader. While there is something to read, however long ago
// it was written, that comes first. The end of programs that were lost is an
// *fs.PathError, and no io.EOF.
func (p *outputPipe) Read(b []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	p.mu.Lock()
	if p.silence > 0 { // not since the last Read: its data may have waited for the caller
		_ = p.SetReadDeadline(time.Now().Add(p.silence))
	}
	p.mu.Unlock()
	n, err := p.File.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = io.EOF
	}
	if err == io.EOF && p.wasCut() {
		err = &fs.PathError{Op: "read", Path: p.Name(), Err: errLost}
	}
	return n, err
}

// wasCut reports whether the end of the pipe is none: the programs were lost. It is
// exact at that end.
func (p *outputPipe) wasCut() bool { return p.lost != nil && p.lost() }
