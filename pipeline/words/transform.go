package words

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

func cased(c rune, upper bool) rune {
	switch {
	case c >= lone:
		return c
	case upper:
		return unicode.ToUpper(c)
	}
	return unicode.ToLower(c)
}

// transform does "${x@op}".
func (s *Shell) transform(pe *syntax.ParamExp, v *value, op string) ([]string, error) {
	each := func(f func(string) string) []string {
		var out []string
		if !v.list && !v.set {
			return out
		}
		for _, e := range v.elems {
			out = append(out, f(e))
		}
		return out
	}
	switch op {
	case "Q":
		return each(func(e string) string { return Quote(e, s.Bytes) }), nil
	case "U", "L":
		return each(func(e string) string {
			cs := characters(e, s.Bytes)
			for i, c := range cs {
				cs[i] = cased(c, op == "U")
			}
			return text(cs)
		}), nil
	case "u":
		return each(func(e string) string {
			cs := characters(e, s.Bytes)
			if len(cs) > 0 {
				cs[0] = cased(cs[0], true)
			}
			return text(cs)
		}), nil
	case "E":
		return each(func(e string) string {
			out, _, err := expand.Format(nil, e, nil)
			if err != nil {
				return e
			}
			out, _, _ = strings.Cut(out, "\x00")
			return out
		}), nil
	case "a":
		flags := s.Vars.Get(pe.Param.Value).Flags()
		if !v.list {
			return []string{flags}, nil
		}
		return each(func(string) string { return flags }), nil
	case "A":
		return s.declaration(v), nil
	case "K", "k":
		if !v.list {
			return each(func(e string) string { return Quote(e, s.Bytes) }), nil
		}
		var out []string
		for i, e := range v.elems {
			if op == "k" {
				out = append(out, v.keys[i], e)
			} else {
				out = append(out, s.quotedKey(v, i)+" "+doubleQuoted(e))
			}
		}
		if op == "K" {
			return []string{strings.Join(out, " ") + strings.Repeat(" ", len(s.spaceAfter(v)))}, nil
		}
		return out, nil
	}
	return nil, wrong(Line, fmt.Sprintf("${%s@%s}", pe.Param.Value, op), "bad substitution")
}

// spaceAfter returns what bash writes behind the last element of an associative array.
func (s *Shell) spaceAfter(v *value) string {
	if v.vr.Kind == expand.Associative {
		return " "
	}
	return ""
}

func (s *Shell) quotedKey(v *value, i int) string {
	key := v.keys[i]
	if v.vr.Kind == expand.Associative && (key == "" || strings.ContainsAny(key, " \t\n\"'\\$`*?[]{}()<>|&;!~#@=")) {
		return doubleQuoted(key)
	}
	return key
}

// doubleQuoted quotes a string as "declare -p" does.
func doubleQuoted(e string) string {
	for _, c := range e {
		if unicode.IsControl(c) {
			return Quote(e, false)
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(e) {
		if strings.IndexByte("\"$`\\", e[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(e[i])
	}
	b.WriteByte('"')
	return b.String()
}

// declaration returns the command that makes a variable again.
func (s *Shell) declaration(v *value) []string {
	flags := v.vr.Flags()
	if !v.list {
		if !v.set && flags == "" {
			return nil
		}
		prefix := ""
		if flags != "" {
			prefix = "declare -" + flags + " "
		}
		if !v.set {
			return []string{prefix + v.name}
		}
		return []string{prefix + v.name + "=" + Quote(v.str(), s.Bytes)}
	}
	if v.name == "@" || v.name == "*" {
		out := []string{"set", "--"}
		for _, e := range v.elems {
			out = append(out, Quote(e, s.Bytes))
		}
		return []string{strings.Join(out, " ")}
	}
	if !v.set && flags == "" {
		return nil
	}
	if v.vr.Kind == expand.String {
		prefix := ""
		if flags != "" {
			prefix = "declare -" + flags + " "
		}
		return []string{prefix + v.name + "=" + Quote(v.str(), s.Bytes)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "declare -%s %s=(", flags, v.name)
	for i, e := range v.elems {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "[%s]=%s", s.quotedKey(v, i), doubleQuoted(e))
	}
	b.WriteString(s.spaceAfter(v) + ")")
	return []string{b.String()}
}

// Quote quotes a string as bash's "${x@Q}" does, so that a shell reads it as one word.
// Bytes above 127 are no characters if bytes is true.
func Quote(s string, bytes bool) string {
	if s == "'" {
		return `\'`
	}
	plain := true
	for _, c := range characters(s, bytes) {
		plain = plain && c < lone && (unicode.IsPrint(c) || c > 0x7f && !unicode.IsControl(c))
	}
	if plain {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for _, c := range characters(s, bytes) {
		switch {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c >= 7 && c <= 13:
			b.WriteByte('\\')
			b.WriteByte("abtnvfr"[c-7])
		case c == 0x1b:
			b.WriteString(`\E`)
		case c >= lone || c < ' ' || c == 0x7f:
			octal := strconv.FormatInt(int64(c%lone), 8)
			b.WriteString(`\` + strings.Repeat("0", 3-len(octal)) + octal)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
