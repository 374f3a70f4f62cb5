package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// define defines a function in the shell of a mark.
func define(hc interp.HandlerContext, f *syntax.FuncDecl) {
	r := runnerOf(hc)
	if r.Funcs == nil {
		r.Funcs = make(map[string]*syntax.Stmt)
	}
	if f.Name != nil {
		r.Funcs[f.Name.Value] = f.Body
	}
}

// declare prints functions of the shell of a mark as the user has written them, in the
// form that the interpreter gives them: those that are named, or all.
func (x *execution) declare(hc interp.HandlerContext, words []string) error {
	functions := runnerOf(hc).Funcs
	names := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "-") })
	if len(names) == 0 {
		names = slices.DeleteFunc(slices.Sorted(maps.Keys(functions)), isMark)
	}
	status := 0
	for _, name := range names {
		body := functions[name]
		if body == nil {
			status = 1
			continue
		}
		var b strings.Builder
		if err := syntax.NewPrinter().Print(&b, x.plan.body(body)); err != nil {
			return err
		}
		fmt.Fprintf(hc.Stdout, "%s()\n%s\n", name, b.String())
	}
	return failure(status)
}
