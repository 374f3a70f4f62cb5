package pipeline

import (
	"context"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// defaultBashOptions is BASHOPTS where a script begins.
const defaultBashOptions = "checkwinsize:cmdhist:complete_fullquote:extquote:force_fignore:globasciiranges:globskipdots:" +
	"hostcomplete:interactive_comments:patsub_replacement:progcomp:promptvars:sourcepath"

// bashOptions are those of bash 5.2, in its order.
var bashOptions = []string{
	"autocd", "assoc_expand_once", "cdable_vars", "cdspell", "checkhash", "checkjobs", "checkwinsize", "cmdhist",
	"compat31", "compat32", "compat40", "compat41", "compat42", "compat43", "compat44", "complete_fullquote",
	"direxpand", "dirspell", "dotglob", "execfail", "expand_aliases", "extdebug", "extglob", "extquote",
	"failglob", "force_fignore", "globasciiranges", "globskipdots", "globstar", "gnu_errfmt", "histappend", "histreedit",
	"histverify", "hostcomplete", "huponexit", "inherit_errexit", "interactive_comments", "lastpipe", "lithist",
	"localvar_inherit", "localvar_unset", "login_shell", "mailwarn", "no_empty_cmd_completion", "nocaseglob", "nocasematch",
	"noexpand_translation", "nullglob", "patsub_replacement", "progcomp", "progcomp_alias", "promptvars", "restricted_shell",
	"shift_verbose", "sourcepath", "varredir_close", "xpg_echo",
}

func isBashOption(name string) bool { return slices.Contains(bashOptions, name) }

// wayRound returns what a script can do instead of switching an option, if what the
// option changes cannot be had; else "".
func wayRound(name string, on bool) string {
	switch name {
	case "lastpipe":
		if on {
			return "give the last command its input with < <( ) instead of a pipe"
		}
	case "failglob":
		if on {
			return "use nullglob, and look whether there is a word"
		}
	case "extdebug":
		if on {
			return "do without it"
		}
	case "execfail":
		if on {
			return "look with command -v before exec"
		}
	case "cdable_vars", "assoc_expand_once", "varredir_close", "localvar_unset", "compat31", "compat32", "compat40",
		"compat41", "compat42", "compat43", "compat44":
		if on {
			return "write the script for bash 5.2"
		}
	case "extquote", "globasciiranges", "globskipdots", "patsub_replacement":
		if !on {
			return "write the script for it being on"
		}
	}
	return ""
}

// isNativeBashOption reports whether the interpreter has an option.
func isNativeBashOption(name string) bool {
	switch name {
	case "dotglob", "expand_aliases", "extglob", "globstar", "nocaseglob", "nullglob":
		return true
	}
	return false
}

// bashOptionsOf returns BASHOPTS.
func (x *execution) bashOptionsOf(hc interp.HandlerContext) string {
	if v := hc.Env.Get("BASHOPTS"); v.Set {
		return v.Str
	}
	return defaultBashOptions
}

// shopt is the builtin of that name (bash, "The Shopt Builtin").
func shopt(ctx context.Context, c *builtinCall) error {
	on, off, quiet, commands, posix := false, false, false, false, false
	args := c.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0]
		args = args[1:]
		if word == "--" {
			break
		}
		for _, flag := range word[1:] {
			switch flag {
			case 's':
				on = true
			case 'u':
				off = true
			case 'q':
				quiet = true
			case 'p':
				commands = true
			case 'o':
				posix = true
			default:
				return c.usage("-%c: invalid option; usage: shopt [-pqsu] [-o] [optname ...]", flag)
			}
		}
	}
	if on && off {
		c.errorf("cannot set and unset shell options simultaneously")
		return failure(1)
	}
	names := bashOptions
	if posix {
		names = nil
		for _, o := range shellOptions {
			names = append(names, o.name)
		}
	}
	form := "shopt %c "
	if posix {
		form = "set %co "
	}
	if len(args) > 0 && (on || off) {
		if posix {
			return c.switchShellOptions(ctx, args, on)
		}
		return c.switchBashOptions(ctx, args, on)
	}
	status := 0
	all := len(args) == 0
	if !all {
		names = args
	}
	var out strings.Builder
	for _, name := range names {
		if posix && !slices.ContainsFunc(shellOptions, func(o shellOption) bool { return o.name == name }) {
			c.errorf("%s: invalid option name", name)
			status = 1
			continue
		}
		if !posix && !isBashOption(name) {
			c.errorf("%s: invalid shell option name", name)
			status = 1
			continue
		}
		is := c.option(name)
		if all && (on && !is || off && is) {
			continue
		}
		if !all && !is {
			status = 1
		}
		out.WriteString(optionLine(name, is, commands, form))
	}
	if !quiet {
		if err := c.writeString(ctx, out.String()); err != nil {
			return err
		}
	}
	return failure(status)
}

// switchShellOptions switches options of set.
func (c *builtinCall) switchShellOptions(ctx context.Context, names []string, on bool) error {
	s := &setting{builtinCall: c, ctx: ctx, list: c.x.shellOptionsOf(c.hc)}
	for _, name := range names {
		known := slices.ContainsFunc(shellOptions, func(o shellOption) bool { return o.name == name })
		if !s.turn(name, on) && known {
			_ = s.apply()
			return failure(statusUsage)
		}
	}
	return s.apply()
}

// switchBashOptions switches options of shopt.
func (c *builtinCall) switchBashOptions(ctx context.Context, names []string, on bool) error {
	list := c.x.bashOptionsOf(c.hc)
	status := 0
	sign := "-u"
	if on {
		sign = "-s"
	}
	native := []string{"shopt", sign}
	for _, name := range names {
		if !isBashOption(name) {
			c.errorf("%s: invalid shell option name", name)
			status = max(status, 1)
			continue
		}
		if name == "restricted_shell" || name == "login_shell" {
			if on != listed(list, name) {
				status = max(status, 1)
			}
			continue
		}
		if way := wayRound(name, on); way != "" && on != listed(list, name) {
			c.errorf("%s %s: not supported; %s", sign, name, way)
			status = statusUsage
			continue
		}
		if isNativeBashOption(name) {
			native = append(native, name)
		}
		list = with(list, name, on)
	}
	setUnwritable(variablesOf(runnerOf(c.hc)), "BASHOPTS", list)
	if len(native) > 2 {
		if err := c.hc.Builtin(internal(ctx), native); err != nil {
			return err
		}
	}
	return failure(status)
}
