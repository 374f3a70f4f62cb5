package pipeline

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// The interpreter makes shells of its own for ( ), $( ), <( ), >( ) and commands in
// the background, and calls handlers in them without saying which: a pipeline there
// would be run in a copy of the wrong shell, while that one goes on. What is needed
// is in fields that it keeps to itself, which are found here by their names and
// types. They are only read, but for $0, the stack of
// directories and the variables: writeEnv is where a Runner looks
// them up, and cannot be given to one; and no method removes a local variable of a
// function from outside of it, as "unset" in a function that it calls does.
var (
	runnerField = field[interp.HandlerContext, *interp.Runner]("runner")
	noErrExit   = field[interp.Runner, bool]("noErrExit")
	inFuncField = field[interp.Runner, bool]("inFunc")
	inSource    = field[interp.Runner, bool]("inSource")
	inTrapField = field[interp.Runner, bool]("handlingTrap")
	writeEnv    = field[interp.Runner, expand.WriteEnviron]("writeEnv")
	configField = field[interp.Runner, *expand.Config]("ecfg")
	dirStack    = field[interp.Runner, []string]("dirStack")
	shellOpts   = options("opts")
	exitField   = statusField()
	nameField   = field[interp.Runner, string]("filename")
	latestCode  = index2(reflect.TypeFor[interp.Runner](), "lastExpandExit", "code", reflect.Uint8)
)

// optionNames are the options of "set -o", in the order of the interpreter's table.
var optionNames = []string{"allexport", "errexit", "noexec", "noglob", "nounset", "xtrace", "pipefail"}

// options returns the index of the field that holds the options of a shell. It
// panics as field does.
func options(name string) int {
	t := reflect.TypeFor[interp.Runner]()
	f, ok := t.FieldByName(name)
	if !ok || f.Type.Kind() != reflect.Array || f.Type.Elem().Kind() != reflect.Bool || len(f.Index) != 1 {
		panic("pipeline: " + t.String() + " has no options in a field " + name)
	}
	return f.Index[0]
}

// field returns the index of a struct's field. It panics where there is none of that
// name and type: then this package was built with another version of the interpreter
// than it was written for.
func field[Struct, Type any](name string) int {
	t := reflect.TypeFor[Struct]()
	f, ok := t.FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[Type]() || len(f.Index) != 1 {
		panic("pipeline: " + t.String() + " has no field " + name + " of type " + reflect.TypeFor[Type]().String())
	}
	return f.Index[0]
}

// statusField returns the index of the field that holds how a Runner's command ended. Its
// type is the interpreter's own; it says whether that returns from a function.
func statusField() int {
	f, ok := reflect.TypeFor[interp.Runner]().FieldByName("exit")
	if ok && f.Type.Kind() == reflect.Struct {
		returning, flag := f.Type.FieldByName("returning")
		code, number := f.Type.FieldByName("code")
		if flag && returning.Type.Kind() == reflect.Bool && number && code.Type.Kind() == reflect.Uint8 {
			return f.Index[0]
		}
	}
	panic("pipeline: interp.Runner has no field exit with fields code and returning")
}

// leaves reports whether what a Runner has just run ends its shell, or returns from a
// function.
func leaves(r *interp.Runner) bool {
	return r.Exited() || reflect.ValueOf(r).Elem().Field(exitField).FieldByName("returning").Bool()
}

// exitCode returns the status of what a Runner has just run.
func exitCode(r *interp.Runner) int {
	return int(reflect.ValueOf(r).Elem().Field(exitField).FieldByName("code").Uint())
}

// functionDepth returns how many functions a Runner executes, one in another. Each has a
// scope of its own for variables.
func functionDepth(r *interp.Runner) (depth int) {
	for s, ok := scopeOf(variablesOf(r)); ok; s, ok = s.outer() {
		if s.isFunction() {
			depth++
		}
	}
	return depth
}

// inCallback tells a Runner whether it runs the callback of a trap, in which it does not
// obey "exit" and "return". It is the one field that is written: the command of a trap is
// run by us, and bash obeys them there.
func inCallback(r *interp.Runner, is bool) {
	*(*bool)(reflect.ValueOf(r).Elem().Field(inTrapField).Addr().UnsafePointer()) = is
}

// index2 is field for a field of that kind in one whose type has no name here.
func index2(t reflect.Type, outer, inner string, kind reflect.Kind) []int {
	f, ok := t.FieldByName(outer)
	if ok && f.Type.Kind() == reflect.Struct {
		if g, ok := f.Type.FieldByName(inner); ok && g.Type.Kind() == kind {
			return append(slices.Clone(f.Index), g.Index...)
		}
	}
	panic("pipeline: " + t.String() + " has no field " + outer + "." + inner + " of kind " + kind.String())
}

// runnerOf returns the Runner that a handler is called in. It executes the handler,
// so nothing else runs in it until the handler returns.
func runnerOf(hc interp.HandlerContext) *interp.Runner {
	return (*interp.Runner)(reflect.ValueOf(&hc).Elem().Field(runnerField).UnsafePointer())
}

// A situation is what a copy of a Runner does not know of what the Runner is doing.
type situation struct {
	ignored bool // "set -e" does not act: this is part of a condition
	returns bool // this is part of a function, or of a sourced file: "return" ends it
}

// situationOf returns that of a Runner which is executing the caller.
func situationOf(r *interp.Runner) situation {
	v := reflect.ValueOf(r).Elem()
	return situation{
		ignored: v.Field(noErrExit).Bool(),
		returns: v.Field(inFuncField).Bool() || v.Field(inSource).Bool(),
	}
}

// at returns a pointer to a field of a struct that can be addressed.
func at[Type any](v reflect.Value, field int) *Type {
	return reflect.NewAt(reflect.TypeFor[Type](), v.Field(field).Addr().UnsafePointer()).Interface().(*Type)
}

// variablesOf returns the variables of a Runner, innermost scope first. It may be used
// by what the Runner executes.
func variablesOf(r *interp.Runner) expand.WriteEnviron {
	return *at[expand.WriteEnviron](reflect.ValueOf(r).Elem(), writeEnv)
}

// setVariables makes env the innermost scope of a Runner; where it executes a function,
// until that ends.
func setVariables(r *interp.Runner, env expand.WriteEnviron) {
	*at[expand.WriteEnviron](reflect.ValueOf(r).Elem(), writeEnv) = env
}

// expansionOf returns what expands words in a Runner, for what it executes.
func expansionOf(r *interp.Runner) *expand.Config {
	return *at[*expand.Config](reflect.ValueOf(r).Elem(), configField)
}

// inFunction reports whether a Runner executes a function.
func inFunction(r *interp.Runner) bool {
	return reflect.ValueOf(r).Elem().Field(inFuncField).Bool()
}

// handlesTrap reports whether a Runner executes a trap.
func handlesTrap(r *interp.Runner) bool {
	return reflect.ValueOf(r).Elem().Field(inTrapField).Bool()
}

// overlayType is the interpreter's type of the variables of one scope.
const overlayType = "overlayEnviron"

// An overlay is where a scope of the interpreter has its parts, as indexes of fields.
type overlay struct{ parent, values, function int }

var (
	overlayOnce   sync.Once
	overlayFields overlay
)

// overlayOf returns that of the interpreter's type, which t is. It panics as field does.
func overlayOf(t reflect.Type) overlay {
	overlayOnce.Do(func() {
		index := func(name string) int {
			f, ok := t.FieldByName(name)
			if !ok || len(f.Index) != 1 {
				panic("pipeline: " + t.String() + " has no field " + name)
			}
			return f.Index[0]
		}
		overlayFields = overlay{index("parent"), index("values"), index("funcScope")}
	})
	return overlayFields
}

// A scope is one of those that the interpreter has for variables: of a function, of
// a subshell, or the global one.
type scope struct {
	overlay reflect.Value
	fields  overlay
}

// scopeOf returns the innermost scope of env, without what this package puts around
// it. It returns false behind the last.
func scopeOf(env expand.Environ) (scope, bool) {
	for {
		v, is := env.(*variables)
		if !is {
			break
		}
		env = v.WriteEnviron
	}
	if env == nil {
		return scope{}, false
	}
	v := reflect.ValueOf(env)
	if v.Kind() != reflect.Pointer || v.Type().Elem().Name() != overlayType {
		return scope{}, false
	}
	return scope{v.Elem(), overlayOf(v.Type().Elem())}, true
}

func (s scope) values() reflect.Value {
	f := s.overlay.Field(s.fields.values)
	return reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
}

// outer returns the scope around this one, which may not be writable where this one is
// that of a subshell.
func (s scope) outer() (scope, bool) {
	return scopeOf(s.parent())
}

// parent returns the environment around the scope, or nil.
func (s scope) parent() expand.Environ {
	return *at[expand.Environ](s.overlay, s.fields.parent)
}

// env returns the scope as an environment.
func (s scope) env() expand.WriteEnviron {
	return s.overlay.Addr().Interface().(expand.WriteEnviron)
}

// isFunction reports whether it is that of a function.
func (s scope) isFunction() bool { return s.overlay.Field(s.fields.function).Bool() }

// own returns a variable that the scope itself holds.
func (s scope) own(name string) (expand.Variable, bool) {
	v := s.values().MapIndex(reflect.ValueOf(s.key(name)))
	if !v.IsValid() {
		return expand.Variable{}, false
	}
	return v.FieldByName("Variable").Interface().(expand.Variable), true
}

// forget removes a variable from the scope: one of an outer scope appears.
func (s scope) forget(name string) {
	s.values().SetMapIndex(reflect.ValueOf(s.key(name)), reflect.Value{})
}

// key returns a name in the form that the interpreter has it in.
func (s scope) key(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

// directoriesOf returns the stack of directories of a Runner which is executing the
// caller, who may change it. The variable DIRSTACK is what it holds.
func directoriesOf(r *interp.Runner) *[]string {
	return (*[]string)(reflect.ValueOf(r).Elem().Field(dirStack).Addr().UnsafePointer())
}

// optionOf reports whether an option of "set -o" is on in a Runner which is executing
// the caller; false for one that the interpreter does not know.
func optionOf(r *interp.Runner, name string) bool {
	i := slices.Index(optionNames, name)
	return i >= 0 && reflect.ValueOf(r).Elem().Field(shellOpts).Index(i).Bool()
}

// setName gives r its $0, which it has else only while it runs a file: a script that
// is read command by command is no such.
func setName(r *interp.Runner, name string) {
	*at[string](reflect.ValueOf(r).Elem(), nameField) = name
}

// parentOf returns the variables of the shell that r was made in, for what the
// interpreter runs while that waits: a command substitution.
func parentOf(r *interp.Runner) expand.WriteEnviron {
	own := variablesOf(r)
	if s, ok := scopeOf(own); ok {
		if parent, ok := s.parent().(expand.WriteEnviron); ok {
			return parent
		}
	}
	return own
}

// lastExpansion returns the status of the latest command substitution in r.
func lastExpansion(r *interp.Runner) int {
	return int(reflect.ValueOf(r).Elem().FieldByIndex(latestCode).Uint())
}
