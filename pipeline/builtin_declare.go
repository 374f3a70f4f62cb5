package pipeline

import (
	"context"
	"errors"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A declaring is a call of declare, typeset, local, export or readonly.
type declaring struct {
	*builtinCall
	runner  *interp.Runner
	env     expand.WriteEnviron
	variant string

	on, off   string // letters of attributes to give and to take away
	global    bool   // -g
	inherit   bool   // -I
	prints    bool   // -p
	functions bool   // -f
	brief     bool   // -F: names of functions

	operands []operand
	failed   bool
}

// An operand is a name, perhaps with a value.
type operand struct {
	name     string
	index    *string           // as written, in name[index]
	assigned bool              // a value stands behind it
	appended bool              // with +=
	value    string            // expanded
	array    *syntax.ArrayExpr // instead of value
}

// declareWords runs a declaration whose words are expanded already, as they are behind
// "command" or where the name of the command comes out of an expansion.
func declareWords(ctx context.Context, c *builtinCall) error {
	d := c.declaring()
	if status := d.words(c.args); status != 0 {
		return failure(status)
	}
	return d.run(ctx)
}

func (c *builtinCall) declaring() *declaring {
	r := runnerOf(c.hc)
	return &declaring{builtinCall: c, runner: r, env: variablesOf(r), variant: c.name}
}

// runDeclaration runs a declaration that stands in a script. Its words are expanded in
// the shell of the mark, as those of an assignment are.
func (x *execution) runDeclaration(ctx context.Context, sh *shell, hc interp.HandlerContext, decl *syntax.DeclClause) error {
	hc.Stderr = veiled(hc)
	r := runnerOf(hc)
	if err := interp.StdIO(hc.Stdin, hc.Stdout, hc.Stderr)(r); err != nil {
		return err // not for files
	}
	d := (&builtinCall{x: x, sh: sh, hc: hc, name: decl.Variant.Value}).declaring()
	config := expansionOf(r)
	var words []string
	flags := true
	add := func(word string) int {
		if flags && isFlag(word) {
			words = append(words, word)
			return 0
		}
		flags = false
		return d.word(word)
	}
	for _, as := range decl.Args {
		if as.Name == nil {
			fields, err := expand.Fields(config, as.Value)
			if err != nil {
				return d.expansionFailed(err)
			}
			for _, f := range fields {
				if status := add(f); status != 0 {
					return failure(status)
				}
			}
			continue
		}
		flags = false
		o := operand{name: as.Name.Value, assigned: !as.Naked, appended: as.Append, array: as.Array}
		if as.Index != nil {
			index := subscript(as.Index)
			o.index = &index
		}
		if as.Value != nil {
			var err error
			if o.value, err = expand.Literal(config, as.Value); err != nil {
				return d.expansionFailed(err)
			}
		}
		d.operands = append(d.operands, o)
	}
	if status := d.words(words); status != 0 {
		return failure(status)
	}
	return d.run(ctx)
}

// subscript returns a subscript as it is written.
func subscript(index syntax.ArithmExpr) string {
	return (&layout{}).text(index)
}

// expansionFailed is the end of a command whose words cannot be expanded.
func (d *declaring) expansionFailed(err error) error {
	d.errorf("%s", err)
	var unset expand.UnsetParameterError
	if errors.As(err, &unset) || err.Error() == "invalid indirect expansion" {
		return d.end("exit", "1")
	}
	return failure(1)
}

func isFlag(word string) bool {
	return len(word) > 1 && (word[0] == '-' || word[0] == '+')
}

// words takes flags and operands. It returns the status of a call that is wrong, or 0.
func (d *declaring) words(words []string) int {
	for i, w := range words {
		if w == "--" {
			words = words[i+1:]
			break
		}
		if !isFlag(w) {
			words = words[i:]
			break
		}
		if status := d.flags(w); status != 0 {
			return status
		}
		if i == len(words)-1 {
			words = nil
		}
	}
	for _, w := range words {
		if status := d.word(w); status != 0 {
			return status
		}
	}
	return 0
}

// word takes an operand that is expanded.
func (d *declaring) word(w string) int {
	o := operand{}
	name, value, assigned := strings.Cut(w, "=")
	o.assigned, o.value = assigned, value
	if assigned && strings.HasSuffix(name, "+") {
		o.appended, name = true, name[:len(name)-1]
	}
	if base, index, is := strings.Cut(name, "["); is && strings.HasSuffix(index, "]") && syntax.ValidName(base) {
		index = index[:len(index)-1]
		o.index, name = &index, base
	}
	o.name = name
	d.operands = append(d.operands, o)
	return 0
}

// flags takes a word of flags.
func (d *declaring) flags(word string) int {
	known := "aAfFgiIlnprtux"
	switch d.variant {
	case "export":
		known = "fnp"
	case "readonly":
		known = "aAfp"
	}
	for _, flag := range word[1:] {
		if !strings.ContainsRune(known, flag) {
			return d.badFlag(word[:1] + string(flag))
		}
		if d.variant == "export" && flag == 'n' {
			d.off += "x"
			continue
		}
		if word[0] == '+' {
			if strings.ContainsRune("aA", flag) {
				d.off += string(flag)
			} else if !strings.ContainsRune("fFgpI", flag) {
				d.off += string(flag)
			}
			continue
		}
		switch flag {
		case 'g':
			d.global = true
		case 'I':
			d.inherit = true
		case 'p':
			d.prints = true
		case 'f':
			d.functions = true
		case 'F':
			d.functions, d.brief = true, true
		default:
			d.on += string(flag)
		}
	}
	return 0
}

func (d *declaring) badFlag(flag string) int {
	usage := "[-aAfFgiIlnrtux] [name[=value] ...] or " + d.variant + " -p [-aAfFilnrtux] [name ...]"
	switch d.variant {
	case "export":
		usage = "[-fn] [name[=value] ...] or export -p"
	case "readonly":
		usage = "[-aAf] [name[=value] ...] or readonly -p"
	}
	d.errorf("%s: invalid option; usage: %s %s", flag, d.variant, usage)
	return statusUsage
}

// run does what was declared.
func (d *declaring) run(ctx context.Context) error {
	if d.variant == "local" && !inFunction(d.runner) {
		d.errorf("can only be used in a function")
		return failure(1)
	}
	switch d.variant {
	case "export":
		if !strings.Contains(d.off, "x") {
			d.on += "x"
		}
	case "readonly":
		d.on += "r"
	}
	if d.functions {
		return d.declareFunctions(ctx)
	}
	if len(d.operands) == 0 {
		return d.list(ctx)
	}
	if d.prints && d.variant != "export" && d.variant != "readonly" {
		return d.printNamed(ctx)
	}
	for _, o := range d.operands {
		if d.variant == "local" && o.name == "-" && !o.assigned {
			d.keepOptions()
			continue
		}
		if !syntax.ValidName(o.name) {
			d.fail("%q: not a valid identifier", d.written(o))
			continue
		}
		if err := d.variable(o); err != nil {
			return err
		}
	}
	if d.failed {
		return failure(1)
	}
	return nil
}

func (d *declaring) fail(format string, args ...any) {
	d.failed = true
	d.errorf(format, args...)
}

func (d *declaring) written(o operand) string {
	if o.assigned {
		return o.name + "=" + o.value
	}
	return o.name
}

// target returns the scope that a variable is declared in, what it is there, and
// whether it becomes a local one.
func (d *declaring) target(name string) (env expand.WriteEnviron, prev expand.Variable, local bool) {
	inside, found := scopeOf(d.env)
	for found && !inside.isFunction() {
		outer, ok := inside.outer()
		if !ok {
			break
		}
		inside = outer
	}
	function := found && inside.isFunction() && inFunction(d.runner)
	switch {
	case d.variant == "export" || d.variant == "readonly" || !function:
		return d.env, d.env.Get(name), false
	case d.global:
		env = d.env
		for s, ok := scopeOf(d.env); ok && s.isFunction(); s, ok = s.outer() {
			env = s.env()
			if parent, is := s.parent().(expand.WriteEnviron); is {
				env = parent
			}
		}
		return env, env.Get(name), false
	}
	if own, ok := inside.own(name); ok && own.Local {
		return d.env, d.env.Get(name), true
	}
	outer := d.env.Get(name)
	if d.inherit || d.option("localvar_inherit") {
		return d.env, outer, true
	}
	// The export attribute stays, as in bash; and so does what makes it unwritable.
	return d.env, expand.Variable{Exported: outer.Exported, ReadOnly: outer.ReadOnly}, true
}

// option reports whether one of the shell's options is on.
func (c *builtinCall) option(name string) bool { return c.x.shellOption(c.hc, name) }

// variable declares one.
func (d *declaring) variable(o operand) error {
	name := o.name
	env, prev, local := d.target(name)
	if prev.Kind == expand.NameRef && !strings.Contains(d.on+d.off, "n") && !local {
		if target, v := prev.Resolve(env); target != "" && syntax.ValidName(target) {
			name, prev = target, v
		}
	}
	if prev.ReadOnly && (o.assigned || local || strings.Contains(d.off, "r") || strings.ContainsAny(d.on, "iluaA") && !strings.Contains(d.variant, "readonly")) {
		d.fail("%s: readonly variable", name)
		return nil
	}
	attributes := env.Get(hiddenAttributes + name).Str
	if local && !prev.Set && !prev.Local && !d.inherit {
		attributes = ""
		if own, ok := scopeOf(d.env); ok {
			if v, is := own.own(hiddenAttributes + name); is && v.Local {
				attributes = v.Str
			}
		}
	}
	changed := d.changed(attributes)
	v := prev
	v.Local = local
	v.Exported = (prev.Exported || strings.Contains(d.on, "x")) && !strings.Contains(d.off, "x")
	switch {
	case strings.Contains(d.on, "A"):
		if v.Kind == expand.Indexed {
			d.fail("%s: cannot convert indexed to associative array", name)
			return nil
		}
		v.Kind = expand.Associative
	case strings.Contains(d.on, "a"):
		if v.Kind == expand.Associative {
			d.fail("%s: cannot convert associative to indexed array", name)
			return nil
		}
		if v.Kind == expand.String && v.Set {
			v.List = []string{v.Str}
		}
		v.Kind, v.Str = expand.Indexed, ""
	case strings.Contains(d.on, "n"):
		v.Kind = expand.NameRef
		if prev.Kind == expand.String && prev.Set {
			v.Set, v.Str = true, prev.Str
		}
	case strings.Contains(d.off, "n") && v.Kind == expand.NameRef:
		v.Kind = expand.String
	}
	if strings.ContainsAny(d.off, "aA") && (v.Kind == expand.Indexed || v.Kind == expand.Associative) {
		d.fail("%s: cannot destroy array variables in this way", name)
		return nil
	}
	if o.assigned {
		if err := d.assignTo(&v, o, changed); err != nil {
			return err
		}
	}
	if changed != attributes {
		if changed != "" {
			d.x.adoptAlways(d.runner)
			if d.env == env {
				env = variablesOf(d.runner)
			}
			d.env = variablesOf(d.runner)
		}
		hidden := stringValue(changed)
		hidden.Local = local
		_ = env.Set(hiddenAttributes+name, hidden)
	} else if local && changed != "" {
		d.x.adoptAlways(d.runner)
		d.env = variablesOf(d.runner)
		env = d.env
		_ = env.Set(hiddenAttributes+name, expand.Variable{Set: true, Local: true, Kind: expand.String, Str: changed})
	} else if local && env.Get(hiddenAttributes+name).Str != changed {
		_ = env.Set(hiddenAttributes+name, expand.Variable{Set: true, Local: true, Kind: expand.String, Str: changed})
	}
	if !o.assigned && !v.Declared() && !env.Get(hiddenAttributes+name).Set {
		_ = env.Set(hiddenAttributes+name, expand.Variable{Set: true, Local: local, Kind: expand.String})
	}
	if prev.Exported != v.Exported && (prev.Exported || env.Get(hiddenUnexported+name).Set) {
		withdrawn := stringValue("1")
		withdrawn.Set = !v.Exported
		_ = env.Set(hiddenUnexported+name, withdrawn)
	}
	readonly := v.ReadOnly || strings.Contains(d.on, "r")
	if o.assigned || !prev.ReadOnly {
		v.ReadOnly = false
		if err := env.Set(name, v); err != nil {
			d.fail("%s: %s", name, err)
			return nil
		}
	}
	if readonly || v.Exported != prev.Exported {
		v.Kind, v.ReadOnly = expand.KeepValue, readonly
		_ = env.Set(name, v)
	}
	return nil
}

// changed returns the attributes of ours that a variable has afterwards.
func (d *declaring) changed(attributes string) string {
	for _, c := range d.on {
		switch c {
		case 'l', 'u':
			if strings.Contains(d.on, "l") && strings.Contains(d.on, "u") {
				attributes = strings.NewReplacer("l", "", "u", "").Replace(attributes)
				continue
			}
			if c == 'u' {
				attributes = strings.ReplaceAll(attributes, "l", "")
				break
			}
			attributes = strings.ReplaceAll(attributes, "u", "")
		case 'i', 't':
		default:
			continue
		}
		if !strings.ContainsRune(attributes, c) {
			attributes += string(c)
		}
	}
	for _, c := range d.off {
		attributes = strings.ReplaceAll(attributes, string(c), "")
	}
	letters := []byte(attributes)
	slices.Sort(letters)
	return string(letters)
}

// assignTo gives a variable the value of an operand.
func (d *declaring) assignTo(v *expand.Variable, o operand, attributes string) error {
	config := expansionOf(d.runner)
	if o.array == nil && o.index == nil && strings.HasPrefix(o.value, "(") && strings.HasSuffix(o.value, ")") &&
		(v.Kind == expand.Indexed || v.Kind == expand.Associative) {
		if file, err := syntax.NewParser().Parse(strings.NewReader("a="+o.value), ""); err == nil && len(file.Stmts) == 1 {
			if call, is := file.Stmts[0].Cmd.(*syntax.CallExpr); is && len(call.Args) == 0 && len(call.Assigns) == 1 {
				o.array = call.Assigns[0].Array
			}
		}
	}
	value := func(before, written string, appended bool) string {
		if strings.Contains(attributes, "i") {
			if appended && before != "" {
				written = before + "+(" + written + ")"
			}
			return integer(d.env, written)
		}
		if appended {
			written = before + written
		}
		return cased(attributes, written)
	}
	if o.array != nil {
		e := elements{config: config, value: value}
		err := e.assign(v, o)
		if err != nil {
			return d.expansionFailed(err)
		}
		return nil
	}
	v.Set = true
	switch {
	case o.index != nil && v.Kind == expand.Associative:
		v.Map = cloneMap(v.Map)
		key := unquotedSubscript(*o.index)
		v.Map[key] = value(v.Map[key], o.value, o.appended)
	case o.index != nil:
		e := elements{config: config, value: value}
		e.take(v)
		if err := e.at(*o.index, o.value, o.appended); err != nil {
			return d.expansionFailed(err)
		}
		e.put(v)
	case v.Kind == expand.Associative:
		v.Map = cloneMap(v.Map)
		v.Map["0"] = value(v.Map["0"], o.value, o.appended)
	case v.Kind == expand.Indexed:
		e := elements{config: config, value: value}
		e.take(v)
		e.set(0, o.value, o.appended)
		e.put(v)
	case v.Kind == expand.NameRef:
		v.Str = o.value
	default:
		v.Kind = expand.String
		v.Str = value(v.Str, o.value, o.appended)
	}
	return nil
}
