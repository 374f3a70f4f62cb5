package serve

import (
	"fmt"
	"strings"

	"rpipe/remote/wire"
)

// commandLines is argv for the log, quoted, a program after the other.
func commandLines(programs []wire.Program) string {
	var b strings.Builder
	for i, p := range programs {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(p.Name)
		for _, a := range p.Args {
			fmt.Fprintf(&b, " %s", quoted(a))
		}
		if b.Len() > 1024 {
			b.WriteString(" ...")
			break
		}
	}
	return b.String()
}

// endLines is how programs ended for the log: "0", "exit 2", "signal KILL".
func endLines(ends []wire.End) string {
	words := make([]string, len(ends))
	for i, e := range ends {
		words[i] = fmt.Sprint(e.Status)
		if e.Signal != "" {
			words[i] = "SIG" + e.Signal
		}
	}
	return strings.Join(words, " ")
}

// envVars turns the protocol's variables into those of the policy.
func envVars(env []wire.Env) []EnvVar {
	var vars []EnvVar
	for _, e := range env {
		vars = append(vars, EnvVar(e))
	}
	return vars
}
