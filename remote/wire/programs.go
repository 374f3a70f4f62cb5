package wire

import (
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Listing is one program that the caller may run.
type Listing struct {
	Name    string // 1 to 255 bytes
	Summary string // for people; up to 65535 bytes of anything
}

// ProgramsFrames encodes the answer to LIST. It returns an error where a limit
// is passed.
func ProgramsFrames(list []Listing) ([]Frame, error) {
	if len(list) > MaxListings {
		return nil, fmt.Errorf("a list of %d programs is longer than %d", len(list), MaxListings)
	}
	var b cryptobyte.Builder
	for _, l := range list {
		if l.Name == "" || len(l.Name) > 255 || len(l.Summary) > 1<<16-1 {
			return nil, fmt.Errorf("program %.64q cannot be listed: a name of 1 to 255 bytes and a summary of up to 65535 are needed", l.Name)
		}
		addString8(&b, l.Name)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(l.Summary)) })
	}
	body, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return split(TypePrograms, body)
}

// DecodePrograms decodes the body of a PROGRAMS. Its error is a *ProtocolError.
func DecodePrograms(body []byte) ([]Listing, error) {
	var list []Listing
	s := cryptobyte.String(body)
	for !s.Empty() {
		var l Listing
		var summary cryptobyte.String
		if !readString8(&s, &l.Name) || l.Name == "" || !s.ReadUint16LengthPrefixed(&summary) {
			return nil, violation("malformed PROGRAMS")
		}
		if len(list) == MaxListings {
			return nil, violation("PROGRAMS of more than %d programs", MaxListings)
		}
		l.Summary = string(summary)
		list = append(list, l)
	}
	return list, nil
}
