package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
)

func TestLengthOfEveryFrameIsWithinItsLimits(t *testing.T) {
	for typ := range layouts {
		l, ok := Type(typ).layout()
		if !ok {
			continue
		}
		for _, n := range []int{l.min - 1, l.min, l.max, l.max + 1} {
			if n < 0 {
				continue
			}
			f := Frame{Type: Type(typ), Payload: make([]byte, n)}
			valid := n >= l.min && n <= l.max
			b, err := AppendFrame(nil, f)
			if (err == nil) != valid {
				t.Errorf("%v of %d bytes: encoding gave %v", f.Type, n, err)
			}
			if !valid {
				b = append([]byte{byte(typ), 0, byte(n >> 16), byte(n >> 8), byte(n)}, f.Payload...)
			}
			got, err := ReadFrame(bytes.NewReader(b))
			if !valid {
				wantProtocolError(t, err, fmt.Sprintf("%v of %d bytes", f.Type, n))
			} else if err != nil || got.Type != f.Type || !bytes.Equal(got.Payload, f.Payload) {
				t.Errorf("%v of %d bytes: decoding gave %v of %d, %v", f.Type, n, got.Type, len(got.Payload), err)
			}
		}
	}
}

func wantProtocolError(t *testing.T, err error, problem string) {
	t.Helper()
	var broken *ProtocolError
	if !errors.As(err, &broken) || broken.Problem != problem {
		t.Errorf("got %v, want protocol error: %s", err, problem)
	}
}

func TestEveryNumberOfATypeIsKnownOrRefused(t *testing.T) {
	for n := range 256 {
		typ := Type(n)
		l, known := typ.layout()
		_, err := ReadFrame(bytes.NewReader(append([]byte{byte(n), 0, 0, byte(l.min >> 8), byte(l.min)}, make([]byte, l.min)...)))
		if known != (err == nil) {
			t.Errorf("%v gave %v", typ, err)
		}
		if _, err := AppendFrame(nil, Frame{Type: typ, Payload: make([]byte, l.min)}); known != (err == nil) {
			t.Errorf("encoding %v gave %v", typ, err)
		}
	}
}

func TestEveryNumberOfAStreamIsKnownOrRefused(t *testing.T) {
	for n := range 256 {
		_, err := ReadFrame(bytes.NewReader([]byte{byte(TypeStop), byte(n), 0, 0, 0}))
		if known := n < streams; known != (err == nil) {
			t.Errorf("STOP of %v gave %v", Stream(n), err)
		}
		_, err = ReadFrame(bytes.NewReader([]byte{byte(TypeStart), byte(n), 0, 0, 0}))
		if known := n == 0; known != (err == nil) {
			t.Errorf("START with %v gave %v", Stream(n), err)
		}
	}
}

func TestFramesAreReadWhateverTheReadsAre(t *testing.T) {
	frames := []Frame{{Type: TypeList}, data(Stderr, "hello"), eof(Stdout, 7)}
	var b bytes.Buffer
	for _, f := range frames {
		if err := WriteFrame(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range []io.Reader{
		iotest.OneByteReader(bytes.NewReader(b.Bytes())),
		iotest.DataErrReader(bytes.NewReader(b.Bytes())),
		iotest.HalfReader(bytes.NewReader(b.Bytes())),
	} {
		for _, want := range frames {
			f, err := ReadFrame(r)
			if err != nil || f.Type != want.Type || f.Stream != want.Stream || !bytes.Equal(f.Payload, want.Payload) {
				t.Errorf("got %v, %v, want %v", f, err, want)
			}
		}
		if _, err := ReadFrame(r); err != io.EOF {
			t.Errorf("after the last frame: %v, want io.EOF", err)
		}
	}
}

func TestErrorOfTheReaderIsPassedOn(t *testing.T) {
	mine := errors.New("mine")
	for n := range 10 {
		b, _ := AppendFrame(nil, data(Stdin, "hello"))
		r := io.MultiReader(bytes.NewReader(b[:n]), iotest.ErrReader(mine))
		if _, err := ReadFrame(r); err != mine {
			t.Errorf("after %d bytes: %v, want the reader's error", n, err)
		}
	}
}
