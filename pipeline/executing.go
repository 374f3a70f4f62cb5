package pipeline

import (
	"reflect"
	"unsafe"

	"mvdan.cc/sh/v3/interp"
)

// The interpreter makes shells of its own for ( ), $( ), <( ), >( ) and commands in
// the background, and calls handlers in them without saying which: a pipeline there
// would be run in a copy of the wrong shell, while that one goes on. What is needed
// is in fields that it keeps to itself, which are found here by their names and
// types, and only read but for one, setName.
var (
	runnerField = field[interp.HandlerContext, *interp.Runner]("runner")
	noErrExit   = field[interp.Runner, bool]("noErrExit")
	inFuncField = field[interp.Runner, bool]("inFunc")
	inSource    = field[interp.Runner, bool]("inSource")
	nameField   = field[interp.Runner, string]("filename")
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

// setName gives r its $0, which it has else only while it runs a file: a script that
// is read command by command is no such.
func setName(r *interp.Runner, name string) {
	*(*string)(unsafe.Pointer(reflect.ValueOf(r).Elem().Field(nameField).UnsafeAddr())) = name
}
