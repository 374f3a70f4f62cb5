package pipeline

import (
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"

	"rpipe/remote"
)

// environment returns the exported variables of env, as execve takes them,
// sorted. A name that an outer scope exports stays exported with its innermost
// value, and PWD and OLDPWD always are, as in bash. Those whose names begin with
// hidden are ours.
func environment(env expand.Environ, hidden string) []string {
	values := make(map[string]string)
	var withdrawn []string
	for name, v := range env.Each {
		if name == "" || name[0] == 0 {
			if name, is := strings.CutPrefix(name, hiddenUnexported); is {
				withdrawn = append(withdrawn, name)
			}
			continue
		}
		if !v.IsSet() && v.Local {
			continue // the one that it hides is exported still
		}
		if strings.HasPrefix(name, hidden) {
			continue
		}
		_, exported := values[name]
		exported = exported || v.Exported || name == "PWD" || name == "OLDPWD"
		if v.IsSet() && v.Kind == expand.String && exported && !isMark(name) {
			values[name] = v.Str
		} else {
			delete(values, name)
		}
	}
	for _, name := range withdrawn {
		if !env.Get(name).Exported {
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

// environmentOfShell returns the environment that a shell makes of the one that it got:
// it counts in SHLVL, and its options are its own.
func environmentOfShell(env []string) []string {
	level := 0
	list := make([]string, 0, len(env)+1)
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case "SHLVL":
			level, _ = strconv.Atoi(strings.TrimSpace(value))
		case "SHELLOPTS", "BASHOPTS":
		default:
			list = append(list, kv)
		}
	}
	return append(list, "SHLVL="+strconv.Itoa(max(level, 0)+1))
}

// travelling returns what is offered of env to a remote program: the variables
// assigned in front of it, which it must take, and the exported ones that say in
// which language and time zone the caller lives, which it may.
func travelling(env expand.Environ, hidden string, assigned []string) []remote.Env {
	var list []remote.Env
	for _, name := range assigned {
		if v := env.Get(name); v.IsSet() && v.Kind == expand.String {
			list = append(list, remote.Env{Name: name, Value: v.Str, Required: true})
		}
	}
	for _, kv := range environment(env, hidden) {
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
