package pipeline

import (
	"context"
	"strconv"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// functionFile is BASH_SOURCE of a function that comes out of no file.
const functionFile = "environment"

// enter puts the function that a Runner has just called on the stack that a script can
// read.
func (x *execution) enter(hc interp.HandlerContext, name string) {
	r := runnerOf(hc)
	file := functionFile
	if body := r.Funcs[name]; body != nil {
		file = x.plan.fileOf(body, x.scriptFile())
	}
	x.push(variablesOf(r), name, file, hc.Env.Get(hiddenCalled).Str, true)
}

// scriptFile returns BASH_SOURCE of the functions of the script.
func (x *execution) scriptFile() string {
	if x.opts.Command {
		return functionFile
	}
	return x.opts.Name
}

// push adds an entry to FUNCNAME, BASH_SOURCE and BASH_LINENO.
func (x *execution) push(env expand.WriteEnviron, name, file, line string, local bool) {
	names := env.Get("FUNCNAME").List
	if hidden := env.Get(hiddenNames); names == nil && hidden.Set {
		names = hidden.List
	}
	if names == nil && !x.opts.Command {
		names = []string{"main"}
	}
	visible := "FUNCNAME"
	if !local {
		visible = hiddenNames
	}
	for _, entry := range []struct {
		name, value string
		rest        []string
	}{
		{visible, name, names},
		{"BASH_SOURCE", file, env.Get("BASH_SOURCE").List},
		{"BASH_LINENO", line, env.Get("BASH_LINENO").List},
	} {
		list := append([]string{entry.value}, entry.rest...)
		_ = env.Set(entry.name, expand.Variable{Set: true, Local: local, Kind: expand.Indexed, List: list})
	}
}

// pushFile is push for a file that is sourced, until pop is called.
func (x *execution) pushFile(hc interp.HandlerContext, file string) (pop func()) {
	if !x.plan.main.uses.stack {
		return func() {}
	}
	r := runnerOf(hc)
	env := variablesOf(r)
	local := inFunction(r)
	names := []string{"FUNCNAME", hiddenNames, "BASH_SOURCE", "BASH_LINENO", hiddenSource}
	var before []expand.Variable
	for _, name := range names {
		before = append(before, env.Get(name))
	}
	x.push(env, "source", file, strconv.Itoa(int(hc.Pos.Line())), local)
	_ = env.Set(hiddenSource, stringValue(file))
	return func() {
		for i, name := range names {
			v := before[i]
			v.Local = v.Local || local && i < 4 && i != 1
			if !v.Set {
				v = expand.Variable{}
			}
			_ = env.Set(name, v)
		}
		if !before[2].Set {
			_ = env.Set(hiddenGone+"BASH_SOURCE", expand.Variable{})
			_ = env.Set(hiddenGone+"BASH_LINENO", expand.Variable{})
		}
	}
}

// caller tells where the current function, or the one that an operand says, was called.
func caller(ctx context.Context, c *builtinCall) error {
	at := func(name string, i int) (string, bool) {
		list := c.hc.Env.Get(name).List
		if i < 0 || i >= len(list) {
			return "", false
		}
		return list[i], true
	}
	if len(c.args) == 0 {
		line, ok := at("BASH_LINENO", 0)
		file, named := at("BASH_SOURCE", 1)
		if !ok || !inFunction(runnerOf(c.hc)) {
			return failure(1)
		}
		if !named {
			file = "NULL"
		}
		return c.writeString(ctx, line+" "+file+"\n")
	}
	i, err := strconv.Atoi(c.args[0])
	if err != nil {
		return c.usage("%s: not a number; usage: caller [expr]", c.args[0])
	}
	line, ok := at("BASH_LINENO", i)
	name, called := at("FUNCNAME", i+1)
	file, named := at("BASH_SOURCE", i+1)
	if !ok || !called || !named {
		return failure(1)
	}
	return c.writeString(ctx, line+" "+name+" "+file+"\n")
}
