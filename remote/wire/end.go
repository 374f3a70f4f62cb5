package wire

import (
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// End is how one program of a session ended.
type End struct {
	Program int           // index in Open.Programs
	Status  uint8         // exit status; 0 where Signal is set
	Signal  string        // its name without SIG, as in RFC 4254, section 6.10; or ""
	User    time.Duration // in whole microseconds, as is System
	System  time.Duration
	MaxRSS  uint64 // bytes
	In      uint64 // bytes of stdin that crossed the network; 0 but for the first program
	Out     uint64 // bytes of stdout that crossed the network; 0 but for the last program
	// Stopped tells that stdout went over a hop whose other end stopped reading
	// before the output's end, so that death by SIGPIPE is no failure; false but
	// for the last program.
	Stopped bool
}

// Frame encodes e. What the protocol cannot say is put in the nearest words that
// it has, so that the other end still learns how the program ended: a signal
// whose name SignalFrame would refuse is "UNKNOWN", a Status beside a signal is
// left out, and a time out of range is the nearest in range.
func (e End) Frame() Frame {
	if e.Signal != "" {
		e.Status = 0
		if !validSignal(e.Signal) {
			e.Signal = "UNKNOWN"
		}
	}
	var b cryptobyte.Builder
	b.AddUint8(uint8(e.Program))
	b.AddUint8(e.Status)
	addString8(&b, e.Signal)
	b.AddUint64(uint64(min(max(e.User.Microseconds(), 0), maxTime)))
	b.AddUint64(uint64(min(max(e.System.Microseconds(), 0), maxTime)))
	b.AddUint64(e.MaxRSS)
	b.AddUint64(e.In)
	b.AddUint64(e.Out)
	b.AddUint8(bit(e.Stopped))
	return Frame{Type: TypeEnd, Payload: b.BytesOrPanic()}
}

// DecodeEnd decodes the payload of an END. Its error is a *ProtocolError.
func DecodeEnd(payload []byte) (End, error) {
	var e End
	s := cryptobyte.String(payload)
	var program uint8
	var user, system uint64
	if !s.ReadUint8(&program) || !s.ReadUint8(&e.Status) || !readString8(&s, &e.Signal) ||
		!s.ReadUint64(&user) || !s.ReadUint64(&system) || !s.ReadUint64(&e.MaxRSS) ||
		!s.ReadUint64(&e.In) || !s.ReadUint64(&e.Out) || !readFlag(&s, &e.Stopped) || !s.Empty() {
		return End{}, violation("malformed END")
	}
	switch {
	case program >= MaxPrograms, user > maxTime, system > maxTime:
		return End{}, violation("END with a number out of range")
	case e.Signal != "" && (e.Status != 0 || !validSignal(e.Signal)):
		return End{}, violation("END with signal %.32q and status %d", e.Signal, e.Status)
	}
	e.Program = int(program)
	e.User = time.Duration(user) * time.Microsecond
	e.System = time.Duration(system) * time.Microsecond
	return e, nil
}

// SignalFrame encodes a SIGNAL. The name is without SIG, as in RFC 4254,
// section 6.10.
func SignalFrame(name string) (Frame, error) {
	if !validSignal(name) {
		return Frame{}, fmt.Errorf("%.32q is no signal name", name)
	}
	var b cryptobyte.Builder
	addString8(&b, name)
	return Frame{Type: TypeSignal, Payload: b.BytesOrPanic()}, nil
}

// DecodeSignal decodes the payload of a SIGNAL. Its error is a *ProtocolError.
func DecodeSignal(payload []byte) (string, error) {
	s := cryptobyte.String(payload)
	var name string
	if !readString8(&s, &name) || !s.Empty() || !validSignal(name) {
		return "", violation("malformed SIGNAL")
	}
	return name, nil
}

func validSignal(name string) bool {
	if name == "" || len(name) > maxSignal {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '+' && c != '-' {
			return false
		}
	}
	return true
}
