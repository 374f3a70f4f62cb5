package pipeline

import (
	"reflect"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// The interpreter makes shells of its own for ( ), $( ), <( ), >( ) and commands in
// the background, and calls handlers in them without saying which: a pipeline there
// would be run in a copy of the wrong shell, while that one goes on. What is needed
// is in fields that it keeps to itself, which are found here by their names and
// types, and only read.
var (
	runnerField = field[interp.HandlerContext, *interp.Runner]("runner")
	noErrExit   = field[interp.Runner, bool]("noErrExit")
	inFuncField = field[interp.Runner, bool]("inFunc")
	inSource    = field[interp.Runner, bool]("inSource")
	handling    = field[interp.Runner, bool]("handlingTrap")
	scopeField  = field[interp.Runner, expand.WriteEnviron]("writeEnv")
	exitField   = statusField()
)

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
	scope := reflect.ValueOf(r).Elem().Field(scopeField).Elem()
	for scope.Kind() == reflect.Pointer && scope.Elem().Kind() == reflect.Struct {
		function, parent := scope.Elem().FieldByName("funcScope"), scope.Elem().FieldByName("parent")
		if !function.IsValid() || function.Kind() != reflect.Bool || !parent.IsValid() || parent.Kind() != reflect.Interface {
			break // the environment of the script
		}
		if function.Bool() {
			depth++
		}
		scope = parent.Elem()
	}
	return depth
}

// inFunction reports whether a Runner executes a function.
func inFunction(r *interp.Runner) bool { return reflect.ValueOf(r).Elem().Field(inFuncField).Bool() }

// inCallback tells a Runner whether it runs the callback of a trap, in which it does not
// obey "exit" and "return". It is the one field that is written: the command of a trap is
// run by us, and bash obeys them there.
func inCallback(r *interp.Runner, is bool) {
	*(*bool)(reflect.ValueOf(r).Elem().Field(handling).Addr().UnsafePointer()) = is
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
