package words

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// characters returns what a pattern matches one by one: characters, or bytes where the
// locale is C. A byte that is part of no character stands for itself.
func characters(s string, bytes bool) []rune {
	out := make([]rune, 0, len(s))
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if !bytes && r >= utf8.RuneSelf {
			if c, n := utf8.DecodeRuneInString(s[i:]); c != utf8.RuneError || n > 1 {
				r, size = c, n
			} else {
				r = lone + r
			}
		} else if r >= utf8.RuneSelf {
			r = lone + r
		}
		out = append(out, r)
		i += size
	}
	return out
}

// lone is added to bytes that are no character, so that none is like them.
const lone = 1 << 24

// text is the inverse of characters.
func text(cs []rune) string {
	var b strings.Builder
	for _, c := range cs {
		if c >= lone {
			b.WriteByte(byte(c - lone))
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// A Pattern matches strings: bash manual, "Pattern Matching", with extglob.
type Pattern struct {
	seq   []atom
	bytes bool
	fold  bool
	fixed int // the length of all it matches, or -1
}

// An atom is one element of a pattern.
type atom struct {
	kind atomKind
	c    rune
	set  *set
	op   byte // of a group: ? * + @ !
	alts [][]atom
}

type atomKind int

const (
	char atomKind = iota
	anyOne
	anyMany
	oneOf
	group
)

// Compile reads a pattern, in which backslashes quote. Bytes stand for themselves if
// bytes is true; fold tells that case does not matter.
func Compile(pattern string, bytes, fold bool) *Pattern {
	r := &reader{cs: characters(pattern, bytes)}
	p := &Pattern{seq: r.sequence(false), bytes: bytes, fold: fold}
	for _, e := range p.seq {
		if e.kind == anyMany || e.kind == group {
			p.fixed = -1
			return p
		}
		p.fixed++
	}
	return p
}

// Match reports whether all of s matches.
func (p *Pattern) Match(s string) bool {
	cs := characters(s, p.bytes)
	if p.fixed >= 0 && p.fixed != len(cs) {
		return false
	}
	return p.ends(cs, 0)[len(cs)]
}

// ends tells at which places of cs a match from start can end.
func (p *Pattern) ends(cs []rune, start int) []bool {
	from := make([]bool, len(cs)+1)
	from[start] = true
	return p.through(p.seq, cs, from)
}

// longest returns the end of the longest match from start, or -1.
func (p *Pattern) longest(cs []rune, start int) int {
	if p.fixed >= 0 {
		if start+p.fixed > len(cs) {
			return -1
		}
		for i := range p.seq {
			if !p.one(&p.seq[i], cs[start+i]) {
				return -1
			}
		}
		return start + p.fixed
	}
	if first := &p.seq[0]; first.kind != anyMany && first.kind != group && (start == len(cs) || !p.one(first, cs[start])) {
		return -1
	}
	ends := p.ends(cs, start)
	for i := len(cs); i >= start; i-- {
		if ends[i] {
			return i
		}
	}
	return -1
}

// shortest returns the end of the shortest match from start, or -1.
func (p *Pattern) shortest(cs []rune, start int) int {
	ends := p.ends(cs, start)
	for i := start; i <= len(cs); i++ {
		if ends[i] {
			return i
		}
	}
	return -1
}

// suffix returns where the match begins that ends at the end of cs: the longest one, or
// the shortest; or -1.
func (p *Pattern) suffix(cs []rune, shortest bool) int {
	if p.fixed >= 0 {
		if begin := len(cs) - p.fixed; begin >= 0 && p.longest(cs, begin) == len(cs) {
			return begin
		}
		return -1
	}
	for i := 0; i <= len(cs); i++ {
		begin := i
		if shortest {
			begin = len(cs) - i
		}
		if p.ends(cs[begin:], 0)[len(cs)-begin] {
			return begin
		}
	}
	return -1
}

// through moves a set of places through elements.
func (p *Pattern) through(seq []atom, cs []rune, from []bool) []bool {
	for i := range seq {
		e := &seq[i]
		to := make([]bool, len(cs)+1)
		switch e.kind {
		case anyMany:
			seen := false
			for j := range from {
				seen = seen || from[j]
				to[j] = seen
			}
		case group:
			p.throughGroup(e, cs, from, to)
		default:
			for j := 0; j < len(cs); j++ {
				to[j+1] = from[j] && p.one(e, cs[j])
			}
		}
		from = to
	}
	return from
}

// throughGroup is through for an extended pattern.
func (p *Pattern) throughGroup(e *atom, cs []rune, from, to []bool) {
	once := func(from []bool) []bool {
		all := make([]bool, len(cs)+1)
		for _, alt := range e.alts {
			for j, b := range p.through(alt, cs, from) {
				all[j] = all[j] || b
			}
		}
		return all
	}
	if e.op == '!' {
		for j := range from {
			if !from[j] {
				continue
			}
			single := make([]bool, len(cs)+1)
			single[j] = true
			matched := once(single)
			for k := j; k < len(matched); k++ {
				to[k] = to[k] || !matched[k]
			}
		}
		return
	}
	if e.op == '?' || e.op == '*' {
		copy(to, from)
	}
	for more := true; more; {
		more = false
		next := once(from)
		for j := range next {
			if next[j] && !to[j] {
				to[j], more = true, true
			}
		}
		if e.op == '?' || e.op == '@' {
			return
		}
		from = next
	}
}

func (p *Pattern) one(e *atom, c rune) bool {
	switch e.kind {
	case anyOne:
		return true
	case oneOf:
		return e.set.holds(c) || p.fold && (e.set.holds(unicode.ToLower(c)) || e.set.holds(unicode.ToUpper(c)))
	}
	return e.c == c || p.fold && unicode.ToLower(e.c) == unicode.ToLower(c)
}

// A reader reads a pattern.
type reader struct {
	cs []rune
	at int
}

// sequence reads elements, in a group up to its next "|" or ")".
func (r *reader) sequence(inGroup bool) []atom {
	var seq []atom
	for r.at < len(r.cs) {
		c := r.cs[r.at]
		if inGroup && (c == '|' || c == ')') {
			return seq
		}
		if strings.ContainsRune("?*+@!", c) && r.at+1 < len(r.cs) && r.cs[r.at+1] == '(' {
			if e, ok := r.group(); ok {
				seq = append(seq, e)
				continue
			}
		}
		r.at++
		switch c {
		case '\\':
			if r.at < len(r.cs) {
				c = r.cs[r.at]
				r.at++
			}
			seq = append(seq, atom{kind: char, c: c})
		case '?':
			seq = append(seq, atom{kind: anyOne})
		case '*':
			seq = append(seq, atom{kind: anyMany})
		case '[':
			if s := r.set(); s != nil {
				seq = append(seq, atom{kind: oneOf, set: s})
				continue
			}
			seq = append(seq, atom{kind: char, c: '['})
		default:
			seq = append(seq, atom{kind: char, c: c})
		}
	}
	return seq
}

// group reads an extended pattern, or nothing if it does not end.
func (r *reader) group() (atom, bool) {
	begin := r.at
	e := atom{kind: group, op: byte(r.cs[r.at])}
	r.at += 2
	for {
		e.alts = append(e.alts, r.sequence(true))
		if r.at == len(r.cs) {
			r.at = begin
			return e, false
		}
		r.at++
		if r.cs[r.at-1] == ')' {
			return e, true
		}
	}
}

// A set is a bracket expression.
type set struct {
	not     bool
	ranges  [][2]rune
	classes []func(rune) bool
}

func (s *set) holds(c rune) bool {
	in := false
	for _, r := range s.ranges {
		in = in || r[0] <= c && c <= r[1]
	}
	for _, f := range s.classes {
		in = in || f(c)
	}
	return in != s.not
}

// set reads a bracket expression behind its "[", or nothing if it does not end.
func (r *reader) set() *set {
	begin, s := r.at, &set{}
	if r.at < len(r.cs) && (r.cs[r.at] == '!' || r.cs[r.at] == '^') {
		s.not = true
		r.at++
	}
	for first := true; r.at < len(r.cs); first = false {
		c := r.cs[r.at]
		if c == ']' && !first {
			r.at++
			return s
		}
		if c == '[' && r.class(s) {
			continue
		}
		low, ok := r.member()
		if !ok {
			break
		}
		high := low
		if r.at+1 < len(r.cs) && r.cs[r.at] == '-' && r.cs[r.at+1] != ']' {
			r.at++
			if high, ok = r.member(); !ok {
				break
			}
		}
		s.ranges = append(s.ranges, [2]rune{low, high})
	}
	r.at = begin
	return nil
}

// member reads one character of a bracket expression.
func (r *reader) member() (rune, bool) {
	c := r.cs[r.at]
	r.at++
	if c == '\\' {
		if r.at == len(r.cs) {
			return 0, false
		}
		c = r.cs[r.at]
		r.at++
	}
	return c, true
}

// class reads a class such as [:alpha:] in a bracket expression.
func (r *reader) class(s *set) bool {
	rest := text(r.cs[r.at:min(len(r.cs), r.at+16)])
	if !strings.HasPrefix(rest, "[:") {
		return false
	}
	name, _, ok := strings.Cut(rest[2:], ":]")
	f := classes[name]
	if !ok || f == nil {
		return false
	}
	s.classes = append(s.classes, f)
	r.at += len(name) + 4
	return true
}

// classes are those of POSIX. It is only read.
var classes = map[string]func(rune) bool{
	"alpha":  unicode.IsLetter,
	"digit":  func(c rune) bool { return c >= '0' && c <= '9' },
	"alnum":  func(c rune) bool { return unicode.IsLetter(c) || c >= '0' && c <= '9' },
	"upper":  unicode.IsUpper,
	"lower":  unicode.IsLower,
	"space":  unicode.IsSpace,
	"blank":  func(c rune) bool { return c == ' ' || c == '\t' },
	"punct":  func(c rune) bool { return c < lone && (unicode.IsPunct(c) || unicode.IsSymbol(c)) },
	"print":  func(c rune) bool { return c < lone && unicode.IsPrint(c) },
	"graph":  func(c rune) bool { return c < lone && unicode.IsGraphic(c) && c != ' ' },
	"cntrl":  unicode.IsControl,
	"xdigit": func(c rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", c) },
	"word":   func(c rune) bool { return unicode.IsLetter(c) || c >= '0' && c <= '9' || c == '_' },
	"ascii":  func(c rune) bool { return c < utf8.RuneSelf },
}
