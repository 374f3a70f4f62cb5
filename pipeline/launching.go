package pipeline

import (
	"os"
	"os/exec"

	"mvdan.cc/sh/v3/interp"

	"rpipe/pipeline/launcher"
)

// launch makes a command one that begins with what its shell hands on, if that is more
// than this process has.
func (x *execution) launch(sh *shell, hc interp.HandlerContext, cmd *exec.Cmd) error {
	a := attributesOf(hc)
	spec := launcher.Spec{Limits: a.limits.list()}
	if a.mask != nil && *a.mask != processMask() {
		mask := uint32(*a.mask)
		spec.Mask = &mask
	}
	for _, sig := range x.ignored(x.stateOf(sh, hc)) {
		spec.Ignored = append(spec.Ignored, int(sig))
	}
	if spec.IsZero() {
		return nil
	}
	if !x.opts.Launcher {
		return &lookupError{cmd.Args[0], "cannot be given the umask or the limits of its shell here", statusRefused}
	}
	for number, stream := range []any{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		if f, ok := stream.(*os.File); ok && f == nil {
			spec.Closed = append(spec.Closed, number)
		}
	}
	var err error
	cmd.Path, cmd.Args, err = spec.Command(cmd.Path, cmd.Args)
	return err
}
