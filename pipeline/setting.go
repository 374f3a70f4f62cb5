package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// setOptions gives a new shell the options that it begins with.
func (x *execution) setOptions(sh *shell) error {
	var calls [][]string
	set := x.opts.Set
	for len(set) > 0 { // each by itself, so that an error names it
		n := 1
		if len(set) > 1 && strings.HasSuffix(set[0], "o") {
			n = 2
		}
		calls, set = append(calls, append([]string{"set"}, set[:n]...)), set[n:]
	}
	for shopt := x.opts.Shopt; len(shopt) > 1; shopt = shopt[2:] {
		calls = append(calls, []string{"shopt", shopt[0], shopt[1]})
	}
	if len(calls) == 0 {
		return nil
	}
	var stderr bytes.Buffer
	if err := interp.StdIO(nil, nil, &stderr)(sh.runner); err != nil {
		return err
	}
	for _, words := range calls {
		call := &syntax.CallExpr{}
		for _, w := range words {
			call.Args = append(call.Args, quoted(syntax.Pos{}, w))
		}
		if err := runGuarded(context.Background(), sh, call); err != nil {
			return fmt.Errorf("no option that can be set: %s", strings.Join(words[1:], " "))
		}
	}
	return interp.StdIO(x.io.stdin, x.io.stdout, x.io.stderr)(sh.runner)
}
