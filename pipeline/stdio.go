package pipeline

import (
	"context"
	"io"
	"os"
	"sync"
)

// streams are the standard streams of a script as files.
type streams struct {
	stdin, stdout, stderr *os.File

	owned    []*os.File // closed at the end
	captures []*capture
	mu       sync.Mutex // serialises the captures' writes
}

// open makes files of the streams in opts. On an error nothing is left open.
func (s *streams) open(opts *Options) (err error) {
	if s.stdin, err = s.input(opts.Stdin); err == nil {
		s.stdout, err = s.output(opts.Stdout)
	}
	if err == nil {
		if opts.Stdout != nil && same(opts.Stdout, opts.Stderr) {
			s.stderr = s.stdout
		} else {
			s.stderr, err = s.output(opts.Stderr)
		}
	}
	if err != nil {
		_ = s.close(context.Background())
	}
	return err
}

func (s *streams) input(r io.Reader) (*os.File, error) {
	switch r := r.(type) {
	case nil:
		return s.own(os.Open(os.DevNull))
	case *os.File:
		return r, nil
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = io.Copy(pw, r)
		pw.Close()
	}()
	return s.own(pr, nil)
}

func (s *streams) output(w io.Writer) (*os.File, error) {
	switch w := w.(type) {
	case nil:
		return s.own(os.OpenFile(os.DevNull, os.O_WRONLY, 0))
	case *os.File:
		return w, nil
	}
	c, err := newCapture(w, &s.mu)
	if err != nil {
		return nil, err
	}
	s.captures = append(s.captures, c)
	return s.own(c.file, nil)
}

func (s *streams) own(f *os.File, err error) (*os.File, error) {
	if err == nil {
		s.owned = append(s.owned, f)
	}
	return f, err
}

// close closes what open has opened and waits for what is captured, as
// capture.wait. The error is that of a writer.
func (s *streams) close(ctx context.Context) error {
	for _, f := range s.owned {
		f.Close()
	}
	var first error
	for _, c := range s.captures {
		if err := c.wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}
