package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline/words"
)

// A plannedExpansion is what a mark expands, because the interpreter would not do it as
// bash does. What it yields is in hiddenValue then.
type plannedExpansion struct {
	kind    expansionKind
	word    *syntax.Word
	exprs   []syntax.ArithmExpr // of a number: the last one's value counts
	assigns []*syntax.Assign
	apart   bool // each byte of the value is a character of its own
	loop    bool // a number in the head of a "for": an error ends the loop
	line    uint
}

type expansionKind int

const (
	fieldsOf    expansionKind = iota // the fields of a word: hiddenValue is a list
	literalWord                      // a word as one string
	valueOf                          // that of an assignment
	patternOf                        // a word as a pattern
	regexpOf                         // a word as a regular expression
	documentOf                       // part of a here-document
	numberOf                         // the value of expressions
	numberWord                       // a word that is an expression
	isSetOf                          // "1" if the variable is set that a word names
	assigning                        // assignments: no value
)

// hiddenValue is the variable that an expansion of ours leaves its value in. In what is
// printed it begins with the secret.
const hiddenValue = "\x00value"

// An expansionVariables is the environment of a shell that commands of ours expand in.
type expansionVariables struct {
	expand.Environ
	set func(string, expand.Variable) error
}

func (v expansionVariables) Set(name string, vr expand.Variable) error { return v.set(name, vr) }

// expansions returns the Shell for what a mark expands, and the status of the latest
// substitution in it, or -1. Variables are set in to.
func (x *execution) expansions(hc interp.HandlerContext, e *plannedExpansion, to expand.WriteEnviron) (*words.Shell, *int) {
	r := runnerOf(hc)
	cfg := expansionOf(r)
	_ = interp.StdIO(hc.Stdin, hc.Stdout, veiled(hc))(r) // the mark's veil, until its end; it does not fail for files
	status := -1
	sh := &words.Shell{
		Vars: expansionVariables{cfg.Env, to.Set},
		Command: func(cs *syntax.CmdSubst) (string, error) {
			var out bytes.Buffer
			status = 0
			if err := cfg.CmdSubst(&out, cs); err != nil {
				return "", err
			}
			status = lastExpansion(r)
			text := strings.ReplaceAll(out.String(), "\x00", "")
			return strings.TrimRight(text, "\n"), nil
		},
		Process: cfg.ProcSubst,
		ReadDir: cfg.ReadDir2,
		Warn: func(err error) {
			fmt.Fprintf(veiled(hc), "rpipe: line %d: %s\n", e.line, printable(err.Error()))
		},
		NoUnset: cfg.NoUnset, NullGlob: cfg.NullGlob, DotGlob: cfg.DotGlob,
		NoCaseGlob: cfg.NoCaseGlob, GlobStar: cfg.GlobStar,
		Bytes: localeIsC(cfg.Env),
	}
	return sh, &status
}

// localeIsC reports whether characters are bytes in the locale of a shell.
func localeIsC(env expand.Environ) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := env.Get(name).String(); value != "" {
			return value == "C" || value == "POSIX"
		}
	}
	return true
}

// expand does what a script holds for a mark in a word. The mark is in a shell of its
// own: what it sets is set in the one that this was made in; the value, as name.
func (x *execution) expand(ctx context.Context, hc interp.HandlerContext, sc *script, i int, name string) error {
	r, e := runnerOf(hc), sc.expansions[i]
	env := parentOf(r)
	sh, status := x.expansions(hc, e, env)
	value := expand.Variable{Set: true, Kind: expand.String}
	var err error
	switch e.kind {
	case fieldsOf:
		value.Kind = expand.Indexed
		if value.List, err = sh.Fields(e.word); value.List == nil {
			value.List = []string{}
		}
	case literalWord:
		value.Str, err = sh.Literal(e.word)
	case valueOf:
		value.Str, err = sh.Value(e.word)
	case patternOf:
		value.Str, err = sh.Pattern(e.word)
	case regexpOf:
		value.Str, err = sh.Regexp(e.word)
	case documentOf:
		value.Str, err = sh.Document(e.word)
	case isSetOf:
		var name string
		var set bool
		if name, err = sh.Literal(e.word); err == nil {
			if set, err = sh.IsSet(name); set {
				value.Str = "1"
			}
		}
	case numberOf, numberWord:
		var n int64
		if e.kind == numberWord {
			var text string
			if text, err = sh.Literal(e.word); err == nil {
				n, err = sh.Evaluate(text)
			}
		}
		for _, expr := range e.exprs {
			if n, err = sh.Arithmetic(expr); err != nil {
				break
			}
		}
		value.Str = fmt.Sprint(n)
	}
	if err != nil {
		return x.expansionError(hc, e, err)
	}
	if e.apart {
		var b strings.Builder
		for i := range len(value.Str) {
			b.WriteRune(rune(value.Str[i]))
		}
		value.Str = b.String()
	}
	if err := env.Set(name, value); err != nil {
		return err
	}
	return failure(max(*status, 0))
}

// expansionError tells of an expansion that could not be done, in the way of an exec
// handler.
func (x *execution) expansionError(hc interp.HandlerContext, e *plannedExpansion, err error) error {
	var bad *words.Error
	if !errors.As(err, &bad) {
		return err
	}
	message := fmt.Sprintf("line %d: %s", e.line, printable(bad.Error()))
	if (e.loop || e.kind == numberWord) && !bad.Unset {
		return &failedExpansion{message: "rpipe: " + message, reason: readOnlyError(runnerOf(hc))}
	}
	return expand.UnsetParameterError{
		Node:    &syntax.ParamExp{Param: &syntax.Lit{Value: "rpipe"}},
		Message: message,
	}
}

// A failedExpansion ends the command at hand with 1, but not its shell: it is for the
// interpreter what an assignment to a read-only variable is.
type failedExpansion struct {
	message string
	reason  error
}

func (f *failedExpansion) Error() string { return f.message }
func (f *failedExpansion) Unwrap() error { return f.reason }

// readOnlyError returns the interpreter's error for a read-only variable, out of a shell
// that ends when its handler returns.
func readOnlyError(r *interp.Runner) error {
	env := variablesOf(r)
	_ = env.Set("\x00constant", expand.Variable{Set: true, Kind: expand.String, ReadOnly: true})
	return env.Set("\x00constant", expand.Variable{Set: true, Kind: expand.String})
}

// perform does assignments or arithmetic that is a command, in the shell of a mark.
func (x *execution) perform(ctx context.Context, hc interp.HandlerContext, sc *script, i int) error {
	r, e := runnerOf(hc), sc.expansions[i]
	sh, status := x.expansions(hc, e, expansionOf(r).Env.(expand.WriteEnviron))
	var n int64
	var err error
	for _, expr := range e.exprs {
		if n, err = sh.Arithmetic(expr); err != nil {
			break
		}
	}
	for _, as := range e.assigns {
		if err = sh.Assign(as); err != nil {
			break
		}
	}
	var bad *words.Error
	switch {
	case errors.As(err, &bad):
		fmt.Fprintf(veiled(hc), "rpipe: line %d: %s\n", e.line, printable(bad.Error()))
		if bad.Unset || e.kind == assigning && bad.Reach != words.Word {
			return hc.Builtin(internal(ctx), exitWith(1))
		}
		return failure(1)
	case err != nil:
		return err
	case e.kind == assigning:
		return failure(max(*status, 0))
	case n == 0:
		return failure(1)
	}
	return nil
}
