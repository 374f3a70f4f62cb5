package pipeline

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// defaultPath is where "command -p" looks: confstr(3), _CS_PATH.
const defaultPath = "/bin:/usr/bin"

// Hidden variables of a shell: a subshell has copies of them.
const (
	varDisabled = "\x00disabled" // an associative array with the builtins that enable -n has switched off
	varHashed   = "\x00hashed"   // an associative array with the paths that hash knows
)

// keywords are the reserved words of bash, in the order in which it lists them.
var keywords = []string{
	"if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until",
	"do", "done", "in", "function", "time", "{", "}", "!", "[[", "]]", "coproc",
}

// builtins are bash's, in the order in which it lists them.
var builtins = []string{
	".", ":", "[", "alias", "bg", "bind", "break", "builtin", "caller", "cd", "command", "compgen",
	"complete", "compopt", "continue", "declare", "dirs", "disown", "echo", "enable", "eval", "exec",
	"exit", "export", "false", "fc", "fg", "getopts", "hash", "help", "history", "jobs", "kill", "let",
	"local", "logout", "mapfile", "popd", "printf", "pushd", "pwd", "read", "readarray", "readonly",
	"return", "set", "shift", "shopt", "source", "suspend", "test", "times", "trap", "true", "type",
	"typeset", "ulimit", "umask", "unalias", "unset", "wait",
}

// isBuiltin reports whether bash has a builtin of that name, and it is not disabled.
func (c *builtinCall) isBuiltin(name string) bool {
	_, is := slices.BinarySearch(builtins, name)
	return is && !isDisabled(c.hc, name)
}

// isDisabled reports whether "enable -n" has switched a builtin off.
func isDisabled(hc interp.HandlerContext, name string) bool {
	v := hc.Env.Get(varDisabled)
	_, is := v.Map[name]
	return is
}

// setHidden gives a hidden variable of the shell its value.
func (c *builtinCall) setHidden(name string, table map[string]string) error {
	return variablesOf(runnerOf(c.hc)).Set(name, expand.Variable{Set: true, Kind: expand.Associative, Map: table})
}

// hidden returns a copy of a hidden variable of the shell.
func (c *builtinCall) hidden(name string) map[string]string {
	table := maps.Clone(c.hc.Env.Get(name).Map)
	if table == nil {
		table = make(map[string]string)
	}
	return table
}

// A meaning is one of those that the name of a command has.
type meaning struct {
	kind string // as type -t has it
	path string // of a file
	text string // of an alias
}

// A search is how the meanings of names are looked for.
type search struct {
	functions, aliases, builtins bool
	all                          bool
	path                         string // PATH
}

// meanings returns the meanings of a name in the order in which they count; the first
// of them, or all.
func (c *builtinCall) meanings(name string, s search) (found []meaning) {
	add := func(m meaning) bool {
		found = append(found, m)
		return s.all
	}
	if text, ok := c.aliasText(name); s.aliases && ok && !add(meaning{kind: "alias", text: text}) {
		return found
	}
	if s.builtins && slices.Contains(keywords, name) && !add(meaning{kind: "keyword"}) {
		return found
	}
	if s.functions && isFunction(c.hc, name) && !add(meaning{kind: "function"}) {
		return found
	}
	if s.builtins && c.isBuiltin(name) && !add(meaning{kind: "builtin"}) {
		return found
	}
	if strings.Contains(name, "/") {
		if isProgram(c.path(name)) {
			add(meaning{kind: "file", path: name})
		}
		return found
	}
	if path, ok := c.hc.Env.Get(varHashed).Map[name]; ok && !s.all {
		return append(found, meaning{kind: "file", path: path, text: "hashed"})
	}
	if name == "" {
		return found
	}
	last := ""
	for _, folder := range filepath.SplitList(s.path) {
		if folder == "" {
			folder = "."
		}
		path := folder + "/" + name
		if isProgram(c.path(path)) && !add(meaning{kind: "file", path: path}) {
			break
		}
		if info, err := os.Stat(c.path(path)); last == "" && err == nil && info.Mode().IsRegular() {
			last = path
		}
	}
	if len(found) == 0 && last != "" && !s.all {
		add(meaning{kind: "file", path: last}) // bash names it, though it cannot be run
	}
	return found
}

// isProgram reports whether a file can be executed.
func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && accessible(path, accessExecute)
}

// outputKey is where the context of a builtin of the interpreter has the io.Writer that
// markOutput stands for.
type outputKey struct{}

// aliasText returns what an alias stands for, where aliases are expanded.
func (c *builtinCall) aliasText(name string) (text string, ok bool) {
	if !c.x.plan.aliases || name == "" || strings.ContainsAny(name, "=/") {
		return "", false
	}
	var out strings.Builder
	quoted, err := syntax.Quote(name, syntax.LangBash)
	if err != nil {
		return "", false
	}
	to := context.WithValue(internal(context.Background()), outputKey{}, &out)
	_ = c.hc.Builtin(withShell(to, c.sh), []string{"eval", "shopt expand_aliases >" + c.x.plan.texts.secret + markOutput[1:] +
		"; alias " + quoted + " 2>/dev/null >" + c.x.plan.texts.secret + markOutput[1:]})
	_ = c.hc.Builtin(internal(context.Background()), []string{"eval", ":"})
	state, text, _ := strings.Cut(out.String(), "\n")
	text, is := strings.CutPrefix(strings.TrimSuffix(text, "\n"), "alias "+name+"='")
	return strings.TrimSuffix(text, "'"), is && strings.HasSuffix(state, "\ton")
}

// describe returns the words of type and of "command -V" for a meaning.
func (c *builtinCall) describe(name string, m meaning) string {
	switch {
	case m.kind == "alias":
		return fmt.Sprintf("%s is aliased to `%s'\n", name, m.text)
	case m.kind == "keyword":
		return name + " is a shell keyword\n"
	case m.kind == "builtin":
		if isSpecialBuiltin(name) && optionOf(runnerOf(c.hc), "posix") {
			return name + " is a special shell builtin\n"
		}
		return name + " is a shell builtin\n"
	case m.kind == "function":
		text, _ := c.x.functionOf(c.hc, name)
		return name + " is a function\n" + text + "\n"
	case m.text == "hashed":
		return fmt.Sprintf("%s is hashed (%s)\n", name, m.path)
	}
	return name + " is " + m.path + "\n"
}

// isSpecialBuiltin reports whether a builtin is special: POSIX, special built-ins.
func isSpecialBuiltin(name string) bool {
	switch name {
	case ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "times", "trap", "unset":
		return true
	}
	return false
}

// typeOf is type.
func typeOf(ctx context.Context, c *builtinCall) error {
	s := search{functions: true, aliases: true, builtins: true, path: c.hc.Env.Get("PATH").String()}
	var kind, path bool
	args, err := c.options("afptP", "type [-afptP] name [name ...]", func(letter byte, _ string) error {
		switch letter {
		case 'a':
			s.all = true
		case 'f':
			s.functions = false
		case 't':
			kind, path = true, false
		case 'p':
			path, kind = true, false
		case 'P':
			path, kind = true, false
			s.functions, s.aliases, s.builtins = false, false, false
		}
		return nil
	})
	if err != nil {
		return err
	}
	var b strings.Builder
	status := 0
	for _, name := range args {
		found := c.meanings(name, s)
		if len(found) == 0 {
			status = 1
			if !kind && !path {
				c.errorf("%s: not found", name)
			}
		}
		for _, m := range found {
			switch {
			case kind:
				b.WriteString(m.kind + "\n")
			case path && m.kind == "file":
				b.WriteString(m.path + "\n")
			case !path:
				b.WriteString(c.describe(name, m))
			}
		}
	}
	if err := c.writeString(ctx, b.String()); err != nil {
		return err
	}
	return failure(status)
}

// command is command: without options the call is one of a builtin or a program, though
// a function has the name.
func command(ctx context.Context, c *builtinCall) error {
	s := search{functions: true, aliases: true, builtins: true, path: c.hc.Env.Get("PATH").String()}
	names, described, standard := false, false, false
	args, err := c.options("pvV", "command [-pVv] command [arg ...]", func(letter byte, _ string) error {
		switch letter {
		case 'p':
			standard, s.path = true, defaultPath
		case 'v':
			names, described = true, false
		case 'V':
			names, described = false, true
		}
		return nil
	})
	if err != nil || len(args) == 0 {
		return err
	}
	if !names && !described {
		return c.run(ctx, args, standard)
	}
	var b strings.Builder
	status := 1
	for _, name := range args {
		found := c.meanings(name, s)
		if len(found) == 0 {
			if described {
				c.errorf("%s: not found", name)
			}
			continue
		}
		status = 0
		switch m := found[0]; {
		case described:
			m.path = c.located(m.path)
			b.WriteString(c.describe(name, m))
		case m.kind == "file":
			b.WriteString(c.located(m.path) + "\n")
		case m.kind == "alias":
			b.WriteString("alias " + name + "='" + m.text + "'\n")
		default:
			b.WriteString(name + "\n")
		}
	}
	if err := c.writeString(ctx, b.String()); err != nil {
		return err
	}
	return failure(status)
}

// located returns the path of a program as "command -v" prints it: not one that begins
// with "./".
func (c *builtinCall) located(path string) string {
	if rest, ok := strings.CutPrefix(path, "./"); ok {
		return c.hc.Dir + "/" + rest
	}
	return path
}

// run runs a builtin or a program, though a function has its name. standard tells that
// programs are looked for where those of the system are.
func (c *builtinCall) run(ctx context.Context, words []string, standard bool) error {
	name := words[0]
	if c.isBuiltin(name) || name == "newgrp" {
		switch name {
		case "eval", "source", ".", "trap":
			words = c.x.withText(words)
			if isMark(words[0]) {
				return c.x.mark(ctx, c.sh, c.hc, words)
			}
		}
		if b := builtinOf(words[0]); b != nil {
			inner := *c
			inner.name, inner.args = words[0], words[1:]
			return b(ctx, &inner)
		}
		return c.hc.Builtin(ctx, words)
	}
	if standard && !strings.Contains(name, "/") {
		if m := c.meanings(name, search{path: defaultPath}); len(m) > 0 {
			words = append([]string{m[0].path}, words[1:]...)
		}
	}
	return c.x.exec(ctx, words)
}

// onlyBuiltin is builtin.
func onlyBuiltin(ctx context.Context, c *builtinCall) error {
	args, err := c.options("", "builtin [shell-builtin [arg ...]]", nil)
	if err != nil || len(args) == 0 {
		return err
	}
	if !c.isBuiltin(args[0]) {
		return c.fails("%s: not a shell builtin", args[0])
	}
	return c.run(ctx, args, false)
}

// unwrapped returns the words behind "command" and "builtin" where they may stand as
// well without it: then no builtin of ours comes between. ok is false where it has
// options, or has to pass by a function.
func unwrapped(hc interp.HandlerContext, words []string) (rest []string, ok bool) {
	for len(words) > 1 && (words[0] == "command" || words[0] == "builtin") && !isFunction(hc, words[0]) {
		inner := words[1:]
		if inner[0] == "--" && len(inner) > 1 {
			inner = inner[1:]
		}
		name := inner[0]
		if name == "" || name[0] == '-' || isFunction(hc, name) || isDisabled(hc, name) {
			return nil, false
		}
		if _, is := slices.BinarySearch(builtins, name); !is && words[0] == "builtin" {
			return nil, false
		}
		words, ok = inner, true
	}
	return words, ok
}

// hash is bash's; but programs come into its table only by its own calls.
func hash(ctx context.Context, c *builtinCall) error {
	table := c.hidden(varHashed)
	var forget, remove, list, tell, given bool
	path := ""
	args, err := c.options("dlp:rt", "hash [-lr] [-p pathname] [-dt] [name ...]", func(letter byte, word string) error {
		switch letter {
		case 'd':
			remove = true
		case 'l':
			list = true
		case 'p':
			path, given = word, true
		case 'r':
			forget = true
		case 't':
			tell = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	if forget {
		clear(table)
		if err := c.setHidden(varHashed, table); err != nil || len(args) == 0 {
			return err
		}
	}
	if len(args) == 0 {
		if tell || remove {
			return c.fails("-%c: option requires an argument", map[bool]byte{true: 't', false: 'd'}[tell])
		}
		return c.printHashed(ctx, table, list)
	}
	var b strings.Builder
	status := 0
	for _, name := range args {
		known, ok := table[name]
		switch {
		case tell:
			if !ok {
				c.errorf("%s: not found", name)
				status = 1
				break
			}
			switch {
			case list:
				fmt.Fprintf(&b, "builtin hash -p %s %s\n", known, name)
			case len(args) > 1:
				fmt.Fprintf(&b, "%s\t%s\n", name, known)
			default:
				b.WriteString(known + "\n")
			}
		case remove:
			if !ok {
				c.errorf("%s: not found", name)
				status = 1
			}
			delete(table, name)
		case strings.Contains(name, "/"):
		case given:
			table[name] = path
		case isFunction(c.hc, name) || c.isBuiltin(name):
		default:
			delete(table, name)
			m := c.meanings(name, search{path: c.hc.Env.Get("PATH").String(), all: true})
			if len(m) == 0 {
				c.errorf("%s: not found", name)
				status = 1
				break
			}
			table[name] = m[0].path
		}
	}
	if !tell {
		if err := c.setHidden(varHashed, table); err != nil {
			return err
		}
	}
	if err := c.writeString(ctx, b.String()); err != nil {
		return err
	}
	return failure(status)
}

func (c *builtinCall) printHashed(ctx context.Context, table map[string]string, list bool) error {
	if len(table) == 0 {
		if list {
			return nil
		}
		return c.writeString(ctx, "hash: hash table empty\n")
	}
	var b strings.Builder
	if !list {
		b.WriteString("hits\tcommand\n")
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if list {
			fmt.Fprintf(&b, "builtin hash -p %s %s\n", table[name], name)
		} else {
			fmt.Fprintf(&b, "%4d\t%s\n", 0, table[name])
		}
	}
	return c.writeString(ctx, b.String())
}

// enable is bash's, without -d and -f.
func enable(ctx context.Context, c *builtinCall) error {
	table := c.hidden(varDisabled)
	var off, all, special bool
	args, err := c.options("adnpsf:", "enable [-a] [-dnps] [-f filename] [name ...]", func(letter byte, _ string) error {
		switch letter {
		case 'a':
			all = true
		case 'n':
			off = true
		case 's':
			special = true
		case 'd', 'f':
			return c.usage("-%c: not supported; builtins cannot be loaded here", letter)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(args) == 0 {
		var b strings.Builder
		for _, name := range builtins {
			_, disabled := table[name]
			switch {
			case special && !isSpecialBuiltin(name):
			case disabled && (off || all):
				b.WriteString("enable -n " + name + "\n")
			case !disabled && !off:
				b.WriteString("enable " + name + "\n")
			}
		}
		return c.writeString(ctx, b.String())
	}
	status := 0
	for _, name := range args {
		if _, is := slices.BinarySearch(builtins, name); !is {
			c.errorf("%s: not a shell builtin", name)
			status = 1
			continue
		}
		if off {
			table[name] = ""
		} else {
			delete(table, name)
		}
	}
	if err := c.setHidden(varDisabled, table); err != nil {
		return err
	}
	return failure(status)
}
