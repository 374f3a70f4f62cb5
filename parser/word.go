package parser

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A name is the first word of a command with its quotes removed. What is known
// only when expanded leaves a hole.
type name struct {
	text  string
	at    []int // the offset in the source of each byte of text, and of its end
	holes []int // offsets in text, ascending
}

// A nameReader removes the quotes of a word.
type nameReader struct {
	name
	source string
	bytes  []byte
	first  bool // stop after the first character, or hole
}

// readName removes the quotes of w, which stands in source.
func readName(source string, w *syntax.Word) name {
	r := nameReader{source: source}
	r.parts(w.Parts, false)
	r.text = string(r.bytes)
	r.at = append(r.at, min(int(w.End().Offset()), len(source)))
	return r.name
}

// firstByte returns the first byte of w without its quotes. It is not known if
// the word begins with an expansion, and 0 if the word is empty.
func firstByte(source string, w *syntax.Word) (c byte, known bool) {
	r := nameReader{source: source, first: true}
	r.parts(w.Parts, false)
	if len(r.bytes) > 0 {
		c = r.bytes[0]
	}
	return c, len(r.holes) == 0
}

func (r *nameReader) done() bool {
	return r.first && len(r.bytes)+len(r.holes) > 0
}

func (r *nameReader) parts(parts []syntax.WordPart, quoted bool) {
	for _, part := range parts {
		if r.done() {
			return
		}
		switch part := part.(type) {
		case *syntax.Lit:
			r.literal(part.Value, part.ValuePos, part.ValueEnd, quoted)
		case *syntax.SglQuoted:
			if part.Dollar && strings.Contains(part.Value, `\`) {
				r.hole() // to decode it is part of expansion
				continue
			}
			r.verbatim(part.Value, part.Left, part.Right)
		case *syntax.DblQuoted:
			r.parts(part.Parts, true)
		case *syntax.ExtGlob:
			// No address holds a pattern, so it may stand for itself.
			r.verbatim(part.Op.String()+part.Pattern.Value+")", part.OpPos, part.End())
		default:
			r.hole()
		}
	}
}

func (r *nameReader) hole() { r.holes = append(r.holes, len(r.bytes)) }

// verbatim takes over all of text, which stands somewhere between two places.
func (r *nameReader) verbatim(text string, from, to syntax.Pos) {
	at, end := r.span(from, to)
	if i := strings.Index(r.source[at:end], text); i >= 0 {
		at += i
	}
	for i := 0; i < len(text) && !r.done(); i++ {
		r.bytes = append(r.bytes, text[i])
		r.at = append(r.at, min(at+i, end))
	}
}

// literal takes over text without its backslashes. Compared with the source,
// continued lines are joined in it and some bytes left out.
func (r *nameReader) literal(text string, from, to syntax.Pos, quoted bool) {
	at, end := r.span(from, to)
	find := func(c byte) {
		for at < end && r.source[at] != c {
			at++
		}
	}
	for i := 0; i < len(text) && !r.done(); i++ {
		for at < end {
			n := continuation(r.source[at:end])
			if n == 0 {
				break
			}
			at += n
		}
		find(text[i])
		start := at
		if text[i] == '\\' && i+1 < len(text) && escapes(text[i+1], quoted) {
			i++
			at = min(at+1, end)
			find(text[i])
		}
		at = min(at+1, end)
		r.bytes = append(r.bytes, text[i])
		r.at = append(r.at, start)
	}
}

// span returns two positions as offsets in the source.
func (r *nameReader) span(from, to syntax.Pos) (start, end int) {
	end = min(int(to.Offset()), len(r.source))
	return min(int(from.Offset()), end), end
}

// continuation returns the length of the escaped newline that s begins with.
func continuation(s string) int {
	for _, c := range []string{"\\\n", "\\\r\n"} {
		if strings.HasPrefix(s, c) {
			return len(c)
		}
	}
	return 0
}

// escapes reports whether a backslash before c is a quote: always, but in
// double quotes (POSIX, Shell Command Language, sections 2.2.1 and 2.2.3).
func escapes(c byte, quoted bool) bool {
	return !quoted || strings.IndexByte("$`\"\\", c) >= 0
}

// classify tells what kind of stage a command named w is, Remote standing for
// Service as well.
func classify(source string, w *syntax.Word) Kind {
	if lit := w.Lit(); lit != "" && isLetter(rune(lit[0])) {
		return Local // as most are
	}
	c, known := firstByte(source, w)
	switch {
	case !known || startsPattern(w):
		return Dynamic
	case c == '@':
		return Remote
	}
	return Local
}

// startsPattern reports whether w begins with what may expand to another
// character than is written: a pattern, or braces with alternatives or a
// sequence. It does not look whether these are well formed, so a name like
// "{a},b" counts too.
func startsPattern(w *syntax.Word) bool {
	switch part := w.Parts[0].(type) {
	case *syntax.ExtGlob:
		return part.Op != syntax.GlobOne
	case *syntax.Lit:
		switch {
		case part.Value == "":
		case part.Value[0] == '*', part.Value[0] == '?':
			return true
		case part.Value[0] == '[':
			return holds(w, "]")
		case part.Value[0] == '{':
			return holds(w, "}") && (holds(w, ",") || holds(w, ".."))
		}
	}
	return false
}

// holds reports whether s stands in w outside of quotes and expansions.
func holds(w *syntax.Word, s string) bool {
	return slices.ContainsFunc(w.Parts, func(part syntax.WordPart) bool {
		lit, ok := part.(*syntax.Lit)
		return ok && strings.Contains(lit.Value, s)
	})
}

// surelyFields reports whether w expands to at least one argument whatever the
// variables are.
func surelyFields(w *syntax.Word) bool {
	for _, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit, *syntax.SglQuoted, *syntax.ExtGlob, *syntax.ProcSubst, *syntax.ArithmExp:
			return true
		case *syntax.DblQuoted:
			if !slices.ContainsFunc(part.Parts, mayVanish) {
				return true
			}
		}
	}
	return false
}

// mayVanish reports whether part, in double quotes, may be "$@" or an array,
// which makes no argument when it is empty.
func mayVanish(part syntax.WordPart) bool {
	exp, ok := part.(*syntax.ParamExp)
	return ok && (exp.Index != nil || exp.Excl || exp.Param == nil || exp.Param.Value == "@")
}

// checkAddress judges the name of a remote stage. The Address is zero if the
// name has holes; then only what no expansion can mend is a fault. Offsets are in n.text.
func checkAddress(n name) (Address, *fault) {
	if len(n.holes) == 0 {
		return parseAddress(n.text)
	}
	if f := checkBefore(n.text[:n.holes[0]]); f != nil {
		return Address{}, f
	}
	last := n.holes[len(n.holes)-1]
	return Address{}, checkBehind(n.text[last:]).at(last)
}

// checkBefore judges the beginning of an address, which goes on with something
// unknown: its last field may not be complete.
func checkBefore(s string) *fault {
	body := s[1:]
	if strings.HasPrefix("unix:", body) || strings.HasPrefix(body, "unix:") {
		return nil
	}
	var a Address
	offset := 1
	if body[0] == '[' {
		if !strings.Contains(body, "]") {
			return nil
		}
		host, rest, f := cutBrackets(body)
		if f != nil {
			return f.at(1)
		}
		a.Host, offset = host, len(s)-len(rest)
	} else {
		host, _, complete := strings.Cut(body, ":")
		if !complete {
			return checkHostBytes(host).at(1)
		}
		if _, ok := parseIPv6(strings.TrimSuffix(body, ":")); ok || strings.Contains(body, "::") {
			return nil // reads as IPv6; what is wrong with it shows in the whole
		}
		if f := checkHost(host); f != nil {
			return f.at(1)
		}
		a.Host, offset = host, 1+len(host)
	}
	rest := s[offset:]
	if strings.Count(rest, ":") < 2 {
		return nil // the one field begun may be a port or a program
	}
	if strings.HasSuffix(rest, ":") {
		rest += "x" // whatever comes, a program would do
	}
	_, f := parseFields(a, rest, offset)
	return f
}

// checkBehind judges the end of an address, before which is something unknown:
// its first field is not complete, and may have begun in brackets.
func checkBehind(s string) *fault {
	offset := strings.LastIndexByte(s, ']') + 1
	fields := strings.Split(s[offset:], ":")
	if len(fields) == 1 {
		return nil
	}
	if len(fields) > 3 {
		return faultf(len(s)-len(fields[len(fields)-1]), "an address has no more than host, port and program")
	}
	last := fields[len(fields)-1]
	offset = len(s) - len(last)
	switch {
	case last == "":
		return faultf(offset, `no program after ":"; write its name, or leave the ":" out`)
	case len(fields) == 2 && last[0] == '/':
		return nil // a socket, if "unix" stands before
	case len(fields) == 2 && isNumber(last):
		_, f := parsePort(last)
		return f.at(offset)
	}
	if f := checkProgram(last); f != nil {
		return f.at(offset)
	}
	if len(fields) == 3 {
		_, f := parsePort(fields[1])
		return f.at(offset - 1 - len(fields[1]))
	}
	return nil
}
