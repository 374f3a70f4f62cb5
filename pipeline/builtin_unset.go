package pipeline

import (
	"context"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// unset removes variables, elements of arrays, and functions (POSIX, unset). A local
// variable of a function that is not the current one goes, and the one that it hides
// comes back.
func unset(ctx context.Context, c *builtinCall) error {
	variablesOnly, functionsOnly, reference := false, false, false
	args := c.args
	for len(args) > 0 && isFlag(args[0]) {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		for _, flag := range args[0][1:] {
			switch flag {
			case 'v':
				variablesOnly = true
			case 'f':
				functionsOnly = true
			case 'n':
				reference = true
			default:
				return c.usage("-%c: invalid option; it knows -f, -n and -v", flag)
			}
		}
		args = args[1:]
	}
	if variablesOnly && functionsOnly {
		c.errorf("cannot simultaneously unset a function and a variable")
		return failure(1)
	}
	r := runnerOf(c.hc)
	env := variablesOf(r)
	status := 0
	for _, name := range args {
		base, index, element := strings.Cut(name, "[")
		if functionsOnly {
			if !c.unsetFunction(name) {
				status = 1
			}
			continue
		}
		if !syntax.ValidName(base) || element && !strings.HasSuffix(index, "]") {
			if !variablesOnly && r.Funcs[name] != nil {
				if !c.unsetFunction(name) {
					status = 1
				}
				continue
			}
			if variablesOnly {
				c.errorf("%q: not a valid identifier", name)
				status = 1
			}
			continue
		}
		v := env.Get(base)
		if v.Kind == expand.NameRef && !reference {
			if target, to := v.Resolve(env); syntax.ValidName(target) {
				if !element {
					name = target
				}
				base, v = target, to
			}
		}
		switch {
		case v.ReadOnly || expansionOf(r).Env.Get(base).ReadOnly:
			c.errorf("%s: cannot unset: readonly variable", base)
			status = 1
		case element:
			if err := c.hc.Builtin(internal(ctx), []string{"unset", name}); err != nil {
				return err
			}
		case v.Declared():
			unsetVariable(env, name)
		case !variablesOnly && r.Funcs[name] != nil:
			if !c.unsetFunction(name) {
				status = 1
			}
		}
	}
	return failure(status)
}

func (c *builtinCall) unsetFunction(name string) bool {
	r := runnerOf(c.hc)
	env := variablesOf(r)
	if strings.Contains(env.Get(hiddenFunction+name).Str, "r") {
		c.errorf("%s: cannot unset: readonly function", name)
		return false
	}
	if !isMark(name) && r.Funcs[name] != nil {
		delete(r.Funcs, name)
		if env.Get(hiddenFunction + name).Set {
			_ = env.Set(hiddenFunction+name, expand.Variable{})
			_ = env.Set(functionPrefix+name+functionSuffix, expand.Variable{})
		}
	}
	return true
}

// unsetVariable removes a variable that is not read-only from the innermost scope that
// has it.
func unsetVariable(env expand.WriteEnviron, name string) {
	attributes := hiddenAttributes + name
	functions, copied := 0, false
	for s, ok := scopeOf(env); ok; s, ok = s.outer() {
		v, has := s.own(name)
		switch {
		case !has:
		case functions == 0 || !v.Local || !s.isFunction():
			_ = env.Set(name, expand.Variable{})
			if _, is := s.own(attributes); is {
				_ = env.Set(attributes, expand.Variable{})
			}
			return
		case copied:
			// The scope belongs to the shell that this one is a subshell of.
			if outer, ok := s.outer(); ok {
				v := outer.env().Get(name)
				v.Local = false
				_ = env.Set(name, v)
			}
			return
		default:
			s.forget(name)
			s.forget(attributes)
			return
		}
		if s.isFunction() {
			functions++
		} else {
			copied = true
		}
	}
	_ = env.Set(name, expand.Variable{})
}
