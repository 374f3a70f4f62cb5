package pipeline

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// The word of a redirection that this package does begins with markRedirect and its
// header. In it stand the signs below, around what is subject to splitting and to the
// expansion of file names: no word of a shell can hold them.
const (
	signSplit  = "\x00s" // an expansion without quotes begins
	signGlob   = "\x00g" // a literal with *, ? or [ begins
	signEnd    = "\x00e" // it ends
	signNumber = "\x00n" // the number of a "{name}" follows, up to the end
)

// A redirection is one that was read from the word of a mark, with the word expanded.
type redirection struct {
	op       string // as the user has written it, or one of the scopes
	flags    string
	number   int // -1: none is written
	line     int
	word     string // with its signs
	variable bool   // number is that of a "{name}"
}

// Flags of a redirection.
const (
	flagFirst    = 'f' // of those of its command
	flagSimple   = 'c' // of a command that may be a program
	flagPersists = 'x' // of an "exec" without a program
	flagTilde    = 't' // the word begins with a tilde without quotes
	flagSeveral  = 'a' // the word is several
	flagInput    = 'i' // of a scope in the words of a command: its input is that before the redirections
	flagOutput   = 'o' // its output
	flagErrors   = 'e' // its stderr, and all above
)

// Scopes, which stand as redirections on groups of our own.
const (
	scopeShell = "shell" // what is in the group is a shell: what it opens ends with it
	scopeKeep  = "keep"  // a command that began by itself, in <( )
	scopeWords = "words" // a command without redirections, in whose words there are commands
)

const redirectFields = 5

// header returns the beginning of a word for a redirection.
func (r redirection) header() string {
	number := ""
	if r.number >= 0 {
		number = strconv.Itoa(r.number)
	}
	return strings.Join([]string{markRedirect, r.flags, r.op, number, strconv.Itoa(r.line), ""}, "/")
}

// readRedirection reads an expanded word, which begins with a header, or has only the
// name of a FIFO in front of it. It returns false for all others.
func readRedirection(path string) (r redirection, ok bool) {
	fifo, path, ok := strings.Cut(path, markRedirect)
	if !ok {
		return redirection{}, false
	}
	fields := strings.SplitN(path, "/", redirectFields+1)
	if len(fields) <= redirectFields {
		return redirection{}, false
	}
	r = redirection{flags: fields[1], op: fields[2], number: -1, line: index(fields[4]), word: fifo + fields[5]}
	if fields[3] != "" {
		r.number = index(fields[3])
	}
	if word, number, ok := strings.Cut(r.word, signNumber); ok {
		r.word, r.variable, r.number = word, true, -1
		if n, err := strconv.Atoi(number); err == nil {
			r.number = n
		}
	}
	return r, true
}

func (r redirection) is(flag rune) bool { return strings.ContainsRune(r.flags, flag) }

// markedWord returns the parts of a word as they stand behind a header, and whether it
// begins with a tilde. fields tells that it is subject to splitting and to the expansion
// of file names.
func markedWord(w *syntax.Word, fields bool) (parts []syntax.WordPart, tilde bool) {
	for i, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			value := part.Value
			tilde = tilde || i == 0 && strings.HasPrefix(value, "~")
			parts = append(parts, literalParts(part, fields)...)
		case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ArithmExp:
			if _, arithmetic := part.(*syntax.ArithmExp); arithmetic || !fields {
				parts = append(parts, part)
				break
			}
			parts = append(parts, signPart(part.Pos(), signSplit), part, signPart(part.Pos(), signEnd))
		case *syntax.ExtGlob:
			parts = append(parts, signPart(part.Pos(), signGlob), part, signPart(part.Pos(), signEnd))
		default:
			parts = append(parts, part)
		}
	}
	return parts, tilde
}

// hasBraces reports whether the expansion of braces makes several words of a word.
func hasBraces(w *syntax.Word) bool {
	if !slices.ContainsFunc(w.Parts, func(part syntax.WordPart) bool {
		lit, ok := part.(*syntax.Lit)
		return ok && strings.Contains(lit.Value, "{")
	}) {
		return false
	}
	again := *w
	return syntax.SplitBraces(&again)
}

func signPart(pos syntax.Pos, sign string) syntax.WordPart {
	return &syntax.SglQuoted{Left: pos, Right: pos, Value: sign}
}

// literalParts returns a literal without its backslashes.
func literalParts(lit *syntax.Lit, fields bool) (parts []syntax.WordPart) {
	pos, rest := lit.ValuePos, lit.Value
	for rest != "" {
		if rest[0] == '\\' && len(rest) > 1 {
			end := 2
			for end < len(rest) && rest[end]&0xc0 == 0x80 { // the rest of a UTF-8 sequence
				end++
			}
			if rest[1] != '\n' {
				parts = append(parts, literalPart(pos, rest[1:end]))
			}
			rest = rest[end:]
			continue
		}
		end := strings.IndexByte(rest[1:], '\\') + 1
		if end == 0 {
			end = len(rest)
		}
		piece := rest[:end]
		if fields && strings.ContainsAny(piece, "*?[") {
			parts = append(parts, signPart(pos, signGlob), literalPart(pos, piece), signPart(pos, signEnd))
		} else {
			parts = append(parts, literalPart(pos, piece))
		}
		rest = rest[end:]
	}
	return parts
}

// literalPart returns a quoted word part of any text.
func literalPart(pos syntax.Pos, text string) syntax.WordPart {
	if !strings.Contains(text, "'") {
		return signPart(pos, text)
	}
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte("$`\"\\", text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return &syntax.DblQuoted{Left: pos, Right: pos, Parts: []syntax.WordPart{
		&syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: b.String()},
	}}
}

// A wordField is a field of an expanded word.
type wordField struct {
	text    string
	pattern string // the text with what was quoted in it escaped
	glob    bool   // it is a pattern
}

// expanded returns the one word that the word of a redirection has become, without the
// signs. It returns false where it has become none or several.
func (r redirection) expanded(hc interp.HandlerContext) (string, bool) {
	if r.is(flagSeveral) {
		return "", false
	}
	word := r.word
	if r.is(flagTilde) {
		word = expandTilde(hc, word)
	}
	if strings.IndexByte(word, 0) < 0 {
		return word, true
	}
	ifs := " \t\n"
	if v := hc.Env.Get("IFS"); v.IsSet() {
		ifs = v.String()
	}
	var fields []wordField
	open := false // the last field may go on
	add := func(text string, quoted bool) {
		if !open {
			fields, open = append(fields, wordField{}), true
		}
		f := &fields[len(fields)-1]
		f.text += text
		if quoted {
			f.pattern += escapedPattern(text)
			return
		}
		f.pattern += text
		f.glob = f.glob || strings.ContainsAny(text, "*?[")
	}
	for word != "" {
		sign := strings.IndexByte(word, 0)
		if sign < 0 {
			add(word, true)
			break
		}
		if sign > 0 {
			add(word[:sign], true)
		}
		kind := word[sign:min(sign+2, len(word))]
		inside, rest, _ := strings.Cut(word[min(sign+2, len(word)):], signEnd)
		word = rest
		if kind == signGlob {
			add(inside, false)
			continue
		}
		for inside != "" {
			end := strings.IndexAny(inside, ifs)
			if ifs == "" || end < 0 {
				add(inside, false)
				break
			}
			if end > 0 {
				add(inside[:end], false)
			} else if !open && strings.IndexByte(" \t\n", inside[0]) < 0 {
				add("", false) // an empty field between two separators
			}
			open = false
			inside = inside[end+1:]
		}
	}
	if len(fields) != 1 {
		return "", false
	}
	if fields[0].glob {
		pattern := fields[0].pattern
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(escapedPattern(hc.Dir), pattern)
		}
		matches, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
		switch {
		case err != nil || len(matches) == 0:
		case len(matches) == 1:
			return matches[0], true
		default:
			return "", false
		}
	}
	return fields[0].text, true
}

// escapedPattern returns a pattern of filepath.Match that only text itself matches.
func escapedPattern(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(`*?[\`, text[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// plain returns the word of a redirection that is not split.
func (r redirection) plain(hc interp.HandlerContext) string {
	if r.is(flagTilde) {
		return expandTilde(hc, r.word)
	}
	return r.word
}

// expandTilde replaces the tilde that a word begins with: POSIX, tilde expansion, and
// bash's ~+ and ~-.
func expandTilde(hc interp.HandlerContext, word string) string {
	end := strings.IndexAny(word, "/\x00")
	if end < 0 {
		end = len(word)
	}
	home := ""
	switch name := word[1:end]; name {
	case "":
		home = hc.Env.Get("HOME").String()
	case "+":
		home = hc.Dir
	case "-":
		home = hc.Env.Get("OLDPWD").String()
	default:
		home = homeOf(name)
	}
	if home == "" {
		return word
	}
	return home + word[end:]
}
