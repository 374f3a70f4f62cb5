package pipeline

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// What BASH_VERSION says: the bash whose manual the shell follows. The fifth part of
// BASH_VERSINFO, its release status, tells rpipe from it.
const (
	bashMajor  = "5"
	bashMinor  = "2"
	bashPatch  = "15"
	bashBuild  = "1"
	bashStatus = "rpipe"
)

// Names of variables that no script can write. They are copied, and go out of scope,
// with the variables that they belong to.
const (
	hiddenAttributes = "\x00attributes " // and a name: the letters of attributes that the interpreter has not got
	hiddenGone       = "\x00gone "       // and a name: the special variable was unset
	hiddenSeconds    = "\x00seconds"     // the time, in ns, at which SECONDS was 0
	hiddenFlags      = "\x00flags"       // $-
	hiddenAppended   = "\x00appended "   // as the beginning of what is appended to an integer
	hiddenUnexported = "\x00unexported " // and a name: it was exported, and is no longer
	hiddenNames      = "\x00names"       // FUNCNAME, where no function can see it
	hiddenLevel      = "\x00level"       // BASH_SUBSHELL
	hiddenPID        = "\x00pid"         // BASHPID
	hiddenSource     = "\x00source"      // the file that is being sourced
	hiddenTrace      = "\x00trace"       // how many substitutions are around
	hiddenKept       = "\x00kept"        // SHELLOPTS at "local -"
	hiddenCalled     = "\x00called"      // the line of the call of a function
)

// variables are the innermost scope of a shell, with the variables that a shell sets
// and computes, and the attributes that the interpreter has not got. They are used as
// the scope is.
type variables struct {
	expand.WriteEnviron
	x *execution
}

// adopt gives a Runner the special variables. It may be called again.
func (x *execution) adopt(r *interp.Runner) {
	if !x.plan.main.uses.special {
		return
	}
	x.adoptAlways(r)
}

// adoptAlways gives a Runner the special variables, and the attributes that the
// interpreter has not got.
func (x *execution) adoptAlways(r *interp.Runner) {
	env := variablesOf(r)
	if _, is := env.(*variables); !is {
		setVariables(r, &variables{env, x})
	}
}

// descend tells a Runner, which has just been made as a copy of another, that it is a
// subshell.
func (x *execution) descend(r *interp.Runner) {
	if !x.plan.main.uses.special {
		return
	}
	x.adopt(r)
	env := variablesOf(r)
	level, _ := strconv.Atoi(env.Get(hiddenLevel).Str)
	_ = env.Set(hiddenLevel, stringValue(strconv.Itoa(level+1)))
	_ = env.Set(hiddenPID, stringValue(strconv.FormatInt(firstSubshell+x.subshells.Add(1), 10)))
}

// firstSubshell is before the numbers that BASHPID has in subshells, which are no
// processes here; no process can have one of them.
const firstSubshell = 1 << 30

// stringValue returns a variable with a string as its value.
func stringValue(value string) expand.Variable {
	return expand.Variable{Set: true, Kind: expand.String, Str: value}
}

// command returns the text of a stage's command, as it is written.
func (p *plan) command(s *plannedStage, pos syntax.Pos) string {
	sc := p.at(pos)
	if sc == nil || s.Call == nil {
		return ""
	}
	l := &layout{source: sc.source, amount: 4, skip: 1}
	l.stmt(&syntax.Stmt{Position: s.Stmt.Position, Cmd: s.Stmt.Cmd, Redirs: s.Stmt.Redirs})
	return l.out.String()
}

// isComputed reports whether the value of a variable is computed when it is read.
func isComputed(name string) bool {
	switch name {
	case "SECONDS", "EPOCHSECONDS", "EPOCHREALTIME", "BASHPID", "BASH_SUBSHELL":
		return true
	}
	return false
}

// Get implements expand.Environ.
func (v *variables) Get(name string) expand.Variable {
	if name == "" {
		return expand.Variable{}
	}
	if name[0] >= 'A' && name[0] <= 'Z' && isComputed(name) {
		if v.WriteEnviron.Get(hiddenGone + name).Set {
			return v.WriteEnviron.Get(name)
		}
		return stringValue(v.computed(name))
	}
	got := v.WriteEnviron.Get(name)
	if got.Declared() || !isInitial(name) || v.WriteEnviron.Get(hiddenGone+name).Set {
		return got
	}
	return v.x.initials.get(name, v.x.initial)
}

// initials keeps the values of variables that a shell sets.
type initials struct {
	mu     sync.Mutex
	values map[string]expand.Variable
}

// get returns the value of a variable, which compute finds the first time.
func (i *initials) get(name string, compute func(string) expand.Variable) expand.Variable {
	i.mu.Lock()
	defer i.mu.Unlock()
	v, known := i.values[name]
	if !known {
		if i.values == nil {
			i.values = make(map[string]expand.Variable)
		}
		v = compute(name)
		i.values[name] = v
	}
	return v
}

func (v *variables) computed(name string) string {
	now := time.Now()
	switch name {
	case "SECONDS":
		since := v.x.begun.UnixNano()
		if base := v.WriteEnviron.Get(hiddenSeconds); base.Set {
			since, _ = strconv.ParseInt(base.Str, 10, 64)
		}
		return strconv.FormatInt((now.UnixNano()-since)/int64(time.Second), 10)
	case "EPOCHSECONDS":
		return strconv.FormatInt(now.Unix(), 10)
	case "EPOCHREALTIME":
		return strconv.FormatInt(now.Unix(), 10) + "." + strconv.Itoa(1e6 + now.Nanosecond()/1e3)[1:]
	case "BASHPID":
		if pid := v.WriteEnviron.Get(hiddenPID); pid.Set {
			return pid.Str
		}
		return strconv.Itoa(os.Getpid())
	}
	if level := v.WriteEnviron.Get(hiddenLevel); level.Set {
		return level.Str
	}
	return "0"
}

// Set implements expand.WriteEnviron.
func (v *variables) Set(name string, to expand.Variable) error {
	if name == "" || name[0] == 0 {
		return v.WriteEnviron.Set(name, to)
	}
	special := isComputed(name)
	if special && !v.WriteEnviron.Get(hiddenGone+name).Set && !to.Local {
		switch {
		case to.Kind == expand.KeepValue:
			return nil
		case !to.Set:
			return v.WriteEnviron.Set(hiddenGone+name, stringValue("1"))
		case name == "SECONDS":
			seconds, _ := strconv.ParseInt(strings.TrimSpace(to.Str), 10, 64)
			return v.WriteEnviron.Set(hiddenSeconds, stringValue(strconv.FormatInt(time.Now().UnixNano()-seconds*int64(time.Second), 10)))
		}
		return nil
	}
	if !to.Set && to.Kind == expand.Unknown && isInitial(name) {
		_ = v.WriteEnviron.Set(hiddenGone+name, stringValue("1"))
	}
	if to.Kind != expand.KeepValue && isSet(to) {
		v.transform(name, &to)
	}
	return v.WriteEnviron.Set(name, to)
}

// transform gives a value the form that the attributes of its variable ask for.
func (v *variables) transform(name string, to *expand.Variable) {
	attributes := v.WriteEnviron.Get(hiddenAttributes + name).Str
	switch to.Kind {
	case expand.String:
		to.Str = v.transformed(attributes, to.Str)
	case expand.Indexed:
		if attributes == "" {
			return
		}
		to.List = slices.Clone(to.List)
		for i, s := range to.List {
			to.List[i] = v.transformed(attributes, s)
		}
	case expand.Associative:
		if attributes == "" {
			return
		}
		changed := make(map[string]string, len(to.Map))
		for k, s := range to.Map {
			changed[k] = v.transformed(attributes, s)
		}
		to.Map = changed
	}
}

func (v *variables) transformed(attributes, value string) string {
	before, appended, is := strings.Cut(value, hiddenAppended)
	if !is {
		before, appended, is = strings.Cut(value, v.x.plan.texts.secret+hiddenAppended[1:])
	}
	switch {
	case strings.Contains(attributes, "i"):
		if is {
			value = before + "+(" + appended + ")"
			if strings.TrimSpace(before) == "" {
				value = appended
			}
		}
		return integer(v, value)
	case is:
		value = before + appended
	}
	return cased(attributes, value)
}

// cased returns a value in lower or upper case, if attributes ask for it.
func cased(attributes, value string) string {
	switch {
	case strings.Contains(attributes, "l"):
		return strings.ToLower(value)
	case strings.Contains(attributes, "u"):
		return strings.ToUpper(value)
	}
	return value
}

// integer returns the value of an arithmetic expression, 0 for one that is none.
func integer(env expand.Environ, expression string) string {
	if n, err := strconv.Atoi(expression); err == nil && strings.TrimLeft(expression, "+-")[0] != '0' {
		return strconv.Itoa(n)
	}
	expr, err := syntax.NewParser().Arithmetic(strings.NewReader(expression))
	if err != nil || expr == nil {
		return "0"
	}
	n, err := expand.Arithm(&expand.Config{Env: env}, expr)
	if err != nil {
		return "0"
	}
	return strconv.Itoa(n)
}

// Each implements expand.Environ. The names that a shell computes come with the value
// that they have now.
func (v *variables) Each(f func(string, expand.Variable) bool) {
	stopped := false
	v.WriteEnviron.Each(func(name string, vr expand.Variable) bool {
		stopped = !f(name, vr)
		return !stopped
	})
	for _, name := range initialNames {
		if stopped {
			return
		}
		if v.WriteEnviron.Get(name).Declared() {
			continue // it came already
		}
		if vr := v.Get(name); vr.Declared() {
			stopped = !f(name, vr)
		}
	}
}

// initialNames are the variables that a shell sets, besides those that the
// interpreter does. Those that a shell computes are among them.
var initialNames = []string{
	"BASH", "BASHOPTS", "BASHPID", "BASH_LINENO", "BASH_SOURCE", "BASH_SUBSHELL", "BASH_VERSINFO", "BASH_VERSION",
	"COMP_WORDBREAKS", "EPOCHREALTIME", "EPOCHSECONDS", "GROUPS", "HOSTNAME", "HOSTTYPE", "MACHTYPE",
	"OPTERR", "OSTYPE", "PS4", "SECONDS", "SHELLOPTS", "_", "BASH_COMMAND", "DIRSTACK", "PPID", hiddenFlags,
}

func isInitial(name string) bool {
	switch name[0] {
	case 'B', 'C', 'E', 'G', 'H', 'M', 'O', 'P', 'S', '_', 0:
		return slices.Contains(initialNames, name)
	}
	return false
}

// initial returns the value that a variable has before a script gives it another.
func (x *execution) initial(name string) expand.Variable {
	switch name {
	case "BASH":
		path, err := exec.LookPath("bash")
		if err != nil {
			path, _ = os.Executable()
		}
		return stringValue(path)
	case "BASH_VERSION":
		return stringValue(bashMajor + "." + bashMinor + "." + bashPatch + "(" + bashBuild + ")-" + bashStatus)
	case "BASH_VERSINFO":
		return expand.Variable{
			Set: true, ReadOnly: true, Kind: expand.Indexed,
			List: []string{bashMajor, bashMinor, bashPatch, bashBuild, bashStatus, machineType()},
		}
	case "BASHOPTS":
		v := stringValue(defaultBashOptions)
		v.ReadOnly = true
		return v
	case "SHELLOPTS":
		v := stringValue(x.shellOptions)
		v.ReadOnly = true
		return v
	case hiddenFlags:
		return stringValue(flagsOf(x.shellOptions, x.opts.Command))
	case "BASH_SOURCE":
		if x.opts.Command {
			return expand.Variable{}
		}
		return expand.Variable{Set: true, Kind: expand.Indexed, List: []string{x.opts.Name}}
	case "BASH_LINENO":
		if x.opts.Command {
			return expand.Variable{}
		}
		return expand.Variable{Set: true, Kind: expand.Indexed, List: []string{"0"}}
	case "COMP_WORDBREAKS":
		return stringValue(" \t\n\"'><=;|&(:")
	case "GROUPS":
		v := expand.Variable{Set: true, Kind: expand.Indexed, List: []string{}}
		groups, _ := os.Getgroups()
		own := os.Getgid()
		v.List = append(v.List, strconv.Itoa(own))
		for _, g := range groups {
			if g != own {
				v.List = append(v.List, strconv.Itoa(g))
			}
		}
		return v
	case "HOSTNAME":
		host, _ := os.Hostname()
		return stringValue(host)
	case "HOSTTYPE":
		return stringValue(hostType())
	case "MACHTYPE":
		return stringValue(machineType())
	case "OSTYPE":
		return stringValue(systemType())
	case "OPTERR":
		return stringValue("1")
	case "PS4":
		return stringValue("+ ")
	case "_":
		return stringValue(x.opts.Name)
	}
	return expand.Variable{}
}

func hostType() string {
	switch runtime.GOARCH {
	case "amd64":
		return "x86_64"
	case "386":
		return "i686"
	case "arm64":
		if runtime.GOOS == "darwin" {
			return "arm64"
		}
		return "aarch64"
	}
	return runtime.GOARCH
}

func systemType() string {
	switch runtime.GOOS {
	case "linux":
		return "linux-gnu"
	case "windows":
		return "msys"
	}
	return runtime.GOOS
}

func machineType() string {
	switch runtime.GOOS {
	case "linux":
		return hostType() + "-pc-linux-gnu"
	case "darwin":
		return hostType() + "-apple-darwin"
	case "windows":
		return hostType() + "-pc-msys"
	}
	return hostType() + "-unknown-" + runtime.GOOS
}

// specialNames are what a text names that needs the special variables.
var specialNames = []string{
	"BASH", "COMP_WORDBREAKS", "EPOCH", "FUNCNAME", "GROUPS", "HOSTNAME", "HOSTTYPE", "MACHTYPE", "OPTERR", "OSTYPE",
	"PS4", "SECONDS", "SHELLOPTS", "$_", "${_", "$-", "${-", "compgen",
}

// namesSpecials reports whether a text may read what only special variables have.
func namesSpecials(text string) bool {
	return slices.ContainsFunc(specialNames, func(name string) bool { return strings.Contains(text, name) })
}
