package pipeline

import (
	"reflect"
	"slices"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// The interpreter makes shells of its own for ( ), $( ), <( ), >( ) and commands in
// the background, and calls handlers in them without saying which: a pipeline there
// would be run in a copy of the wrong shell, while that one goes on. What is needed
// is in fields that it keeps to itself, which are found here by their names and
// types, and only read; the stack of directories is written as well.
var (
	runnerField = field[interp.HandlerContext, *interp.Runner]("runner")
	noErrExit   = field[interp.Runner, bool]("noErrExit")
	inFuncField = field[interp.Runner, bool]("inFunc")
	inSource    = field[interp.Runner, bool]("inSource")
	writeEnv    = field[interp.Runner, expand.WriteEnviron]("writeEnv")
	dirStack    = field[interp.Runner, []string]("dirStack")
	shellOpts   = options("opts")
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

// variablesOf returns the variables of a Runner which is executing the caller: in the
// scope that it is in. They know nothing of namerefs and of "set -a".
func variablesOf(r *interp.Runner) expand.WriteEnviron {
	return *(*expand.WriteEnviron)(reflect.ValueOf(r).Elem().Field(writeEnv).Addr().UnsafePointer())
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
