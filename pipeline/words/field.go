package words

import (
	"os/user"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// A piece is a part of a field. What is quoted is neither split nor part of a pattern.
type piece struct {
	text   string
	quoted bool
}

type field []piece

func (f field) text() string {
	if len(f) == 1 {
		return f[0].text
	}
	var b strings.Builder
	for _, p := range f {
		b.WriteString(p.text)
	}
	return b.String()
}

// pattern returns the field as a pattern.
func (f field) pattern() string {
	var b strings.Builder
	for _, p := range f {
		if !p.quoted {
			b.WriteString(p.text)
			continue
		}
		for i := range len(p.text) {
			if strings.IndexByte(`\*?[]+@!()|-^`, p.text[i]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[i])
		}
	}
	return b.String()
}

// isPattern reports whether a field may stand for paths.
func (f field) isPattern() bool {
	for _, p := range f {
		if !p.quoted && strings.ContainsAny(p.text, "*?[") {
			return true
		}
	}
	return false
}

// A tilde says where "~" stands for a folder.
type tilde int

const (
	tildeNone  tilde = iota
	tildeFirst       // at the beginning
	tildeColon       // also behind ":", as in the value of an assignment
	tildeWord        // at the beginning; in what looks like an assignment as in its value
)

// A builder makes fields of parts of words.
type builder struct {
	shell    *Shell
	ifs      string
	split    bool // else all is one field
	document bool // a here-document

	fields []field
	cur    field
	begun  bool // cur is a field, though it may be empty
	spaced bool // white space has ended the last field: a separator behind it belongs to it
}

func (b *builder) flush() {
	if b.begun {
		b.fields = append(b.fields, b.cur)
	}
	b.cur, b.begun = nil, false
}

func (b *builder) add(s string, quoted bool) {
	if s != "" || quoted {
		b.cur = append(b.cur, piece{s, quoted})
		b.begun, b.spaced = true, false
	}
}

// value adds what an expansion has yielded.
func (b *builder) value(s string, quoted bool) {
	if quoted || !b.split {
		b.add(s, quoted)
		return
	}
	begin := 0
	for i := 0; i < len(s); {
		size := 1
		if s[i] >= 0x80 && !b.shell.Bytes {
			size = len(text(characters(s[i:min(len(s), i+4)], false)[:1]))
		}
		if !strings.Contains(b.ifs, s[i:i+size]) {
			i += size
			continue
		}
		b.add(s[begin:i], false)
		white := s[i] == ' ' || s[i] == '\t' || s[i] == '\n'
		switch {
		case b.begun:
			b.flush()
			b.spaced = white
		case white:
		case b.spaced:
			b.spaced = false
		default:
			b.fields = append(b.fields, nil)
		}
		i += size
		begin = i
	}
	b.add(s[begin:], false)
}

// list adds the elements of "$@" or of "$*". It reports whether there was one.
func (b *builder) list(elems []string, star, quoted bool) bool {
	switch {
	case star && (quoted || !b.split && !b.document):
		b.value(b.shell.join(elems), quoted)
		return true
	case !b.split:
		b.value(strings.Join(elems, " "), quoted)
		return true
	}
	for i, e := range elems {
		if i > 0 {
			b.flush()
			b.spaced = false
		}
		b.value(e, quoted)
	}
	return len(elems) > 0
}

// word adds a word.
func (b *builder) word(w *syntax.Word, t tilde) error {
	parts := w.Parts
	if t != tildeNone {
		parts = b.shell.tildes(parts, t)
	}
	return b.parts(parts, false)
}

// parts adds parts of a word.
func (b *builder) parts(parts []syntax.WordPart, quoted bool) error {
	for _, part := range parts {
		if err := b.part(part, quoted); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) part(part syntax.WordPart, quoted bool) error {
	switch part := part.(type) {
	case *syntax.Lit:
		b.lit(part.Value, quoted)
	case *syntax.SglQuoted:
		value := part.Value
		if part.Dollar {
			value, _, _ = expand.Format(nil, value, nil)
			value, _, _ = strings.Cut(value, "\x00")
		} else if quoted {
			value = "'" + value + "'" // in "${x:-'y'}"
		}
		b.add(value, true)
	case *syntax.DblQuoted:
		if len(part.Parts) == 0 {
			b.add("", true)
		}
		return b.parts(part.Parts, true)
	case *syntax.ParamExp:
		return b.param(part, quoted)
	case *syntax.CmdSubst:
		out, err := b.shell.Command(part)
		if err != nil {
			return err
		}
		b.value(out, quoted)
	case *syntax.ArithmExp:
		n, err := b.shell.Arithmetic(part.X)
		if err != nil {
			return err
		}
		b.value(strconv.FormatInt(n, 10), quoted)
	case *syntax.ProcSubst:
		path, err := b.shell.Process(part)
		if err != nil {
			return err
		}
		b.add(path, true)
	case *syntax.ExtGlob:
		b.add(part.Op.String()+part.Pattern.Value+")", quoted)
	case *syntax.BraceExp:
		return wrong(Line, "", "a brace expansion stands where none can")
	}
	return nil
}

// lit adds literal text, whose backslashes quote.
func (b *builder) lit(s string, quoted bool) {
	special := "$`\\"
	if quoted && !b.document {
		special += `"`
	}
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i == len(s)-1 {
			break
		}
		if quoted && strings.IndexByte(special, s[i+1]) < 0 {
			b.add(s[:i+2], true)
			s = s[i+2:]
			continue
		}
		if i > 0 {
			b.add(s[:i], quoted)
		}
		b.add(s[i+1:i+2], true)
		s = s[i+2:]
	}
	if s != "" {
		b.add(s, quoted)
	}
}

// tildes returns parts with the folders that "~" stands for.
func (s *Shell) tildes(parts []syntax.WordPart, t tilde) []syntax.WordPart {
	var out []syntax.WordPart
	at := true // a tilde may stand here
	for i, part := range parts {
		lit, ok := part.(*syntax.Lit)
		if !ok || !strings.Contains(lit.Value, "~") && !(i == 0 && t == tildeWord) {
			out = append(out, part)
			at = ok && (t == tildeColon) && strings.HasSuffix(lit.Value, ":")
			continue
		}
		rest := lit.Value
		if i == 0 && t == tildeWord {
			if name, _, found := strings.Cut(rest, "="); found && syntax.ValidName(strings.TrimSuffix(name, "+")) {
				t = tildeColon
				out = append(out, &syntax.Lit{Value: name + "="})
				rest = rest[len(name)+1:]
			}
		}
		for {
			if at && strings.HasPrefix(rest, "~") {
				end := strings.IndexAny(rest, "/:")
				if t != tildeColon {
					end = strings.IndexByte(rest, '/')
				}
				if end < 0 && i == len(parts)-1 {
					end = len(rest)
				}
				if end >= 0 {
					if dir, ok := s.home(rest[1:end]); ok {
						out = append(out, &syntax.SglQuoted{Value: dir})
						rest = rest[end:]
					}
				}
			}
			at = false
			colon := strings.IndexByte(rest, ':')
			if t != tildeColon || colon < 0 {
				break
			}
			out = append(out, &syntax.Lit{Value: rest[:colon+1]})
			rest, at = rest[colon+1:], true
		}
		if rest != "" {
			out = append(out, &syntax.Lit{Value: rest})
		}
	}
	return out
}

// home returns the folder of "~name".
func (s *Shell) home(name string) (string, bool) {
	variable := map[string]string{"": "HOME", "+": "PWD", "-": "OLDPWD"}[name]
	if variable != "" {
		if vr := s.Vars.Get(variable); vr.IsSet() {
			return vr.String(), true
		}
		if name != "" {
			return "", false
		}
	}
	if strings.ContainsAny(name, `\"'`) {
		return "", false
	}
	u, err := user.Current()
	if name != "" {
		u, err = user.Lookup(name)
	}
	if err != nil {
		return "", false
	}
	return u.HomeDir, true
}
