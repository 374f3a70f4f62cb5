package pipeline

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"

	"rpipe/remote"
)

// environment returns the exported variables of env, as execve takes them,
// sorted. A name that an outer scope exports stays exported with its innermost
// value, and PWD and OLDPWD always are, as in bash.
func environment(env expand.Environ) []string {
	values := make(map[string]string)
	for name, v := range env.Each {
		_, exported := values[name]
		exported = exported || v.Exported || name == "PWD" || name == "OLDPWD"
		if v.IsSet() && v.Kind == expand.String && exported && !isMark(name) {
			values[name] = v.Str
		} else {
			delete(values, name)
		}
	}
	list := make([]string, 0, len(values))
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// travelling returns what is offered of env to a remote program: the variables
// assigned in front of it, which it must take, and the exported ones that say in
// which language and time zone the caller lives, which it may.
func travelling(env expand.Environ, assigned []string) []remote.Env {
	var list []remote.Env
	for _, name := range assigned {
		if v := env.Get(name); v.IsSet() && v.Kind == expand.String {
			list = append(list, remote.Env{Name: name, Value: v.Str, Required: true})
		}
	}
	for _, kv := range environment(env) {
		name, value, _ := strings.Cut(kv, "=")
		if isLocale(name) && !slices.Contains(assigned, name) {
			list = append(list, remote.Env{Name: name, Value: value})
		}
	}
	return list
}

func isLocale(name string) bool {
	return name == "LANG" || name == "TZ" || strings.HasPrefix(name, "LC_")
}
