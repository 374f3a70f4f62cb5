package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/expand"
)

// visible returns the variables of a shell by name, without those that no script can
// write.
func (c *builtinCall) visible() map[string]expand.Variable {
	r := runnerOf(c.hc)
	env := variablesOf(r)
	if _, is := env.(*variables); !is {
		env = &variables{env, c.x}
	}
	found := make(map[string]expand.Variable)
	for name, v := range env.Each {
		if name, is := strings.CutPrefix(name, hiddenAttributes); is {
			if _, known := found[name]; !known && v.Set && c.x.plan.isVisible(name) {
				found[name] = expand.Variable{} // declared, and nothing else
			}
			continue
		}
		if !c.x.plan.isVisible(name) {
			continue
		}
		if v.Declared() {
			found[name] = v
		} else if env.Get(hiddenAttributes + name).Set {
			found[name] = v
		} else {
			delete(found, name)
		}
	}
	for _, name := range []string{"PWD", "OLDPWD"} { // as in bash, without being asked
		v := found[name]
		v.Exported = !env.Get(hiddenUnexported + name).Set
		found[name] = v
	}
	for _, name := range []string{"DIRSTACK", "PPID"} { // the interpreter computes them
		if v := expansionOf(r).Env.Get(name); v.Declared() {
			v.ReadOnly = name == "PPID"
			found[name] = v
		}
	}
	return found
}

// isVisible reports whether a script may have written a name.
func (p *plan) isVisible(name string) bool {
	return name != "" && name[0] != 0 && !strings.HasPrefix(name, p.texts.secret) && !strings.HasPrefix(name, "_rpipe_") && !strings.Contains(name, "%%")
}

// quoting quotes words for a locale.
type quoting struct{ utf8 bool }

// quoting returns that of the shell's locale.
func (c *builtinCall) quoting() quoting {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := c.hc.Env.Get(name); v.Str != "" {
			name := strings.ToLower(v.Str)
			return quoting{strings.Contains(name, "utf-8") || strings.Contains(name, "utf8")}
		}
	}
	return quoting{}
}

func (q quoting) prints(r rune) bool { return unicode.IsPrint(r) && (q.utf8 || r < utf8.RuneSelf) }

// list prints what a declaration without operands does.
func (d *declaring) list(ctx context.Context) error {
	all := d.visible()
	if d.variant == "local" {
		maps.DeleteFunc(all, func(name string, _ expand.Variable) bool { return !d.isLocal(name) })
	}
	names := slices.Sorted(maps.Keys(all))
	var out strings.Builder
	plain := !d.prints && d.on == "" && d.variant != "local"
	for _, name := range names {
		v := all[name]
		switch {
		case plain:
			if isSet(v) {
				out.WriteString(d.quoting().assignment(name, v) + "\n")
			}
		case d.matches(name, v):
			out.WriteString(d.quoting().declared(d.attributes(name, v), name, v) + "\n")
		}
	}
	if plain {
		out.WriteString(d.x.listFunctions(d.hc))
	}
	return d.writeString(ctx, out.String())
}

func (d *declaring) isLocal(name string) bool {
	for s, ok := scopeOf(d.env); ok; s, ok = s.outer() {
		if v, is := s.own(name); is && v.Local {
			return true
		}
		if s.isFunction() {
			break
		}
	}
	return false
}

// matches reports whether a variable has all the attributes that were asked for.
func (d *declaring) matches(name string, v expand.Variable) bool {
	if d.variant == "export" && strings.Contains(d.off, "x") {
		return v.Exported
	}
	attributes := d.attributes(name, v)
	for _, c := range d.on {
		if !strings.ContainsRune(attributes, c) {
			return false
		}
	}
	return true
}

// printNamed prints the variables that are named, in the form of declare -p.
func (d *declaring) printNamed(ctx context.Context) error {
	all := d.visible()
	var out strings.Builder
	for _, o := range d.operands {
		v, ok := all[o.name]
		if !ok || d.variant == "local" && !d.isLocal(o.name) {
			d.fail("%s: not found", o.name)
			continue
		}
		out.WriteString(d.quoting().declared(d.attributes(o.name, v), o.name, v) + "\n")
	}
	if err := d.writeString(ctx, out.String()); err != nil {
		return err
	}
	if d.failed {
		return failure(1)
	}
	return nil
}

// attributes returns the letters of a variable's attributes, in the order of bash.
func (d *declaring) attributes(name string, v expand.Variable) string {
	return declaredFlags(d.env, name, v)
}

func declaredFlags(env expand.Environ, name string, v expand.Variable) string {
	own := env.Get(hiddenAttributes + name).Str
	switch name {
	case "UID", "EUID", "PPID":
		own += "i"
	case "SECONDS", "RANDOM", "OPTIND", "HISTCMD", "BASHPID":
		if !strings.Contains(own, "i") && name != "SECONDS" {
			own += "i"
		}
	}
	var letters strings.Builder
	for _, a := range []struct {
		letter byte
		is     bool
	}{
		{'a', v.Kind == expand.Indexed}, {'A', v.Kind == expand.Associative},
		{'i', strings.Contains(own, "i")}, {'n', v.Kind == expand.NameRef}, {'r', v.ReadOnly},
		{'t', strings.Contains(own, "t")}, {'x', v.Exported},
		{'l', strings.Contains(own, "l")}, {'u', strings.Contains(own, "u")},
	} {
		if a.is {
			letters.WriteByte(a.letter)
		}
	}
	return letters.String()
}

// isSet reports whether a variable has a value. The interpreter gives some arrays
// elements without saying so.
func isSet(v expand.Variable) bool { return v.Set || len(v.List) > 0 || len(v.Map) > 0 }

// declared returns a variable in the form of declare -p.
func (q quoting) declared(attributes, name string, v expand.Variable) string {
	if attributes == "" {
		attributes = "-"
	}
	line := "declare -" + attributes + " " + name
	if !isSet(v) {
		return line
	}
	if v.Kind == expand.Indexed || v.Kind == expand.Associative {
		return line + "=" + q.arrayText(v)
	}
	return line + "=" + q.doublyQuoted(v.Str)
}

// assignment returns a variable in the form of set.
func (q quoting) assignment(name string, v expand.Variable) string {
	if v.Kind == expand.Indexed || v.Kind == expand.Associative {
		return name + "=" + q.arrayText(v)
	}
	return name + "=" + q.reusable(v.Str)
}

func (q quoting) arrayText(v expand.Variable) string {
	var b strings.Builder
	b.WriteByte('(')
	if v.Kind == expand.Indexed {
		for i, s := range v.List {
			index := i
			if v.Indexes != nil {
				index = v.Indexes[i]
			}
			if i > 0 {
				b.WriteByte(' ')
			}
			fmt.Fprintf(&b, "[%d]=%s", index, q.doublyQuoted(s))
		}
		return b.String() + ")"
	}
	for _, key := range hashed(v.Map) {
		quotedKey := key
		switch {
		case q.needsANSI(key):
			quotedKey = q.ansiQuoted(key)
		case key == "@" || key == "*" || hasMeta(key) || key == "":
			quotedKey = q.doublyQuoted(key)
		}
		b.WriteString("[" + quotedKey + "]=" + q.doublyQuoted(v.Map[key]) + " ")
	}
	return b.String() + ")"
}

// hashed returns the keys of an associative array in the order in which bash keeps
// them: by the buckets of its table, FNV-1 of the key.
func hashed(m map[string]string) []string {
	const buckets = 1024
	bucket := func(key string) uint32 {
		h := uint32(2166136261)
		for i := range len(key) {
			h *= 16777619
			h ^= uint32(key[i])
		}
		return h & (buckets - 1)
	}
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		if x, y := bucket(a), bucket(b); x != y {
			return int(x) - int(y)
		}
		return strings.Compare(a, b)
	})
}

// doublyQuoted returns a word in double quotes, or in $'...' where it cannot be printed.
func (q quoting) doublyQuoted(s string) string {
	if q.needsANSI(s) {
		return q.ansiQuoted(s)
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"', '$', '`', '\\':
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String() + `"`
}

// reusable returns a word as set prints it.
func (q quoting) reusable(s string) string {
	switch {
	case s == "":
		return ""
	case q.needsANSI(s):
		return q.ansiQuoted(s)
	case hasMeta(s):
		return singlyQuoted(s)
	}
	return s
}

// singlyQuoted returns a word in single quotes.
func singlyQuoted(s string) string {
	if s == "'" {
		return `\'`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// needsANSI reports whether a word holds what cannot be printed.
func (q quoting) needsANSI(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !q.prints(r) {
			return true
		}
		i += size
	}
	return false
}

// ansiQuoted returns a word in $'...'.
func (q quoting) ansiQuoted(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\033':
			b.WriteString(`\E`)
		case strings.ContainsRune("\a\b\t\n\v\f\r", r):
			escape := strconv.QuoteRune(r)
			b.WriteString(escape[1 : len(escape)-1])
		case r == '\\' || r == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == utf8.RuneError && size == 1 || !q.prints(r):
			for j := range size {
				fmt.Fprintf(&b, "\\%03o", s[i+j])
			}
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String() + "'"
}

// hasMeta reports whether the shell would not take a word as it is.
func hasMeta(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', '\n', '\'', '"', '\\', '|', '&', ';', '(', ')', '<', '>', '!', '{', '}', '*', '[', '?', ']', '^', '$', '`':
			return true
		case '~':
			if i == 0 || s[i-1] == '=' || s[i-1] == ':' {
				return true
			}
		case '#':
			if i == 0 {
				return true
			}
		}
	}
	return false
}
