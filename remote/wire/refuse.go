package wire

import "golang.org/x/crypto/cryptobyte"

// Refuse is why a session may not begin. Nothing of it ran.
type Refuse struct {
	Program int    // index in Open.Programs; 0 where no program is to blame
	Status  Status // one of the constants
	Text    string // for people; may hold anything
}

// Status is the reason of a REFUSE, numbered as rpipe's exit status for it.
type Status uint8

// The reasons of version 1.
const (
	StatusBusy     Status = 69  // full, or draining: another time
	StatusIdentity Status = 77  // the caller is not known here, or a ticket is not good
	StatusDenied   Status = 126 // the program or its arguments are not for this caller
	StatusNotFound Status = 127 // no such program
)

func (s Status) valid() bool {
	switch s {
	case StatusBusy, StatusIdentity, StatusDenied, StatusNotFound:
		return true
	}
	return false
}

// Frame encodes r. Text is cut to MaxText, between two characters where it is
// UTF-8.
func (r Refuse) Frame() Frame {
	var b cryptobyte.Builder
	b.AddUint8(uint8(r.Program))
	b.AddUint8(uint8(r.Status))
	addText(&b, r.Text)
	return Frame{Type: TypeRefuse, Payload: b.BytesOrPanic()}
}

// DecodeRefuse decodes the payload of a REFUSE. Its error is a *ProtocolError.
func DecodeRefuse(payload []byte) (Refuse, error) {
	s := cryptobyte.String(payload)
	var program, status uint8
	var r Refuse
	if !s.ReadUint8(&program) || !s.ReadUint8(&status) || !readText(&s, &r.Text) || !s.Empty() {
		return Refuse{}, violation("malformed REFUSE")
	}
	r.Program, r.Status = int(program), Status(status)
	if !r.Status.valid() || r.Program >= MaxPrograms {
		return Refuse{}, violation("REFUSE with status %d for program %d", status, program)
	}
	return r, nil
}
