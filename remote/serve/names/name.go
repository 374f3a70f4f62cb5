package names

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxLabel is the most bytes of a label, RFC 1035 section 2.3.4.
const maxLabel = 63

// A NameError says that a service cannot have its name in the DNS.
type NameError struct {
	Name   string
	Reason string // a sentence's end: what is wrong, and the next step
}

func (e *NameError) Error() string {
	return fmt.Sprintf("service %q cannot have its name in the DNS: %s", e.Name, e.Reason)
}

// CheckName returns nil if name can be the first label of a host name: 1 to 63
// letters, digits and hyphens, no hyphen first or last (RFC 1123 section 2.1).
// Else the error is a *NameError.
//
// That is narrower than the names of programs: a dot would separate labels, a
// plus is no part of a host name, and for an address at a name with an underscore BIND
// does not load the zone (check-names), which would take the other services with it.
func CheckName(name string) error {
	bad := strings.IndexFunc(name, func(r rune) bool { return !isHostByte(r) })
	switch {
	case name == "":
		return &NameError{name, "it is empty"}
	case bad >= 0:
		r, _ := utf8.DecodeRuneInString(name[bad:])
		return &NameError{name, fmt.Sprintf("a host name has letters, digits and hyphens, and no %q%s", r, suggest(name))}
	case name[0] == '-' || name[len(name)-1] == '-':
		return &NameError{name, "a host name neither begins nor ends with a hyphen" + suggest(name)}
	case len(name) > maxLabel:
		return &NameError{name, fmt.Sprintf("it has %d bytes, and a label at most %d: give the program a shorter name", len(name), maxLabel)}
	}
	return nil
}

func isHostByte(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-'
}

// suggest names a next step: a name near to name that is good, if there is one.
func suggest(name string) string {
	near := strings.Map(func(r rune) rune {
		switch {
		case isHostByte(r):
			return r
		case r == '+':
			return 'x' // as in gxx for g++
		}
		return '-'
	}, name)
	near = strings.Trim(near, "-")
	if near == "" || near == name || len(near) > maxLabel {
		return ": give the program another name"
	}
	return fmt.Sprintf(": give the program another name, such as %q", near)
}

// lower is ASCII's, as that of the DNS is (RFC 4343).
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
