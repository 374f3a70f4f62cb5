//go:build unix

package cmd_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// The programs of the fault tests are this test binary:
//
//	TEST rpipe-program produce DIR SIZE HOLD   writes SIZE bytes of the stream
//	TEST rpipe-program load DIR MARK HOLD      reads it, and commits it
//
// produce waits when it has written HOLD bytes, or never. load tells when it has
// read MARK bytes; it waits there if HOLD is "mark", and at the end of its input if
// HOLD is "eof". At that end, and only then, it writes DIR/committed: how much it
// has read, and the SHA-256 of that.
//
// DIR holds three FIFOs: in events both tell in lines what they have come to, from
// go-produce and go-load each reads one byte before it goes on. Where nobody holds
// the other end any more they exit with 3.
const programWord = "rpipe-program"

// stream is what produce writes.
func stream() io.Reader {
	return rand.NewChaCha8([32]byte([]byte("a stream that everybody can make")))
}

// streamMarker is what load commits of the first n bytes of it.
func streamMarker(n int64) string {
	sum := sha256.New()
	_, _ = io.CopyN(sum, stream(), n) // neither fails
	return fmt.Sprintf("%d %x", n, sum.Sum(nil))
}

// program runs a program of the tests and returns its exit status; ok is false
// where the arguments name none.
func program(args []string) (status int, ok bool) {
	if len(args) != 6 || args[1] != programWord {
		return 0, false
	}
	p := &testProgram{name: args[2], dir: args[3]}
	run := map[string]func(a, b string) error{"produce": p.produce, "load": p.load}[p.name]
	err := p.tell("start " + strconv.Itoa(os.Getpid()))
	if err == nil {
		err = run(args[4], args[5])
	}
	switch {
	case errors.Is(err, errAlone):
		return 3, true
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.name, err)
		return 1, true
	}
	return 0, true
}

var errAlone = errors.New("the test has gone")

type testProgram struct{ name, dir string }

// tell writes a line of events. It is shorter than PIPE_BUF, so that lines do not
// mix (write(2)).
func (p *testProgram) tell(what string) error {
	f, err := os.OpenFile(filepath.Join(p.dir, "events"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s\n", p.name, what)
	return err
}

// wait returns when the test says so.
func (p *testProgram) wait() error {
	f, err := os.Open(filepath.Join(p.dir, "go-"+p.name))
	if err != nil {
		return err
	}
	defer f.Close()
	if n, _ := f.Read(make([]byte, 1)); n == 0 {
		return errAlone
	}
	return nil
}

func (p *testProgram) produce(size, hold string) error {
	total, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	source := stream()
	if hold != "never" {
		first, err := strconv.ParseInt(hold, 10, 64)
		if err != nil {
			return err
		}
		if err := emit(source, first); err != nil {
			return err
		}
		if err := p.tell("at " + hold); err != nil {
			return err
		}
		if err := p.wait(); err != nil {
			return err
		}
		total -= first
	}
	return emit(source, total)
}

// emit writes n bytes to stdout, in pieces of the size of a pipe.
func emit(source io.Reader, n int64) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{os.Stdout}, io.LimitReader(source, n), make([]byte, 64<<10))
	return err
}

func (p *testProgram) load(mark, hold string) error {
	n, err := strconv.ParseInt(mark, 10, 64)
	if err != nil {
		return err
	}
	taken := &counter{w: sha256.New()}
	_, err = io.CopyN(taken, os.Stdin, n)
	switch {
	case err == io.EOF:
	case err != nil:
		return err
	default:
		if err := p.tell("at " + mark); err != nil {
			return err
		}
		if hold == "mark" {
			if err := p.wait(); err != nil {
				return err
			}
		}
		if _, err := io.Copy(taken, os.Stdin); err != nil {
			return err
		}
	}
	if err := p.tell("eof"); err != nil {
		return err
	}
	if hold == "eof" {
		if err := p.wait(); err != nil {
			return err
		}
	}
	return commit(filepath.Join(p.dir, "committed"), taken)
}

// commit writes the marker, at once or not at all.
func commit(marker string, taken *counter) error {
	text := fmt.Sprintf("%d %x", taken.n, taken.w.Sum(nil))
	if err := os.WriteFile(marker+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(marker+".new", marker)
}

// counter is a hash that counts.
type counter struct {
	w hash.Hash
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}
