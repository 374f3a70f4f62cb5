package parser

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxHost    = 253 // RFC 1035, section 2.3.4, in text form
	maxLabel   = 63  // the same
	maxProgram = 255
	maxPort    = 65535
)

// An Address is what the name of a remote stage says: a program on a host, or a
// service. The zero Address names nothing.
type Address struct {
	Host    string // name, IPv4, or IPv6 in canonical form (RFC 5952) without brackets; "" for a Socket
	Port    int    // 1 to 65535; 0: the default, which differs for programs and services
	Program string // "" for a service

	// Socket is the absolute path of the Unix socket of a service. Host, Port
	// and Program are zero then.
	Socket string
}

// IsService reports whether the address names a service rather than a program.
// It is false for the zero Address.
func (a Address) IsService() bool {
	return a.Program == "" && (a.Host != "" || a.Socket != "")
}

// String returns the address in the form that [ParseAddress] reads: "@host",
// "@host:port", "@host:program", "@host:port:program" or "@unix:/path", IPv6 in
// brackets. It is "@" for the zero Address.
func (a Address) String() string {
	if a.Socket != "" {
		return "@unix:" + a.Socket
	}
	s := "@" + a.Host
	if strings.Contains(a.Host, ":") {
		s = "@[" + a.Host + "]"
	}
	if a.Port != 0 {
		s += ":" + strconv.Itoa(a.Port)
	}
	if a.Program != "" {
		s += ":" + a.Program
	}
	return s
}

// CheckArgs returns an *[AddressError] if a is a service and there are args: a
// service is a plain stream, which has no place for them.
func (a Address) CheckArgs(args []string) error {
	if len(args) == 0 || !a.IsService() {
		return nil
	}
	word := a.String()
	return &AddressError{Word: word, Offset: len(word), Problem: a.argsProblem(args[0])}
}

// argsProblem words the complaint about arguments of a service. The first of
// them is likely to be meant as the program.
func (a Address) argsProblem(first string) string {
	const problem = "this is a service, which takes no arguments"
	switch {
	case a.Socket != "":
		return problem
	case checkProgram(first) == nil:
		return fmt.Sprintf("%s; to run %s there write %s:%s", problem, first, a, first)
	}
	return fmt.Sprintf("%s; to run a program there write %s:PROGRAM", problem, a)
}

// An AddressError tells why a word is no address of a remote stage.
type AddressError struct {
	Word    string // as given
	Offset  int    // of the problem in Word, in bytes; may be its length
	Problem string // with what to write instead
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("bad address %s: %s", quote(e.Word), e.Problem)
}

// ExitStatus is that of a syntax error: 2.
func (e *AddressError) ExitStatus() int { return 2 }

// ParseAddress reads the name of a remote stage, after expansion:
//
//	@host:program    @host:port:program    a program
//	@host            @host:port            a service
//	@unix:/path                            a service on a Unix socket
//
// A host is a name as RFC 1123 has it, "_" being allowed too, or an IPv4
// address, or an IPv6 address in brackets, with its zone if need be. The name
// "unix" is reserved; a host called so is written "unix." with its final dot. A
// program matches [A-Za-z_][A-Za-z0-9._+-]* and so is never taken for a port.
// The error is an *[AddressError].
func ParseAddress(word string) (Address, error) {
	a, bad := parseAddress(word)
	if bad != nil {
		return Address{}, &AddressError{Word: word, Offset: bad.offset, Problem: bad.problem}
	}
	return a, nil
}

// A fault is a problem at an offset of a text.
type fault struct {
	offset  int
	problem string
}

func faultf(offset int, format string, args ...any) *fault {
	return &fault{offset, fmt.Sprintf(format, args...)}
}

// at returns f moved by offset bytes; f may be nil.
func (f *fault) at(offset int) *fault {
	if f != nil {
		f.offset += offset
	}
	return f
}

func parseAddress(word string) (Address, *fault) {
	body, ok := strings.CutPrefix(word, "@")
	switch {
	case !ok:
		return Address{}, faultf(0, `an address begins with "@"`)
	case body == "":
		return Address{}, faultf(1, `no host after "@"; write @HOST:PROGRAM`)
	case body == "unix" || strings.HasPrefix(body, "unix:"):
		path, f := parseSocket(body[len("unix"):])
		return Address{Socket: path}, f.at(len("@unix"))
	case body[0] == '[':
		host, rest, f := cutBrackets(body)
		if f != nil {
			return Address{}, f.at(1)
		}
		return parseFields(Address{Host: host}, rest, len(word)-len(rest))
	}
	if f := checkBareIPv6(body); f != nil {
		return Address{}, f.at(1)
	}
	host, _, _ := strings.Cut(body, ":")
	if f := checkHost(host); f != nil {
		return Address{}, f.at(1)
	}
	return parseFields(Address{Host: host}, body[len(host):], 1+len(host))
}

// parseSocket reads what follows "@unix".
func parseSocket(rest string) (string, *fault) {
	path, _ := strings.CutPrefix(rest, ":")
	if !strings.HasPrefix(path, "/") {
		return "", faultf(0, `"unix" is reserved for sockets; write @unix:/PATH, or "unix." for a host of that name`)
	}
	if i := strings.IndexByte(path, ':'); i >= 0 {
		return "", faultf(1+i, "a socket is a service, nothing follows its path; write @unix:%s", visible(path[:i]))
	}
	if i := strings.IndexByte(path, 0); i >= 0 {
		return "", faultf(1+i, "a path cannot hold a NUL byte")
	}
	return path, nil
}

// cutBrackets reads the IPv6 address in brackets that body begins with and
// returns it with what follows.
func cutBrackets(body string) (host, rest string, f *fault) {
	end := strings.IndexByte(body, ']')
	if end < 0 {
		return "", "", faultf(0, `no "]" after the IPv6 address; write @[ADDRESS]:PROGRAM`)
	}
	inside, rest := body[1:end], body[end+1:]
	host, ok := parseIPv6(inside)
	switch {
	case ok:
	case inside == "":
		return "", "", faultf(1, "no address in the brackets; write @[ADDRESS]:PROGRAM, or @HOST:PROGRAM")
	case checkHost(inside) == nil:
		return "", "", faultf(0, "brackets are for IPv6 addresses; write %s without them", inside)
	default:
		return "", "", faultf(1, "%s is not an IPv6 address, which is like 2001:db8::1", quote(inside))
	}
	if rest != "" && rest[0] != ':' {
		return "", "", faultf(end+1, `after "]" comes ":" or nothing; write @[%s]:PROGRAM`, host)
	}
	return host, rest, nil
}

// checkBareIPv6 finds an IPv6 address without brackets at the start of body.
func checkBareIPv6(body string) *fault {
	if host, ok := parseIPv6(body); ok {
		return faultf(0, "an IPv6 address stands in brackets; write @[%s] or @[%s]:PROGRAM", host, host)
	}
	i := strings.LastIndexByte(body, ':')
	if i < 0 {
		return nil
	}
	if host, ok := parseIPv6(body[:i]); ok && checkProgram(body[i+1:]) == nil {
		return faultf(0, "an IPv6 address stands in brackets; write @[%s]%s", host, body[i:])
	}
	return nil
}

// parseFields reads what follows the host of a: nothing, or fields that begin
// with ":". They are at offset in the word.
func parseFields(a Address, rest string, offset int) (Address, *fault) {
	if rest == "" {
		return a, nil
	}
	fields := strings.SplitN(rest[1:], ":", 3)
	first := fields[0]
	offset++
	if len(fields) == 1 && !isNumber(first) {
		if first == "" {
			return a, faultf(offset, `no program after ":"; write %s:PROGRAM, or %s for a service`, a, a)
		}
		a.Program = first
		return a, checkProgram(first).at(offset)
	}
	port, f := parsePort(first)
	if f != nil {
		if len(fields) > 1 && first == "" {
			f.problem = fmt.Sprintf("no port between the colons; write %s:PROGRAM or %s:PORT:PROGRAM", a, a)
		}
		if len(fields) == 2 && isNumber(fields[1]) && checkProgram(first) == nil {
			f.problem = fmt.Sprintf("the port comes before the program; write %s:%s:%s", a, fields[1], first)
		}
		return a, f.at(offset)
	}
	a.Port = port
	if len(fields) == 1 {
		return a, nil
	}
	offset += len(first) + 1
	second := fields[1]
	if second == "" {
		return a, faultf(offset, `no program after ":"; write %s:PROGRAM, or %s for a service`, a, a)
	}
	if f := checkProgram(second); f != nil {
		return a, f.at(offset)
	}
	a.Program = second
	if len(fields) > 2 {
		return a, faultf(offset+len(second), `nothing follows the program; write %s`, a)
	}
	return a, nil
}

// checkHost judges a host name or an IPv4 address.
func checkHost(host string) *fault {
	if host == "" {
		return faultf(0, `no host before ":"; write @HOST:PROGRAM`)
	}
	if f := checkHostBytes(host); f != nil {
		return f
	}
	if len(host) > maxHost {
		return faultf(maxHost, "a host name is no longer than %d bytes", maxHost)
	}
	offset := 0
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		switch {
		case label == "":
			return faultf(offset, "a part of the host name is empty: it has a dot too many")
		case label[0] == '-':
			return faultf(offset, `no part of a host name begins with "-"`)
		case len(label) > maxLabel:
			return faultf(offset, "a part of a host name is no longer than %d bytes", maxLabel)
		}
		offset += len(label) + 1
	}
	return nil
}

// checkHostBytes finds what no host name holds.
func checkHostBytes(host string) *fault {
	i := strings.IndexFunc(host, func(r rune) bool {
		return !isLetter(r) && !isDigit(r) && r != '.' && r != '-' && r != '_'
	})
	if i < 0 {
		return nil
	}
	char, size := utf8.DecodeRuneInString(host[i:])
	switch {
	case char == '@':
		return faultf(i, `a host name cannot hold "@": callers are known by their key, not by a user name; write @HOST:PROGRAM`)
	case char == '/':
		return faultf(i, `a host name cannot hold "/"; write @HOST:PROGRAM, or ./@FILE for a local file`)
	case char >= utf8.RuneSelf && (char != utf8.RuneError || size > 1):
		return faultf(i, `a host name cannot hold %s; write its ASCII form, which begins with "xn--"`, quote(host[i:i+size]))
	}
	return faultf(i, `a host name cannot hold %s: it is made of letters, digits, ".", "-" and "_"`, quote(host[i:i+size]))
}

// parsePort reads a field that must be a port.
func parsePort(field string) (int, *fault) {
	if !isNumber(field) {
		return 0, faultf(0, "%s is not a port, which is a number from 1 to %d", quote(field), maxPort)
	}
	digits := strings.TrimLeft(field, "0")
	port, err := strconv.Atoi(digits)
	switch {
	case digits == "":
		return 0, faultf(0, "port 0 does not exist; write a number from 1 to %d, or leave it out for the default", maxPort)
	case err != nil || port > maxPort:
		return 0, faultf(0, "port %s is out of range; write a number from 1 to %d", brief(field, 20), maxPort)
	case len(digits) < len(field):
		return 0, faultf(0, "a port has no leading zero; write %d", port)
	}
	return port, nil
}

// checkProgram judges the name of a program.
func checkProgram(name string) *fault {
	if name == "" {
		return faultf(0, `the name of the program is empty`)
	}
	if strings.Contains(name, "/") {
		f := faultf(strings.IndexByte(name, '/'), "a program is named, not given by its path")
		if base := name[strings.LastIndexByte(name, '/')+1:]; checkProgram(base) == nil {
			f.problem += "; write " + base
		}
		return f
	}
	for i, r := range name {
		letter := isLetter(r) || r == '_'
		switch {
		case i == 0 && isDigit(r):
			return faultf(0, `the name of a program begins with a letter or "_", and a field of digits only is a port`)
		case letter, i > 0 && (isDigit(r) || strings.ContainsRune(".+-", r)):
		case i == 0 && strings.ContainsRune(".+-", r):
			return faultf(0, `the name of a program begins with a letter or "_"`)
		default:
			_, size := utf8.DecodeRuneInString(name[i:])
			return faultf(i, `the name of a program cannot hold %s: it is made of letters, digits, ".", "_", "+" and "-"`, quote(name[i:i+size]))
		}
	}
	if len(name) > maxProgram {
		return faultf(maxProgram, "the name of a program is no longer than %d bytes", maxProgram)
	}
	return nil
}

func isLetter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func isNumber(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isDigit(r) }) < 0
}
