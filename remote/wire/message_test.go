package wire

import (
	"bytes"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func one(p Program) Open { return Open{Programs: []Program{p}} }

func TestOpenThatCannotBeSaidIsAnErrorWhereItIsMade(t *testing.T) {
	args := make([]string, MaxArgs+1)
	for name, o := range map[string]Open{
		"no program":         {},
		"too many programs":  {Programs: slices.Repeat([]Program{{Name: "x"}}, MaxPrograms+1)},
		"no name":            one(Program{}),
		"NUL in a name":      one(Program{Name: "a\x00"}),
		"long name":          one(Program{Name: strings.Repeat("a", 256)}),
		"NUL in an argument": one(Program{Name: "a", Args: []string{"", "b\x00"}}),
		"no variable name":   one(Program{Name: "a", Env: []Env{{Value: "b"}}}),
		"= in a variable":    one(Program{Name: "a", Env: []Env{{Name: "b="}}}),
		"NUL in a variable":  one(Program{Name: "a", Env: []Env{{Name: "b\x00"}}}),
		"NUL in a value":     one(Program{Name: "a", Env: []Env{{Name: "b", Value: "\x00"}}}),
		"long variable name": one(Program{Name: "a", Env: []Env{{Name: strings.Repeat("b", 256)}}}),
		"too many arguments": one(Program{Name: "a", Args: args}),
		"too many in all": {Programs: []Program{
			{Name: "a", Args: args[:MaxArgs]}, {Name: "b", Env: []Env{{Name: "c"}}},
		}},
		"too long an argument": one(Program{Name: "a", Args: []string{strings.Repeat("b", MaxMessage)}}),
		"too long":             one(Program{Name: "a", Args: slices.Repeat([]string{strings.Repeat("b", 1<<10)}, 4<<10)}),
		"too long an env":      one(Program{Name: "a", Env: []Env{{Name: "b", Value: strings.Repeat("b", 17<<20)}}}),
	} {
		if frames, err := o.Frames(); err == nil {
			t.Errorf("%s: encoded to %d frames", name, len(frames))
		}
	}
}

func TestOpenAtItsLimitsArrives(t *testing.T) {
	long := Program{Name: strings.Repeat("n", 255), Args: []string{strings.Repeat("a", MaxMessage-2000)}}
	for i, o := range []Open{
		{Programs: slices.Repeat([]Program{{Name: "x"}}, MaxPrograms)},
		one(Program{Name: "x", Args: make([]string, MaxArgs)}),
		one(long),
	} {
		frames, err := o.Frames()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeOpen(gather(t, frames))
		if err != nil {
			t.Fatal(err)
		}
		again, err := got.Frames()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(frames, again, func(a, b Frame) bool { return bytes.Equal(a.Payload, b.Payload) }) {
			t.Errorf("OPEN %d encodes to other bytes after it was decoded", i)
		}
	}
}

// gather returns the body of a message.
func gather(t testing.TB, frames []Frame) []byte {
	t.Helper()
	var m Message
	for i, f := range frames {
		body, whole, err := m.Add(f)
		if err != nil {
			t.Fatal(err)
		}
		if last := i == len(frames)-1; whole != last || m.Partial() == last {
			t.Fatalf("frame %d of %d: whole %v, partial %v", i+1, len(frames), whole, m.Partial())
		}
		if whole {
			return body
		}
	}
	t.Fatal("no frames")
	return nil
}

func TestEmptyArgumentsTakeBoundedMemory(t *testing.T) {
	const most = 64 << 20
	open := append([]byte{0, 0, 1, 'x', 0x3f, 0xff, 0xff}, make([]byte, 0x3fffff)...)
	open = append(open, 0, 0, 0)
	programs := bytes.Repeat([]byte{1, 'x', 0, 0}, MaxMessage/4)
	for name, decode := range map[string]func() error{
		"OPEN":     func() error { _, err := DecodeOpen(open[:MaxMessage]); return err },
		"PROGRAMS": func() error { _, err := DecodePrograms(programs); return err },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := decode()
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s was decoded", name)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s took %d bytes", name, took)
		}
	}
	_, err := DecodeOpen(append(append([]byte{0, 0, 1, 'x', 0x0c, 0x00, 0x03}, make([]byte, 0x0c0003)...), 0, 0, 0))
	wantProtocolError(t, err, "OPEN of more than 262144 arguments and variables")
	_, err = DecodePrograms(programs)
	wantProtocolError(t, err, "PROGRAMS of more than 65536 programs")
}

func TestMessageTooLongIsRefusedBeforeItIsWhole(t *testing.T) {
	var m Message
	piece := Frame{Type: TypeOpen, Payload: append([]byte{1}, make([]byte, MaxPayload-1)...)}
	for n := MaxPayload - 1; ; n += MaxPayload - 1 {
		_, whole, err := m.Add(piece)
		if whole {
			t.Fatal("it is whole")
		}
		if n > MaxMessage {
			wantProtocolError(t, err, "OPEN longer than 4194304 bytes")
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMessageServesOneAfterTheOther(t *testing.T) {
	var m Message
	for _, name := range []string{"a", "b"} {
		frames, err := one(Program{Name: name, Args: []string{strings.Repeat("x", MaxPayload)}}).Frames()
		if err != nil {
			t.Fatal(err)
		}
		if _, whole, err := m.Add(frames[0]); whole || err != nil {
			t.Fatal(whole, err)
		}
		body, whole, err := m.Add(frames[1])
		if !whole || err != nil {
			t.Fatal(whole, err)
		}
		if o, err := DecodeOpen(body); err != nil || o.Programs[0].Name != name {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func TestTextOfRefuseIsCutBetweenCharacters(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("é", MaxText),
		"x" + strings.Repeat("é", MaxText),
		"xx" + strings.Repeat("世", MaxText),
		strings.Repeat("x", MaxText+1),
	} {
		r, err := DecodeRefuse(Refuse{Status: StatusDenied, Text: text}.Frame().Payload)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, r.Text) || !utf8.ValidString(r.Text) || len(r.Text) <= MaxText-utf8.UTFMax {
			t.Errorf("%.10q was cut to %d bytes: ...%q", text, len(r.Text), r.Text[len(r.Text)-4:])
		}
	}
	binary := strings.Repeat("\x80", 2*MaxText)
	if r, err := DecodeRefuse(Refuse{Status: StatusDenied, Text: binary}.Frame().Payload); err != nil || len(r.Text) < MaxText-utf8.UTFMax {
		t.Errorf("bytes that are no UTF-8: %d of them, %v", len(r.Text), err)
	}
}

func TestEndOfAnyProgramArrives(t *testing.T) {
	const longest = maxTime * time.Microsecond
	for _, c := range []struct{ in, want End }{
		{End{Signal: "TERM", Status: 143}, End{Signal: "TERM"}},
		{End{Signal: "signal 99"}, End{Signal: "UNKNOWN"}},
		{End{Signal: strings.Repeat("A", 300)}, End{Signal: "UNKNOWN"}},
		{End{User: -1, System: math.MinInt64}, End{}},
		{End{User: math.MaxInt64, System: longest + time.Microsecond}, End{User: longest, System: longest}},
		{End{User: 1999 * time.Nanosecond}, End{User: time.Microsecond}},
		{End{Program: 63, Status: 255, MaxRSS: math.MaxUint64}, End{Program: 63, Status: 255, MaxRSS: math.MaxUint64}},
	} {
		got, err := DecodeEnd(c.in.Frame().Payload)
		if err != nil || got != c.want {
			t.Errorf("%+v arrived as %+v, %v, want %+v", c.in, got, err, c.want)
		}
	}
}

func TestSignalThatCannotBeSaidIsAnError(t *testing.T) {
	for _, name := range []string{"", "term", "SIG TERM", strings.Repeat("A", maxSignal+1), "A\x00"} {
		if _, err := SignalFrame(name); err == nil {
			t.Errorf("%q was encoded", name)
		}
	}
}

func TestListThatCannotBeSaidIsAnError(t *testing.T) {
	for name, list := range map[string][]Listing{
		"no name":      {{Summary: "x"}},
		"long name":    {{Name: strings.Repeat("x", 256)}},
		"long summary": {{Name: "x", Summary: strings.Repeat("x", 1<<16)}},
		"too many":     slices.Repeat([]Listing{{Name: "x"}}, MaxListings+1),
		"too long":     slices.Repeat([]Listing{{Name: "x", Summary: strings.Repeat("x", 60_000)}}, 100),
	} {
		if _, err := ProgramsFrames(list); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}
