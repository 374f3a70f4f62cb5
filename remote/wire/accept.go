package wire

import "golang.org/x/crypto/cryptobyte"

// Accept says that the programs of an OPEN may run.
type Accept struct {
	Input bool // the first program reads its input; false: the client need not offer it any
}

// Frame encodes a.
func (a Accept) Frame() Frame {
	return Frame{Type: TypeAccept, Payload: []byte{bit(a.Input)}}
}

// DecodeAccept decodes the payload of an ACCEPT. Its error is a *ProtocolError.
func DecodeAccept(payload []byte) (Accept, error) {
	s := cryptobyte.String(payload)
	var a Accept
	if !readFlag(&s, &a.Input) || !s.Empty() {
		return Accept{}, violation("malformed ACCEPT")
	}
	return a, nil
}
