package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"testing"

	"rpipe/remote/wire/wiretest"
)

const vectorsDir = "testdata/vectors"

// decode turns frames into the text of a vector's decoded field.
func decode(b []byte) (string, error) {
	var text strings.Builder
	var m Message
	for r := bytes.NewReader(b); ; {
		f, err := ReadFrame(r)
		if err == io.EOF {
			return text.String(), nil
		}
		if err != nil {
			return "", err
		}
		switch f.Type {
		case TypeAccept:
			a, err := DecodeAccept(f.Payload)
			if err != nil {
				return "", err
			}
			if a.Input {
				text.WriteString("ACCEPT input\n")
			} else {
				text.WriteString("ACCEPT no-input\n")
			}
		case TypeStart, TypeList, TypePause, TypeRelay, TypeTaken:
			fmt.Fprintf(&text, "%v\n", f.Type)
		case TypeData:
			fmt.Fprintf(&text, "DATA %v %v\n", f.Stream, quote(string(f.Payload)))
		case TypeEOF:
			fmt.Fprintf(&text, "EOF %v %d\n", f.Stream, number(f.Payload))
		case TypeStop:
			fmt.Fprintf(&text, "STOP %v\n", f.Stream)
		case TypeWindow:
			fmt.Fprintf(&text, "WINDOW %v %d\n", f.Stream, credit(f.Payload))
		case TypePing, TypePong:
			fmt.Fprintf(&text, "%v %d\n", f.Type, number(f.Payload))
		case TypeSignal:
			name, err := DecodeSignal(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "SIGNAL %q\n", name)
		case TypeRefuse:
			r, err := DecodeRefuse(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "REFUSE program %d status %d %s\n", r.Program, r.Status, quote(r.Text))
		case TypeEnd:
			e, err := DecodeEnd(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "END program %d status %d signal %q user %d system %d maxrss %d in %d out %d",
				e.Program, e.Status, e.Signal, e.User.Microseconds(), e.System.Microseconds(), e.MaxRSS, e.In, e.Out)
			if e.Stopped {
				text.WriteString(" stopped")
			}
			text.WriteString("\n")
		case TypeHop:
			h, err := DecodeHop(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "HOP %s peer %s secret %s digest %s\n",
				quote(h.Name), quote(string(h.Peer)), quote(string(h.Secret[:])), quote(string(h.Digest[:])))
		case TypeHopped:
			h, err := DecodeHopped(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "HOPPED %s %s\n", map[bool]string{true: "made", false: "refused"}[h.Made], quote(h.Text))
		case TypeTake:
			k, err := DecodeTake(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "TAKE direction %d secret %s digest %s\n", k.Direction, quote(string(k.Secret[:])), quote(string(k.Digest[:])))
		case TypeLost:
			l, err := DecodeLost(f.Payload)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, "LOST in %d %s\n", l.In, quote(l.Text))
		case TypeOpen, TypePrograms:
			body, whole, err := m.Add(f)
			if err != nil {
				return "", err
			}
			if whole {
				err = decodeMessage(&text, f.Type, body)
			}
			if err != nil {
				return "", err
			}
		}
	}
}

func decodeMessage(text *strings.Builder, t Type, body []byte) error {
	fmt.Fprintf(text, "%v\n", t)
	if t == TypePrograms {
		list, err := DecodePrograms(body)
		for _, l := range list {
			fmt.Fprintf(text, "  program %s %s\n", quote(l.Name), quote(l.Summary))
		}
		return err
	}
	o, err := DecodeOpen(body)
	if o.In != nil {
		fmt.Fprintf(text, "  in secret %s peer %s\n", quote(string(o.In.Secret[:])), quote(string(o.In.Peer)))
	}
	if o.Out {
		text.WriteString("  out\n")
	}
	for _, p := range o.Programs {
		fmt.Fprintf(text, "  program %s\n", quote(p.Name))
		for _, a := range p.Args {
			fmt.Fprintf(text, "    arg %s\n", quote(a))
		}
		for _, e := range p.Env {
			fmt.Fprintf(text, "    env %s %s", quote(e.Name), quote(e.Value))
			if e.Required {
				text.WriteString(" required")
			}
			text.WriteString("\n")
		}
	}
	return err
}

// quote is strconv.Quote, with long runs of one byte cut short.
func quote(s string) string {
	if len(s) >= 32 && strings.Count(s, s[:1]) == len(s) {
		return fmt.Sprintf("%q*%d", s[:1], len(s))
	}
	return strconv.Quote(s)
}

// encode turns the text of a vector's decoded field into frames.
func encode(text string) ([]byte, error) {
	e := encoder{words: []string{}}
	for line := range strings.Lines(text) {
		e.words = split8(strings.TrimRight(line, "\n"))
		if !strings.HasPrefix(line, " ") {
			e.flush()
		}
		e.line()
	}
	e.flush()
	return e.out, errors.Join(e.errs...)
}

// encoder collects the lines of a message, and writes it with the next frame.
type encoder struct {
	words    []string
	open     *Open
	programs *[]Listing
	out      []byte
	errs     []error
}

func (e *encoder) word() string {
	if len(e.words) == 0 {
		e.errs = append(e.errs, errors.New("a word is missing"))
		return ""
	}
	w := e.words[0]
	e.words = e.words[1:]
	return w
}

// number takes the word "name", where there is one, and a number.
func (e *encoder) number(name string) uint64 {
	if name != "" && e.word() != name {
		e.errs = append(e.errs, fmt.Errorf("%q is missing", name))
	}
	n, err := strconv.ParseUint(e.word(), 10, 64)
	e.errs = append(e.errs, err)
	return n
}

func (e *encoder) string(name string) string {
	if name != "" && e.word() != name {
		e.errs = append(e.errs, fmt.Errorf("%q is missing", name))
	}
	word := e.word()
	quoted, _ := strconv.QuotedPrefix(word)
	s, err := strconv.Unquote(quoted)
	if times, repeated := strings.CutPrefix(word[len(quoted):], "*"); repeated {
		var n int
		n, err = strconv.Atoi(times)
		s = strings.Repeat(s, n)
	}
	e.errs = append(e.errs, err)
	return s
}

// flag takes the word "name", where there is one.
func (e *encoder) flag(name string) bool { return len(e.words) > 0 && e.word() == name }

func (e *encoder) stream() Stream {
	name := e.word()
	for s := range Stream(streams) {
		if s.String() == name {
			return s
		}
	}
	e.errs = append(e.errs, fmt.Errorf("no stream %q", name))
	return 0
}

func (e *encoder) frames(frames []Frame, err error) {
	e.errs = append(e.errs, err)
	for _, f := range frames {
		var err error
		e.out, err = AppendFrame(e.out, f)
		e.errs = append(e.errs, err)
	}
}

func (e *encoder) frame(f Frame) { e.frames([]Frame{f}, nil) }

func (e *encoder) flush() {
	if e.open != nil {
		e.frames(e.open.Frames())
	}
	if e.programs != nil {
		e.frames(ProgramsFrames(*e.programs))
	}
	e.open, e.programs = nil, nil
}

func (e *encoder) line() {
	switch kind := e.word(); kind {
	case "ACCEPT":
		e.frame(Accept{Input: e.word() == "input"}.Frame())
	case "START":
		e.frame(Frame{Type: TypeStart})
	case "LIST":
		e.frame(Frame{Type: TypeList})
	case "DATA":
		e.frame(Frame{Type: TypeData, Stream: e.stream(), Payload: []byte(e.string(""))})
	case "EOF":
		e.frame(numberFrame(TypeEOF, e.stream(), e.number("")))
	case "STOP":
		e.frame(Frame{Type: TypeStop, Stream: e.stream()})
	case "WINDOW":
		e.frame(windowFrame(e.stream(), uint32(e.number(""))))
	case "PING":
		e.frame(numberFrame(TypePing, 0, e.number("")))
	case "PONG":
		e.frame(numberFrame(TypePong, 0, e.number("")))
	case "SIGNAL":
		f, err := SignalFrame(e.string(""))
		e.frames([]Frame{f}, err)
	case "REFUSE":
		e.frame(Refuse{
			Program: int(e.number("program")), Status: Status(e.number("status")), Text: e.string(""),
		}.Frame())
	case "END":
		e.frame(End{
			Program: int(e.number("program")), Status: uint8(e.number("status")), Signal: e.string("signal"),
			User: microseconds(e.number("user")), System: microseconds(e.number("system")),
			MaxRSS: e.number("maxrss"), In: e.number("in"), Out: e.number("out"), Stopped: e.flag("stopped"),
		}.Frame())
	case "HOP":
		h := Hop{Name: e.string(""), Peer: []byte(e.string("peer"))}
		copy(h.Secret[:], e.string("secret"))
		copy(h.Digest[:], e.string("digest"))
		f, err := h.Frame()
		e.frames([]Frame{f}, err)
	case "HOPPED":
		e.frame(Hopped{Made: e.word() == "made", Text: e.string("")}.Frame())
	case "PAUSE":
		e.frame(Frame{Type: TypePause})
	case "RELAY":
		e.frame(Frame{Type: TypeRelay})
	case "TAKE":
		k := Take{Direction: Direction(e.number("direction"))}
		copy(k.Secret[:], e.string("secret"))
		copy(k.Digest[:], e.string("digest"))
		e.frame(k.Frame())
	case "TAKEN":
		e.frame(Frame{Type: TypeTaken})
	case "LOST":
		e.frame(Lost{In: e.number("in"), Text: e.string("")}.Frame())
	case "in":
		e.open.In = new(Ticket)
		copy(e.open.In.Secret[:], e.string("secret"))
		e.open.In.Peer = []byte(e.string("peer"))
	case "out":
		e.open.Out = true
	case "OPEN":
		e.open = new(Open)
	case "PROGRAMS":
		e.programs = new([]Listing)
	case "program":
		if e.programs != nil {
			*e.programs = append(*e.programs, Listing{Name: e.string(""), Summary: e.string("")})
		} else {
			e.open.Programs = append(e.open.Programs, Program{Name: e.string("")})
		}
	case "arg":
		p := &e.open.Programs[len(e.open.Programs)-1]
		p.Args = append(p.Args, e.string(""))
	case "env":
		p := &e.open.Programs[len(e.open.Programs)-1]
		v := Env{Name: e.string(""), Value: e.string("")}
		v.Required = e.flag("required")
		p.Env = append(p.Env, v)
	default:
		e.errs = append(e.errs, fmt.Errorf("no frame %q", kind))
	}
	if len(e.words) > 0 {
		e.errs = append(e.errs, fmt.Errorf("needless words %q", e.words))
	}
}

// split8 splits a line at spaces outside of quotes.
func split8(line string) []string {
	var words []string
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		n := 0
		if quoted, err := strconv.QuotedPrefix(line); err == nil {
			n = len(quoted)
		}
		if i := strings.IndexByte(line[n:], ' '); i >= 0 {
			n += i
		} else {
			n = len(line)
		}
		words = append(words, line[:n])
		line = line[n:]
	}
	return words
}

func TestVectorsDecodeAndEncodeToTheSameBytes(t *testing.T) {
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		if v.Reason != "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			text, err := decode(v.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(text, "\n"); got != v.Decoded {
				t.Errorf("decoded:\n%s\nwant:\n%s", got, v.Decoded)
			}
			b, err := encode(v.Decoded + "\n")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, v.Bytes) {
				t.Errorf("encoded:\n% .200x\nwant:\n% .200x", b, v.Bytes)
			}
		})
	}
}

func TestInvalidVectorsAreProtocolErrorsWithTheirReason(t *testing.T) {
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		if v.Reason == "" || v.State != "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			text, err := decode(v.Bytes)
			var broken *ProtocolError
			if !errors.As(err, &broken) {
				t.Fatalf("decoded to %q, %v; want a ProtocolError", text, err)
			}
			if broken.Problem != v.Reason {
				t.Errorf("problem %q, want %q", broken.Problem, v.Reason)
			}
		})
	}
}

// cuts yields the places where a truncation of b, which is whole frames, is
// tried: every one, but within a long payload, whose bytes are all alike to the
// decoder, one in 251. It says where the frame begins that is cut.
func cuts(b []byte) iter.Seq2[int, int] {
	return func(yield func(frame, n int) bool) {
		for frame := 0; frame < len(b); {
			end := frame + HeaderLen + int(b[frame+2])<<16 + int(b[frame+3])<<8 + int(b[frame+4])
			for n := frame; n < end; n++ {
				if edge := 64; n-frame > edge && end-n > edge && n%251 != 0 {
					continue
				}
				if !yield(frame, n) {
					return
				}
			}
			frame = end
		}
	}
}

func TestEveryTruncationOfAVectorIsAnError(t *testing.T) {
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		if v.Reason != "" {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			for frame, n := range cuts(v.Bytes) {
				want := io.ErrUnexpectedEOF
				if n == frame {
					want = io.EOF
				}
				if _, err := ReadFrame(bytes.NewReader(v.Bytes[frame:n])); err != want {
					t.Fatalf("of %d bytes the first %d give %v, want %v", len(v.Bytes), n, err, want)
				}
			}
		})
	}
}

func TestEveryTruncationOfAMessageIsAnError(t *testing.T) {
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		if v.Reason != "" {
			continue
		}
		frames := readAll(t, v.Bytes)
		if len(frames) != 1 {
			continue
		}
		var decode func([]byte) error
		switch frames[0].Type {
		case TypeOpen:
			decode = func(p []byte) error { _, err := DecodeOpen(p); return err }
		case TypeRefuse:
			decode = func(p []byte) error { _, err := DecodeRefuse(p); return err }
		case TypeEnd:
			decode = func(p []byte) error { _, err := DecodeEnd(p); return err }
		case TypeSignal:
			decode = func(p []byte) error { _, err := DecodeSignal(p); return err }
		case TypeHop:
			decode = func(p []byte) error { _, err := DecodeHop(p); return err }
		case TypeHopped:
			decode = func(p []byte) error { _, err := DecodeHopped(p); return err }
		case TypeTake:
			decode = func(p []byte) error { _, err := DecodeTake(p); return err }
		case TypeLost:
			decode = func(p []byte) error { _, err := DecodeLost(p); return err }
		default:
			continue // PROGRAMS: a shorter list is a list
		}
		t.Run(v.Name, func(t *testing.T) {
			payload := frames[0].Payload
			if frames[0].Type == TypeOpen {
				payload = payload[1:]
			}
			for n := range payload {
				if n > 4096 && n < len(payload)-4096 {
					continue
				}
				if v.Name == "open-fused" && n == programEnd(payload) {
					continue // a session of the first program alone
				}
				var broken *ProtocolError
				if err := decode(payload[:n]); !errors.As(err, &broken) {
					t.Fatalf("the first %d bytes of %d give %v, want a ProtocolError", n, len(payload), err)
				}
			}
		})
	}
}

// programEnd returns the length of an OPEN's body up to its second program, whose
// name begins with w.
func programEnd(body []byte) int { return bytes.Index(body, []byte("\x02wc")) }

func readAll(t testing.TB, b []byte) []Frame {
	t.Helper()
	var frames []Frame
	for r := bytes.NewReader(b); ; {
		f, err := ReadFrame(r)
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
}
