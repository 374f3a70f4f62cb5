package pipeline

import (
	"context"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A function that is exported is in the environment as bash has it there: as a
// variable of this name around its own, whose value begins with "() {".
const (
	functionPrefix = "BASH_FUNC_"
	functionSuffix = "%%"
)

// hiddenFunction, and a name, is the variable with the attributes of a function.
const hiddenFunction = "\x00function "

// define defines a function in the shell of a mark.
func (x *execution) define(hc interp.HandlerContext, f *syntax.FuncDecl) error {
	r := runnerOf(hc)
	if f.Name == nil {
		return nil
	}
	name := f.Name.Value
	attributes := hc.Env.Get(hiddenFunction + name).Str
	if strings.Contains(attributes, "r") {
		(&builtinCall{x: x, hc: hc, name: name}).errorf("readonly function")
		return failure(1)
	}
	if r.Funcs == nil {
		r.Funcs = make(map[string]*syntax.Stmt)
	}
	r.Funcs[name] = f.Body
	if file := hc.Env.Get(hiddenSource); file.Set {
		x.plan.defined(f.Body, file.Str)
	}
	if strings.Contains(attributes, "x") {
		x.export(r, name)
	}
	return nil
}

// export puts a function into the environment of the programs that a shell runs.
func (x *execution) export(r *interp.Runner, name string) {
	body, source := x.plan.body(r.Funcs[name])
	v := stringValue(exportedFunction(body, source))
	v.Exported = true
	_ = variablesOf(r).Set(functionPrefix+name+functionSuffix, v)
}

// importFunctions defines the functions that the environment holds.
func (x *execution) importFunctions(r *interp.Runner) {
	for _, kv := range x.opts.Env {
		if !strings.HasPrefix(kv, functionPrefix) {
			continue
		}
		key, value, _ := strings.Cut(kv, "=")
		name, is := strings.CutSuffix(strings.TrimPrefix(key, functionPrefix), functionSuffix)
		if !is || !strings.HasPrefix(value, "() {") {
			continue
		}
		body := x.plan.function(name, name+" "+value)
		if body == nil {
			continue
		}
		if r.Funcs == nil {
			r.Funcs = make(map[string]*syntax.Stmt)
		}
		r.Funcs[name] = body
		_ = variablesOf(r).Set(hiddenFunction+name, stringValue("x"))
	}
}

// function returns the body of the function that a text defines, and nil for any other
// text.
func (p *plan) function(name, text string) *syntax.Stmt {
	prepared := p.prepare(text)
	if sc := prepared.script; sc != nil {
		if len(sc.functions) == 1 && len(sc.file.Stmts) == 1 && sc.functions[0].Name.Value == name {
			return sc.functions[0].Body
		}
		return nil
	}
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil || len(file.Stmts) != 1 {
		return nil
	}
	if f, is := file.Stmts[0].Cmd.(*syntax.FuncDecl); is && f.Name != nil && f.Name.Value == name {
		return f.Body
	}
	return nil
}

// functionOf returns the definition of a function of the shell of hc as bash prints it.
func (x *execution) functionOf(hc interp.HandlerContext, name string) (string, bool) {
	body := runnerOf(hc).Funcs[name]
	if body == nil || isMark(name) {
		return "", false
	}
	written, source := x.plan.body(body)
	return functionText(name, written, source), true
}

// functionNames returns the names of the functions of a shell.
func functionNames(r *interp.Runner) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Funcs)), isMark)
}

// listFunctions returns the definitions of all functions.
func (x *execution) listFunctions(hc interp.HandlerContext) string {
	var out strings.Builder
	for _, name := range functionNames(runnerOf(hc)) {
		text, _ := x.functionOf(hc, name)
		out.WriteString(text + "\n")
	}
	return out.String()
}

// declareFunctions is a declaration with -f or -F: it prints functions, or changes
// their attributes.
func (d *declaring) declareFunctions(ctx context.Context) error {
	given, taken := "", ""
	for _, c := range d.on {
		if strings.ContainsRune("rtx", c) {
			given += string(c)
		}
	}
	for _, c := range d.off {
		if strings.ContainsRune("tx", c) {
			taken += string(c)
		}
	}
	if strings.Contains(d.off, "x") {
		given = strings.ReplaceAll(given, "x", "")
	}
	attributes := func(name string) string { return d.env.Get(hiddenFunction + name).Str }
	status := 0
	var out strings.Builder
	show := func(name string, all bool) {
		if d.brief && !all && !d.prints {
			out.WriteString(name + "\n")
			return
		}
		letters := attributes(name)
		if !d.brief {
			text, _ := d.x.functionOf(d.hc, name)
			out.WriteString(text + "\n")
			if letters == "" || !all && !d.prints {
				return
			}
		}
		sorted := []byte(letters)
		slices.Sort(sorted)
		out.WriteString("declare -f" + string(sorted) + " " + name + "\n")
	}
	if len(d.operands) == 0 {
		for _, name := range functionNames(d.runner) {
			all := true
			for _, c := range given {
				all = all && strings.ContainsRune(attributes(name), c)
			}
			if all {
				show(name, true)
			}
		}
		return d.writeString(ctx, out.String())
	}
	for _, o := range d.operands {
		name := d.written(o)
		if d.runner.Funcs[name] == nil || isMark(name) {
			status = 1
			if given != "" || taken != "" {
				d.errorf("%s: not a function", name)
			}
			continue
		}
		if given == "" && taken == "" || d.prints {
			show(name, false)
			continue
		}
		letters := attributes(name)
		for _, c := range given {
			if !strings.ContainsRune(letters, c) {
				letters += string(c)
			}
		}
		for _, c := range taken {
			letters = strings.ReplaceAll(letters, string(c), "")
		}
		_ = d.env.Set(hiddenFunction+name, stringValue(letters))
		if strings.Contains(letters, "x") {
			d.x.export(d.runner, name)
		} else if strings.Contains(taken, "x") {
			_ = d.env.Set(functionPrefix+name+functionSuffix, expand.Variable{})
		}
	}
	if err := d.writeString(ctx, out.String()); err != nil {
		return err
	}
	return failure(status)
}
