package words

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// A Shell is where words are expanded. It is not for concurrent use.
type Shell struct {
	// Vars are the variables and the special parameters, but for LINENO. Values that it
	// gives are not changed.
	Vars expand.WriteEnviron

	// Command returns the output of a command substitution, without the newlines at its
	// end. Process returns the name of a process substitution.
	Command func(*syntax.CmdSubst) (string, error)
	Process func(*syntax.ProcSubst) (string, error)

	// ReadDir reads folders for pathname expansion; nil switches that off.
	ReadDir func(string) ([]fs.DirEntry, error)

	// Warn tells of an *Error whose Reach is Word; the expansion at hand is empty.
	Warn func(error)

	NoUnset    bool // "set -u"
	NullGlob   bool
	DotGlob    bool
	NoCaseGlob bool
	GlobStar   bool
	Bytes      bool // the locale is C: characters are bytes
}

// A Reach tells what an error ends in bash.
type Reach int

const (
	Word  Reach = iota // the expansion at hand, which is empty then
	Line               // the command, and all that it is part of; a subshell; "bash -c"
	Whole              // the shell
)

// An Error is an expansion that cannot be done. Its text is that of bash.
type Error struct {
	Subject string // what is wrong; may be empty
	What    string
	Reach   Reach
	Unset   bool // a parameter is not set that must be
}

func (e *Error) Error() string {
	if e.Subject == "" {
		return e.What
	}
	return e.Subject + ": " + e.What
}

func wrong(reach Reach, subject, format string, args ...any) error {
	return &Error{Subject: subject, What: fmt.Sprintf(format, args...), Reach: reach}
}

// get returns a variable, and its name behind references.
func (s *Shell) get(name string) (string, expand.Variable) {
	vr := s.Vars.Get(name)
	if vr.Kind == expand.NameRef {
		if n, v := vr.Resolve(s.Vars); n != "" {
			return n, v
		}
	}
	return name, vr
}

// parameter is get for what "$" stands before.
func (s *Shell) parameter(pe *syntax.ParamExp) (string, expand.Variable) {
	name := pe.Param.Value
	switch {
	case name == "LINENO":
		return name, expand.Variable{Set: true, Kind: expand.String, Str: fmt.Sprint(pe.Pos().Line())}
	case len(name) > 1 && name[0] >= '0' && name[0] <= '9':
		list := s.Vars.Get("@").List
		n := 0
		for i := range name {
			n = min(n*10+int(name[i]-'0'), 1<<30)
		}
		if n == 0 {
			return name, s.Vars.Get("0")
		}
		if n > len(list) {
			return name, expand.Variable{}
		}
		return name, expand.Variable{Set: true, Kind: expand.String, Str: list[n-1]}
	}
	return s.get(name)
}

// ifs returns the separators of fields.
func (s *Shell) ifs() string {
	if vr := s.Vars.Get("IFS"); vr.IsSet() {
		return vr.String()
	}
	return " \t\n"
}

// join joins a list as "$*" does.
func (s *Shell) join(list []string) string {
	ifs := s.ifs()
	if ifs == "" {
		return strings.Join(list, "")
	}
	cs := characters(ifs, s.Bytes)
	return strings.Join(list, text(cs[:1]))
}

// Fields expands words as those of a command.
func (s *Shell) Fields(words ...*syntax.Word) ([]string, error) {
	var out []string
	for _, w := range words {
		one := *w
		if !syntax.SplitBraces(&one) {
			fields, err := s.fields(&one, true)
			if err != nil {
				return nil, err
			}
			out = append(out, fields...)
			continue
		}
		for each, err := range expand.BracesSeq(nil, &one) {
			if err != nil {
				return nil, wrong(Line, "", "%s", err.Error())
			}
			fields, err := s.fields(each, true)
			if err != nil {
				return nil, err
			}
			out = append(out, fields...)
		}
	}
	return out, nil
}

func (s *Shell) fields(w *syntax.Word, glob bool) ([]string, error) {
	b := &builder{shell: s, ifs: s.ifs(), split: true}
	if err := b.word(w, tildeWord); err != nil {
		return nil, err
	}
	b.flush()
	var out []string
	for _, f := range b.fields {
		if paths, ok := s.glob(f); ok && glob {
			out = append(out, paths...)
			continue
		}
		out = append(out, f.text())
	}
	return out, nil
}

// Literal expands a word to one string, as that of a redirection or of "case".
func (s *Shell) Literal(w *syntax.Word) (string, error) { return s.literal(w, tildeFirst) }

// Value expands a word to one string, as the value of an assignment.
func (s *Shell) Value(w *syntax.Word) (string, error) { return s.literal(w, tildeColon) }

func (s *Shell) literal(w *syntax.Word, t tilde) (string, error) {
	if w == nil {
		return "", nil
	}
	f, err := s.single(w, t)
	return f.text(), err
}

// Document expands a word as part of a here-document.
func (s *Shell) Document(w *syntax.Word) (string, error) {
	b := &builder{shell: s, ifs: s.ifs(), document: true}
	if err := b.parts(w.Parts, true); err != nil {
		return "", err
	}
	return b.cur.text(), nil
}

// Pattern expands a word to a pattern, in which what was quoted is quoted with
// backslashes.
func (s *Shell) Pattern(w *syntax.Word) (string, error) {
	if w == nil {
		return "", nil
	}
	f, err := s.single(w, tildeFirst)
	return f.pattern(), err
}

// Regexp expands a word to a regular expression, in which what was quoted stands for
// itself.
func (s *Shell) Regexp(w *syntax.Word) (string, error) {
	f, err := s.single(w, tildeFirst)
	for i, p := range f {
		if p.quoted {
			f[i].text = regexp.QuoteMeta(p.text)
		}
	}
	return f.text(), err
}

// single expands a word to one field.
func (s *Shell) single(w *syntax.Word, t tilde) (field, error) {
	b := &builder{shell: s, ifs: s.ifs()}
	if err := b.word(w, t); err != nil {
		return nil, err
	}
	return b.cur, nil
}

// glob returns the paths that a field stands for. It returns false if it is no pattern,
// or one without a match that stays as it is.
func (s *Shell) glob(f field) ([]string, bool) {
	if s.ReadDir == nil || !f.isPattern() {
		return nil, false
	}
	w := &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{}}}
	for _, p := range f {
		rest := p.text
		for !p.quoted && rest != "" {
			i := strings.IndexAny(rest, "{}")
			if i < 0 {
				w.Parts = append(w.Parts, &syntax.Lit{Value: rest})
				break
			}
			w.Parts = append(w.Parts, &syntax.Lit{Value: rest[:i]}, &syntax.SglQuoted{Value: rest[i : i+1]})
			rest = rest[i+1:]
		}
		if p.quoted {
			w.Parts = append(w.Parts, &syntax.SglQuoted{Value: p.text})
		}
	}
	cfg := &expand.Config{
		Env: s.Vars, ReadDir2: s.ReadDir, NullGlob: true, DotGlob: s.DotGlob,
		NoCaseGlob: s.NoCaseGlob, GlobStar: s.GlobStar, ExtGlob: true,
	}
	paths, err := expand.Fields(cfg, w)
	if err != nil || len(paths) == 0 {
		return nil, s.NullGlob
	}
	return paths, true
}
