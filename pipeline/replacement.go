package pipeline

import (
	"errors"
	"os"

	"mvdan.cc/sh/v3/interp"

	"rpipe/pipeline/launcher"
)

// A Replacement is how a script ends that has nothing left to do but to become a program,
// by "exec": Run returns it in place of an *ExitError where Options.Replaceable allows it.
// The caller calls Become, as the last thing that its process does, or Discard.
type Replacement struct {
	path      string
	args, env []string
	dir       string
	spec      launcher.Spec
	files     []*os.File // duplicates; nil is closed
}

func (r *Replacement) Error() string { return "the script goes on as " + r.path }

// Become makes this process the program; it returns only where that fails. Descriptors
// may have been replaced then: the caller can do no more than tell and exit.
func (r *Replacement) Become() error {
	if err := os.Chdir(r.dir); err != nil {
		return err
	}
	return r.spec.Become(r.path, r.args, r.env, r.files)
}

// Discard closes what the program would have got.
func (r *Replacement) Discard() {
	for _, f := range r.files {
		if f != nil {
			f.Close()
		}
	}
}

// replaces reports whether the program that an "exec" in a handler's shell calls may
// become this process: when the shell ends, the script does, nothing else runs, nothing
// is to be told, and what it has are files.
func (x *execution) replaces(sh *shell, hc interp.HandlerContext) bool {
	return x.opts.Replaceable && sh.script && runnerOf(hc) == sh.runner && !x.plan.jobs &&
		x.hidden.Load() == nil && len(x.io.captures) == 0 && len(x.io.owned) == 0
}

// replacement returns the program that the script becomes; nil where that cannot be.
func (x *execution) replacement(hc interp.HandlerContext, in *invocation) *Replacement {
	path, err := lookup(hc.Dir, hc.Env, in.args[0])
	if err != nil {
		return nil
	}
	a := attributesOf(hc)
	r := &Replacement{
		path: path, args: in.argv(), dir: hc.Dir,
		spec: launcher.Spec{Limits: a.limits.list()},
	}
	if !in.bare {
		r.env = environment(hc.Env, x.plan.texts.secret)
	}
	if a.mask != nil {
		mask := uint32(*a.mask)
		r.spec.Mask = &mask
	}
	last := 2
	if t := descriptorsOf(hc); t != nil && len(t.above) > 0 {
		last = t.above[len(t.above)-1].number
	}
	for number := range last + 1 {
		f, err := x.kept(streamOf(hc, number))
		if err != nil {
			r.Discard()
			return nil
		}
		r.files = append(r.files, f)
	}
	return r
}

var errNoFile = errors.New("it is no file")

// kept returns a duplicate of a stream that is a file; nil for one that is closed.
func (x *execution) kept(stream any) (*os.File, error) {
	if stream == nil {
		return nil, nil
	}
	f, ok := stream.(*os.File)
	if !ok {
		return nil, errNoFile
	}
	return duplicate(f)
}
