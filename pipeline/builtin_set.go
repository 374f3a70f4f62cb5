package pipeline

import (
	"context"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// A shellOption is one of those that set knows.
type shellOption struct {
	name   string
	letter byte // 0: it has none
	native bool // the interpreter has it
}

// shellOptions are those of bash 5.2, in its order.
var shellOptions = []shellOption{
	{"allexport", 'a', true}, {"braceexpand", 'B', false}, {"emacs", 0, false}, {"errexit", 'e', true},
	{"errtrace", 'E', false}, {"functrace", 'T', false}, {"hashall", 'h', false}, {"histexpand", 'H', false},
	{"history", 0, false}, {"ignoreeof", 0, false}, {"interactive-comments", 0, false}, {"keyword", 'k', false},
	{"monitor", 'm', false}, {"noclobber", 'C', false}, {"noexec", 'n', true}, {"noglob", 'f', true},
	{"nolog", 0, false}, {"notify", 'b', false}, {"nounset", 'u', true}, {"onecmd", 't', false},
	{"physical", 'P', false}, {"pipefail", 0, true}, {"posix", 0, false}, {"privileged", 'p', false},
	{"verbose", 'v', false}, {"vi", 0, false}, {"xtrace", 'x', false},
}

// defaultShellOptions is SHELLOPTS where a script begins.
const defaultShellOptions = "braceexpand:hashall:interactive-comments:pipefail"

// flagOrder is that of the letters in $-.
const flagOrder = "abefhkmnptuvxBCEHPT"

// flagsOf returns $- for a value of SHELLOPTS. command tells that the script was an
// operand of the command line.
func flagsOf(list string, command bool) string {
	var b strings.Builder
	for _, letter := range []byte(flagOrder) {
		for _, o := range shellOptions {
			if o.letter == letter && listed(list, o.name) {
				b.WriteByte(letter)
			}
		}
	}
	if command {
		b.WriteByte('c')
	}
	return b.String()
}

// listed reports whether a name is in a list with colons.
func listed(list, name string) bool {
	for list != "" {
		var first string
		if first, list, _ = strings.Cut(list, ":"); first == name {
			return true
		}
	}
	return false
}

// shellOption reports whether an option of set or shopt is on in the shell of hc.
func (x *execution) shellOption(hc interp.HandlerContext, name string) bool {
	if isBashOption(name) {
		return listed(x.bashOptionsOf(hc), name)
	}
	return listed(x.shellOptionsOf(hc), name)
}

// shellOptionsOf returns SHELLOPTS.
func (x *execution) shellOptionsOf(hc interp.HandlerContext) string {
	if v := hc.Env.Get("SHELLOPTS"); v.Set {
		return v.Str
	}
	return x.shellOptions
}

// setUnwritable gives a value to a variable that only the shell may change.
func setUnwritable(env expand.WriteEnviron, name, value string) {
	v := stringValue(value)
	v.Kind = expand.KeepValue
	_ = env.Set(name, v)
	v.Kind = expand.String
	_ = env.Set(name, v)
	v.Kind, v.ReadOnly = expand.KeepValue, true
	_ = env.Set(name, v)
}

// noteShellOptions makes SHELLOPTS and $- say which options are on.
func (x *execution) noteShellOptions(hc interp.HandlerContext, list string) {
	env := variablesOf(runnerOf(hc))
	setUnwritable(env, "SHELLOPTS", list)
	flags := stringValue(flagsOf(list, x.opts.Command))
	_ = env.Set(hiddenFlags, flags)
	_ = env.Set(x.plan.texts.secret+hiddenFlags[1:], flags)
}

// with returns a list with colons, sorted, with a name or without it.
func with(list, name string, on bool) string {
	names := slices.DeleteFunc(strings.Split(list, ":"), func(n string) bool { return n == name || n == "" })
	if on {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ":")
}

// A setting is a call of set.
type setting struct {
	*builtinCall
	ctx    context.Context
	list   string   // SHELLOPTS as it will be
	native []string // words for the interpreter's own
}

// turn switches an option. It returns false for one that cannot be had.
func (s *setting) turn(name string, on bool) bool {
	sign := "-"
	if !on {
		sign = "+"
	}
	i := slices.IndexFunc(shellOptions, func(o shellOption) bool { return o.name == name })
	if i < 0 {
		s.errorf("%s: invalid option name", name)
		return false
	}
	way := ""
	switch {
	case on && name == "keyword":
		way = "write assignments in front of the command"
	case on && name == "onecmd" && !s.x.opts.Command:
		way = "end the script with exit"
	case !on && name == "braceexpand":
		way = "quote the braces"
	}
	if way != "" && on != listed(s.list, name) {
		s.errorf("%so %s: not supported; %s", sign, name, way)
		return false
	}
	if shellOptions[i].native {
		s.native = append(s.native, sign+"o", name)
	}
	if on && name == "xtrace" {
		s.x.tracer.on.Store(true)
	}
	if on && name == "vi" {
		s.list = with(s.list, "emacs", false)
	}
	if on && name == "emacs" {
		s.list = with(s.list, "vi", false)
	}
	s.list = with(s.list, name, on)
	return true
}

// apply makes the shell what was said.
func (s *setting) apply(params ...string) error {
	before := s.x.shellOptionsOf(s.hc)
	if s.list != before {
		s.x.noteShellOptions(s.hc, s.list)
		s.x.stateOf(shellOf(s.ctx), s.hc).setOptions(listed(s.list, "monitor"), listed(s.list, "errtrace"))
	}
	if words := append(s.native, params...); len(words) > 0 {
		return s.hc.Builtin(internal(s.ctx), append([]string{"set"}, words...))
	}
	return nil
}

// set is the builtin of that name (POSIX, set; bash, "The Set Builtin").
func set(ctx context.Context, c *builtinCall) error {
	if len(c.args) == 0 {
		return c.listVariables(ctx)
	}
	s := &setting{builtinCall: c, ctx: ctx, list: c.x.shellOptionsOf(c.hc)}
	args := c.args
	var params []string
	for len(args) > 0 {
		word := args[0]
		if word == "--" {
			return s.apply(append([]string{"--"}, args[1:]...)...)
		}
		if word == "-" {
			s.turn("xtrace", false)
			s.turn("verbose", false)
			if args = args[1:]; len(args) > 0 {
				params = append([]string{"--"}, args...)
			}
			return s.apply(params...)
		}
		if !isFlag(word) {
			if word == "+" {
				args = args[1:]
				continue
			}
			return s.apply(append([]string{"--"}, args...)...)
		}
		args = args[1:]
		on := word[0] == '-'
		for _, letter := range []byte(word[1:]) {
			if letter == 'o' {
				if len(args) == 0 {
					if err := s.apply(); err != nil {
						return err
					}
					return c.listShellOptions(ctx, !on)
				}
				name := args[0]
				args = args[1:]
				if !s.turn(name, on) {
					_ = s.apply()
					return failure(statusUsage)
				}
				continue
			}
			i := slices.IndexFunc(shellOptions, func(o shellOption) bool { return o.letter == letter })
			if i < 0 {
				return c.usage("%s%c: invalid option; usage: set [-abefhkmnptuvxBCEHPT] [-o option-name] [--] [-] [arg ...]", word[:1], letter)
			}
			if !s.turn(shellOptions[i].name, on) {
				return failure(statusUsage)
			}
		}
	}
	return s.apply()
}

// listVariables prints the variables and the functions.
func (c *builtinCall) listVariables(ctx context.Context) error {
	all := c.visible()
	names := make([]string, 0, len(all))
	for name, v := range all {
		if isSet(v) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out strings.Builder
	for _, name := range names {
		out.WriteString(c.quoting().assignment(name, all[name]) + "\n")
	}
	if !c.option("posix") {
		out.WriteString(c.x.listFunctions(c.hc))
	}
	return c.writeString(ctx, out.String())
}

// listShellOptions prints the options of set, as commands or in columns.
func (c *builtinCall) listShellOptions(ctx context.Context, commands bool) error {
	var out strings.Builder
	for _, o := range shellOptions {
		out.WriteString(optionLine(o.name, c.option(o.name), commands, "set %co "))
	}
	return c.writeString(ctx, out.String())
}

// optionLine returns a line that tells the state of an option.
func optionLine(name string, on, command bool, form string) string {
	if command {
		sign := "-"
		if form == "shopt %c " {
			if sign = "-u"; on {
				sign = "-s"
			}
			return "shopt " + sign + " " + name + "\n"
		}
		if !on {
			sign = "+"
		}
		return "set " + sign + "o " + name + "\n"
	}
	state := "off"
	if on {
		state = "on"
	}
	return name + strings.Repeat(" ", max(0, 15-len(name))) + "\t" + state + "\n"
}

// keepOptions is "local -": the options of set are at the end of the function what they
// are now.
func (d *declaring) keepOptions() { _ = d.env.Set(hiddenKept, stringValue(d.x.shellOptionsOf(d.hc))) }

// restoreOptions makes the options of set what they were at "local -", if there was one.
func (x *execution) restoreOptions(ctx context.Context, hc interp.HandlerContext) {
	kept := hc.Env.Get(hiddenKept).Str
	if kept == "" {
		return
	}
	s := &setting{builtinCall: &builtinCall{x: x, hc: hc, name: "local"}, ctx: ctx, list: x.shellOptionsOf(hc)}
	for _, o := range shellOptions {
		if on := listed(kept, o.name); on != listed(s.list, o.name) {
			s.turn(o.name, on)
		}
	}
	_ = s.apply()
}
