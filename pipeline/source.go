package pipeline

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/interp"
)

// sources knows which Runners are about to open a file that they will run.
type sources struct {
	mu       sync.Mutex
	expected map[*interp.Runner]*sourced
}

// A sourced is a file that is run.
type sourced struct {
	content io.ReadCloser // instead of the file's, if not nil
	text    *text         // set when it was opened
}

func (s *sources) expect(r *interp.Runner, file *sourced) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expected == nil {
		s.expected = make(map[*interp.Runner]*sourced)
	}
	s.expected[r] = file
}

// take returns what is expected of r, once, or nil.
func (s *sources) take(r *interp.Runner) *sourced {
	s.mu.Lock()
	defer s.mu.Unlock()
	file := s.expected[r]
	delete(s.expected, r)
	return file
}

// source runs a file in the shell of a mark, as the builtin does.
func (x *execution) source(ctx context.Context, sh *shell, hc interp.HandlerContext, args []string) error {
	file, path := &sourced{}, args[0]
	if x.fifos.holds(args[0]) {
		// The interpreter would open it by itself.
		text, err := x.readFIFO(ctx, args[0])
		if err != nil {
			return err
		}
		if lost := x.hunter.cutBy(x.victimOf(sh, hc, args[:1])); lost != nil {
			_ = sh.failed(lost)
			x.cutOff(sh, hc, lost)
			return hc.Builtin(ctx, exitWith(lost.status))
		}
		file.content = text
		args = append([]string{os.DevNull}, args[1:]...)
	}
	runner := runnerOf(hc)
	x.sources.expect(runner, file)
	defer x.pushFile(hc, path)()
	err := hc.Builtin(ctx, append([]string{"source"}, args...))
	x.sources.take(runner)
	x.plan.release(file.text)
	if file.text != nil && file.text.refused != nil {
		return x.refuse(veiled(hc), file.text.refused)
	}
	return err
}

// readFIFO returns what comes out of a FIFO of the script.
func (x *execution) readFIFO(ctx context.Context, path string) (io.ReadCloser, error) {
	f, err := openFIFO(ctx, path, os.O_RDONLY, 0, func(*os.File) {})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSourced))
	return stream{Reader: io.MultiReader(bytes.NewReader(content), failing{err})}, nil
}

// openSource returns the text of a file as it has to be run, and closes the file when
// it is not needed.
func (x *execution) openSource(file *sourced, f io.ReadCloser) io.ReadWriteCloser {
	content, err := io.ReadAll(io.LimitReader(f, maxSourced+1))
	if err != nil || len(content) > maxSourced {
		return stream{io.MultiReader(bytes.NewReader(content), failing{err}, f), io.Discard, f}
	}
	f.Close()
	file.text = x.plan.prepare(string(content))
	if file.text.refused != nil {
		return stream{Reader: failing{}} // nothing of it is run
	}
	return stream{Reader: strings.NewReader(file.text.printed)}
}

// A failing is a reader that fails, or that is at its end if the error is nil.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

// A stream is what the interpreter opens as a file. Nil parts are none.
type stream struct {
	io.Reader
	io.Writer
	io.Closer
}

func (s stream) Close() error {
	if s.Closer == nil {
		return nil
	}
	return s.Closer.Close()
}
