package pipeline

import (
	"reflect"
	"slices"
	"unsafe"

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
	configField = field[interp.Runner, *expand.Config]("ecfg")
	environ     = field[interp.Runner, expand.WriteEnviron]("writeEnv")
	latestCode  = index2(reflect.TypeFor[interp.Runner](), "lastExpandExit", "code", reflect.Uint8)
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

// configOf returns how r expands words. What it refers to is for what runs in r.
func configOf(r *interp.Runner) *expand.Config {
	return (*expand.Config)(reflect.ValueOf(r).Elem().Field(configField).UnsafePointer())
}

// environOf returns the variables of r, to which no option of the shell applies.
func environOf(r *interp.Runner) expand.WriteEnviron {
	f := reflect.ValueOf(r).Elem().Field(environ)
	return *(*expand.WriteEnviron)(unsafe.Pointer(f.UnsafeAddr()))
}

// parentOf returns the variables of the shell that r was made in, for what the
// interpreter runs while that waits: a command substitution.
func parentOf(r *interp.Runner) expand.WriteEnviron {
	own := environOf(r)
	f := reflect.ValueOf(own).Elem().FieldByName("parent")
	if !f.IsValid() || f.Type() != reflect.TypeFor[expand.Environ]() {
		panic("pipeline: " + f.String() + " is no parent of variables")
	}
	if parent, ok := (*(*expand.Environ)(unsafe.Pointer(f.UnsafeAddr()))).(expand.WriteEnviron); ok {
		return parent
	}
	return own
}

// lastExpansion returns the status of the latest command substitution in r.
func lastExpansion(r *interp.Runner) int {
	return int(reflect.ValueOf(r).Elem().FieldByIndex(latestCode).Uint())
}
