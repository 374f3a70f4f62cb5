package words

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// A value is what a parameter holds.
type value struct {
	name  string // behind references
	vr    expand.Variable
	elems []string
	list  bool // it is "$@", "$*" or a whole array; else elems has one element
	star  bool
	set   bool
	keys  []string // of elems, in a whole array
	elem  bool     // one element was named
	index syntax.ArithmExpr
}

// str returns the value as a single string.
func (v *value) str() string {
	if len(v.elems) == 1 {
		return v.elems[0]
	}
	return strings.Join(v.elems, " ")
}

// lookup returns what a parameter expansion is about.
func (s *Shell) lookup(pe *syntax.ParamExp) (*value, error) {
	name, vr := s.parameter(pe)
	v := &value{name: name, vr: vr, index: pe.Index}
	if name == "@" || name == "*" {
		v.list, v.star, v.elems = true, name == "*", vr.List
		v.set = len(vr.List) > 0
		for i := range vr.List {
			v.keys = append(v.keys, strconv.Itoa(i+1))
		}
		return v, nil
	}
	if at := subscriptWord(pe.Index); at == "@" || at == "*" {
		v.list, v.star = true, at == "*"
		switch vr.Kind {
		case expand.Indexed:
			v.elems = vr.List
			for i := range vr.List {
				v.keys = append(v.keys, strconv.Itoa(indexAt(vr, i)))
			}
		case expand.Associative:
			for _, k := range Keys(vr.Map) {
				v.keys, v.elems = append(v.keys, k), append(v.elems, vr.Map[k])
			}
		default:
			if vr.IsSet() {
				v.keys, v.elems = []string{"0"}, []string{vr.String()}
			}
		}
		v.set = len(v.elems) > 0
		return v, nil
	}
	if pe.Index == nil {
		v.elems = []string{""}
		v.elems[0], v.set = element(vr, 0, "0")
		return v, nil
	}
	v.elem = true
	str, set, err := s.elementOf(name, vr, pe.Index)
	v.elems, v.set = []string{str}, set
	return v, err
}

// subscriptWord returns a subscript that is a plain word, or "".
func subscriptWord(index syntax.ArithmExpr) string {
	if w, ok := index.(*syntax.Word); ok {
		return w.Lit()
	}
	return ""
}

// indexAt returns the index of the element at a place in a list.
func indexAt(vr expand.Variable, i int) int {
	if vr.Indexes != nil {
		return vr.Indexes[i]
	}
	return i
}

// lastIndex returns the greatest index of an array, or -1.
func lastIndex(vr expand.Variable) int {
	switch {
	case vr.Kind == expand.Indexed && len(vr.List) > 0:
		return indexAt(vr, len(vr.List)-1)
	case vr.Kind == expand.String && vr.IsSet():
		return 0
	}
	return -1
}

// element returns one of a variable: of an associative array that of key.
func element(vr expand.Variable, i int, key string) (string, bool) {
	switch vr.Kind {
	case expand.Indexed:
		at := i
		if vr.Indexes != nil {
			var found bool
			if at, found = slices.BinarySearch(vr.Indexes, i); !found {
				return "", false
			}
		}
		if at < 0 || at >= len(vr.List) {
			return "", false
		}
		return vr.List[at], true
	case expand.Associative:
		str, ok := vr.Map[key]
		return str, ok
	}
	if i == 0 && vr.IsSet() {
		return vr.String(), true
	}
	return "", false
}

// elementOf is element for a subscript that is not evaluated.
func (s *Shell) elementOf(name string, vr expand.Variable, index syntax.ArithmExpr) (string, bool, error) {
	if vr.Kind == expand.Associative {
		key, err := s.key(index)
		if err != nil {
			return "", false, err
		}
		str, ok := element(vr, 0, key)
		return str, ok, nil
	}
	n, err := s.Arithmetic(index)
	if err != nil {
		return "", false, err
	}
	if n < 0 {
		if n += int64(lastIndex(vr)) + 1; n < 0 {
			s.Warn(wrong(Word, name, "bad array subscript"))
			return "", false, nil
		}
	}
	str, ok := element(vr, int(n), "")
	return str, ok, nil
}

// param adds what a parameter expansion yields.
func (b *builder) param(pe *syntax.ParamExp, quoted bool) error {
	s := b.shell
	if pe.Param == nil {
		return wrong(Line, "", "bad substitution")
	}
	if pe.Excl {
		done, next, err := b.indirect(pe, quoted)
		if done || err != nil {
			return err
		}
		pe = next
	}
	v, err := s.lookup(pe)
	if err != nil {
		return err
	}
	if pe.Exp != nil && pe.Exp.Op >= syntax.AlternateUnset && pe.Exp.Op <= syntax.AssignUnsetOrNull {
		return b.conditional(pe, v, quoted)
	}
	if s.NoUnset && !v.set && !(v.list && (v.name == "@" || v.name == "*" || !pe.Length || v.vr.IsSet())) {
		return &Error{Subject: subject(pe), What: "unbound variable", Reach: Whole, Unset: true}
	}
	if pe.Length {
		n := len(v.elems)
		if !v.list {
			n = len(characters(v.elems[0], s.Bytes))
		}
		b.value(strconv.Itoa(n), quoted)
		return nil
	}
	elems := v.elems
	switch {
	case pe.Slice != nil:
		elems, err = s.slice(pe, v)
	case pe.Repl != nil:
		elems, err = s.replace(pe, elems)
	case pe.Exp != nil:
		elems, err = s.operate(pe, v)
	}
	if err != nil {
		return err
	}
	if v.list {
		b.list(elems, v.star, quoted)
		return nil
	}
	b.value(strings.Join(elems, " "), quoted)
	return nil
}

// subject returns how a parameter is named in a message.
func subject(pe *syntax.ParamExp) string {
	if sub := subscriptWord(pe.Index); sub != "" {
		return pe.Param.Value + "[" + sub + "]"
	}
	return pe.Param.Value
}

// indirect does "${!x}". It returns true if that was all, else the expansion that it
// stands for.
func (b *builder) indirect(pe *syntax.ParamExp, quoted bool) (bool, *syntax.ParamExp, error) {
	s := b.shell
	if pe.Names != 0 {
		var names []string
		for name := range s.Vars.Each {
			if strings.HasPrefix(name, pe.Param.Value) && syntax.ValidName(name) && !slices.Contains(names, name) && s.Vars.Get(name).IsSet() {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		b.list(names, pe.Names == syntax.NamesPrefix, quoted)
		return true, nil, nil
	}
	plain := *pe
	plain.Excl, plain.Exp, plain.Repl, plain.Slice, plain.Length = false, nil, nil, nil, false
	if at := subscriptWord(pe.Index); (at == "@" || at == "*") && pe.Exp == nil && pe.Repl == nil && pe.Slice == nil {
		v, err := s.lookup(&plain)
		if err != nil {
			return true, nil, err
		}
		b.list(v.keys, v.star, quoted)
		return true, nil, nil
	}
	if vr := s.Vars.Get(pe.Param.Value); pe.Index == nil && vr.Kind == expand.NameRef {
		b.value(vr.Str, quoted)
		return true, nil, nil
	}
	v, err := s.lookup(&plain)
	if err != nil {
		return true, nil, err
	}
	if !v.set {
		return true, nil, wrong(Line, subject(pe), "invalid indirect expansion")
	}
	target := v.str()
	doc, err := syntax.NewParser().Document(strings.NewReader("${" + target + "}"))
	if err == nil && len(doc.Parts) == 1 {
		if inner, ok := doc.Parts[0].(*syntax.ParamExp); ok && inner.Param != nil && !inner.Excl && !inner.Length && inner.Exp == nil && inner.Repl == nil && inner.Slice == nil {
			next := *pe
			next.Excl, next.Param, next.Index = false, inner.Param, inner.Index
			return false, &next, nil
		}
	}
	return true, nil, wrong(Line, target, "invalid variable name")
}

// conditional does the operators that ask whether a parameter is set.
func (b *builder) conditional(pe *syntax.ParamExp, v *value, quoted bool) error {
	op, word := pe.Exp.Op, pe.Exp.Word
	has := v.set
	switch op {
	case syntax.AlternateUnsetOrNull, syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull, syntax.AssignUnsetOrNull:
		if v.list {
			has = len(v.elems) > 1 || len(v.elems) == 1 && v.elems[0] != ""
		} else {
			has = has && v.elems[0] != ""
		}
	}
	own := func() error {
		if v.list {
			b.list(v.elems, v.star, quoted)
		} else {
			b.value(v.str(), quoted)
		}
		return nil
	}
	other := func() error {
		if word == nil || len(word.Parts) == 0 {
			b.add("", quoted)
			return nil
		}
		if quoted {
			return b.parts(word.Parts, true)
		}
		return b.operand(b.shell.tildes(word.Parts, tildeFirst))
	}
	switch op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if has {
			return other()
		}
		if quoted && (!v.list || v.set) {
			b.add("", true)
		}
		return nil
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if has {
			return own()
		}
		return other()
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		if has {
			return own()
		}
		message, err := b.shell.Literal(word)
		if err != nil {
			return err
		}
		if message == "" {
			message = "parameter not set"
			if op == syntax.ErrorUnsetOrNull {
				message = "parameter null or not set"
			}
		}
		return &Error{Subject: subject(pe), What: message, Reach: Whole, Unset: true}
	}
	if has {
		return own()
	}
	val, err := b.shell.Literal(word)
	if err != nil {
		return err
	}
	if v.list || !syntax.ValidName(v.name) {
		return wrong(Line, "$"+v.name, "cannot assign in this way")
	}
	if err := b.shell.assign(v.name, pe.Index, nil, val, false); err != nil {
		return err
	}
	b.value(val, quoted)
	return nil
}

// operand adds the word of an expansion, whose literal text is split too.
func (b *builder) operand(parts []syntax.WordPart) error {
	for _, part := range parts {
		lit, ok := part.(*syntax.Lit)
		if !ok {
			if err := b.part(part, false); err != nil {
				return err
			}
			continue
		}
		one := &builder{shell: b.shell, ifs: b.ifs}
		one.lit(lit.Value, false)
		for _, p := range one.cur {
			b.value(p.text, p.quoted)
		}
	}
	return nil
}

// slice does "${x:offset:length}".
func (s *Shell) slice(pe *syntax.ParamExp, v *value) ([]string, error) {
	offset, err := s.Arithmetic(pe.Slice.Offset)
	if err != nil {
		return nil, err
	}
	length, bounded := int64(0), pe.Slice.Length != nil
	if bounded {
		if length, err = s.Arithmetic(pe.Slice.Length); err != nil {
			return nil, err
		}
	}
	if !v.list {
		cs := characters(v.elems[0], s.Bytes)
		n := int64(len(cs))
		if offset < 0 {
			offset += n
		}
		if offset < 0 || offset > n {
			return []string{""}, nil
		}
		end := n
		if bounded {
			end = offset + length
			if length < 0 {
				if end = n + length; end < offset {
					return nil, wrong(Line, strconv.FormatInt(length, 10), "substring expression < 0")
				}
			}
		}
		return []string{text(cs[offset:min(max(end, offset), n)])}, nil
	}
	if bounded && length < 0 {
		return nil, wrong(Line, strconv.FormatInt(length, 10), "substring expression < 0")
	}
	elems := v.elems
	if v.name == "@" || v.name == "*" {
		elems = append([]string{s.Vars.Get("0").Str}, elems...)
		if offset < 0 {
			offset += int64(len(elems))
		}
		if offset < 0 || offset > int64(len(elems)) {
			return nil, nil
		}
		elems = elems[offset:]
	} else {
		if offset < 0 {
			offset += int64(lastIndex(v.vr)) + 1
		}
		if offset < 0 {
			return nil, nil
		}
		first := len(elems)
		for i := range elems {
			at := int64(i)
			if v.vr.Kind == expand.Indexed {
				at = int64(indexAt(v.vr, i))
			}
			if at >= offset {
				first = i
				break
			}
		}
		elems = elems[first:]
	}
	if bounded && length < int64(len(elems)) {
		elems = elems[:length]
	}
	return elems, nil
}

// replace does "${x/pattern/string}".
func (s *Shell) replace(pe *syntax.ParamExp, elems []string) ([]string, error) {
	r := pe.Repl
	orig, by := r.Orig, r.With
	if r.All && orig == nil {
		orig, by = s.slashed(pe)
	}
	anchor := byte(0)
	if !r.All && orig != nil && len(orig.Parts) > 0 {
		if lit, ok := orig.Parts[0].(*syntax.Lit); ok && lit.Value != "" && (lit.Value[0] == '#' || lit.Value[0] == '%') {
			anchor = lit.Value[0]
			orig = &syntax.Word{Parts: append([]syntax.WordPart{&syntax.Lit{Value: lit.Value[1:]}}, orig.Parts[1:]...)}
		}
	}
	pat, err := s.Pattern(orig)
	if err != nil {
		return nil, err
	}
	var with field
	if by != nil {
		if with, err = s.single(by, tildeFirst); err != nil {
			return nil, err
		}
	}
	if pat == "" && anchor == 0 {
		return elems, nil
	}
	p := Compile(pat, s.Bytes, false)
	out := make([]string, len(elems))
	for i, e := range elems {
		out[i] = p.replace(e, with, anchor, r.All)
	}
	return out, nil
}

// slashed returns the pattern and the string of "${x////y}", whose pattern is a slash: the
// syntax tree has none, and what stands behind the second slash as the string.
func (s *Shell) slashed(pe *syntax.ParamExp) (pattern, by *syntax.Word) {
	slash := &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: "/"}}}
	if with := pe.Repl.With; with != nil && len(with.Parts) > 0 {
		lit, ok := with.Parts[0].(*syntax.Lit)
		if !ok || !strings.HasPrefix(lit.Value, "/") {
			return nil, with
		}
		parts := append([]syntax.WordPart{&syntax.Lit{Value: lit.Value[1:]}}, with.Parts[1:]...)
		return slash, &syntax.Word{Parts: parts}
	}
	name := pe.Param.End()
	if pe.Index == nil && pe.Rbrace.IsValid() && pe.Rbrace.Offset() == name.Offset()+uint(len("///")) {
		return slash, nil
	}
	return nil, nil
}

// replace replaces what a pattern matches.
func (p *Pattern) replace(s string, with field, anchor byte, all bool) string {
	cs := characters(s, p.bytes)
	switch anchor {
	case '#':
		if end := p.longestOrEmpty(cs, 0); end >= 0 {
			return with.replacement(text(cs[:end])) + text(cs[end:])
		}
		return s
	case '%':
		if begin := p.suffix(cs, false); begin >= 0 {
			return text(cs[:begin]) + with.replacement(text(cs[begin:]))
		}
		return s
	}
	var b strings.Builder
	for i := 0; i <= len(cs); {
		end := p.longestOrEmpty(cs, i)
		if end < 0 || end == i && i == len(cs) && i > 0 {
			if i < len(cs) {
				b.WriteString(text(cs[i : i+1]))
			}
			i++
			continue
		}
		b.WriteString(with.replacement(text(cs[i:end])))
		if end == i {
			if i < len(cs) {
				b.WriteString(text(cs[i : i+1]))
			}
			end++
		}
		if !all {
			if end <= len(cs) {
				b.WriteString(text(cs[end:]))
			}
			return b.String()
		}
		i = end
	}
	return b.String()
}

func (p *Pattern) longestOrEmpty(cs []rune, start int) int {
	if len(p.seq) == 0 {
		return start
	}
	return p.longest(cs, start)
}

// replacement returns the string that stands for a match: "&" is the match where it is
// not quoted.
func (f field) replacement(match string) string {
	var b strings.Builder
	for _, p := range f {
		if p.quoted || !strings.ContainsAny(p.text, `&\`) {
			b.WriteString(p.text)
			continue
		}
		for i := 0; i < len(p.text); i++ {
			switch {
			case p.text[i] == '\\' && i+1 < len(p.text) && (p.text[i+1] == '&' || p.text[i+1] == '\\'):
				i++
				b.WriteByte(p.text[i])
			case p.text[i] == '&':
				b.WriteString(match)
			default:
				b.WriteByte(p.text[i])
			}
		}
	}
	return b.String()
}

// operate does the operators that change each element.
func (s *Shell) operate(pe *syntax.ParamExp, v *value) ([]string, error) {
	op := pe.Exp.Op
	if op == syntax.OtherParamOps {
		return s.transform(pe, v, pe.Exp.Word.Lit())
	}
	pat, err := s.Pattern(pe.Exp.Word)
	if err != nil {
		return nil, err
	}
	p := Compile(pat, s.Bytes, false)
	out := make([]string, len(v.elems))
	for i, e := range v.elems {
		cs := characters(e, s.Bytes)
		switch op {
		case syntax.RemSmallPrefix, syntax.RemLargePrefix:
			end := p.longestOrEmpty(cs, 0)
			if op == syntax.RemSmallPrefix && p.fixed < 0 {
				end = p.shortest(cs, 0)
			}
			out[i] = text(cs[max(end, 0):])
		case syntax.RemSmallSuffix, syntax.RemLargeSuffix:
			out[i] = e
			if begin := p.suffix(cs, op == syntax.RemSmallSuffix); begin >= 0 {
				out[i] = text(cs[:begin])
			}
		case syntax.UpperFirst, syntax.UpperAll, syntax.LowerFirst, syntax.LowerAll:
			upper := op == syntax.UpperFirst || op == syntax.UpperAll
			for j, c := range cs {
				if pat == "" || p.Match(text([]rune{c})) {
					cs[j] = cased(c, upper)
				}
				if op == syntax.UpperFirst || op == syntax.LowerFirst {
					break
				}
			}
			out[i] = text(cs)
		default:
			return nil, wrong(Line, fmt.Sprintf("${%s}", pe.Param.Value), "bad substitution")
		}
	}
	return out, nil
}
