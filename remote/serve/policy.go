package serve

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"rpipe/remote/wire"
)

// Statuses of the refusals by a Table or a Program. They are those of the POSIX shell for a command that
// cannot be executed and for one that is not found.
const (
	StatusDenied   = int(wire.StatusDenied)
	StatusNotFound = int(wire.StatusNotFound)
)

// A Refusal says that a host will not run a program for a caller. Nothing has
// run.
type Refusal struct {
	// Status is what the caller's stage exits with. Of a Table and a Program it is
	// StatusNotFound if there is no such program, and StatusDenied if there is one
	// but not for this caller, these arguments or this environment.
	Status int

	// Reason is one line for the caller, without control characters: what is
	// refused, the rule, and the next step. It tells nothing about programs that
	// the caller may not run, other than that the one asked for exists.
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// ExitStatus returns Status.
func (r *Refusal) ExitStatus() int { return r.Status }

func refuse(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Reason: fmt.Sprintf(format, args...)}
}

// An ArgsPolicy says which arguments of the caller follow a program's own.
type ArgsPolicy uint8

const (
	ArgsNone ArgsPolicy = iota // none: the zero value lets nothing in
	ArgsAny                    // whatever the caller sends, unread
)

// String returns the policy as it is written in rpiped.toml.
func (p ArgsPolicy) String() string {
	switch p {
	case ArgsNone:
		return "none"
	case ArgsAny:
		return "any"
	}
	return fmt.Sprintf("ArgsPolicy(%d)", uint8(p))
}

// checkArgs returns a *Refusal for the first argument the program does not take.
func (p *Program) checkArgs(args []string) error {
	for _, arg := range args {
		if strings.ContainsRune(arg, 0) {
			return refuse(StatusDenied, "argument %s has a NUL byte, which no program can be given", quoted(arg))
		}
		if p.Args != ArgsAny {
			return refuse(StatusDenied,
				"argument %s: %s takes no arguments (its administrator would set args = \"any\")", quoted(arg), quoted(p.Name))
		}
	}
	return nil
}

// An EnvVar is a variable that a caller sends along.
type EnvVar struct {
	Name, Value string

	// Required marks an assignment that the user wrote before the stage: one
	// that does not get in is refused. One that is not required is dropped.
	Required bool
}

// defaultEnv is what a program whose Env is nil accepts: the locale and the time
// zone, which decide what sort and date print.
var defaultEnv = []string{"LANG", "LC_*", "TZ"}

// anyEnv in Program.Env accepts every name with every value. A configuration file
// cannot say it.
const anyEnv = "*"

var (
	// envName is the form of a name that a shell can assign to (POSIX, Base
	// Definitions, 3.216): it also keeps out the names under which bash imports
	// functions.
	envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

	// A locale name is looked up as a file by libc, and a zone beginning with a
	// slash is opened as one: neither may name a file outside their folders.
	localeValue = regexp.MustCompile(`^[A-Za-z0-9._@=,:+-]*$`)
	zoneValue   = regexp.MustCompile(`^:?([A-Za-z0-9_<+-][A-Za-z0-9._/,:<>+-]*)?$`)
)

// envProblem says why the program does not take v, or "".
func (p *Program) envProblem(v EnvVar) string {
	if !envName.MatchString(v.Name) {
		return "is not a name that a shell could assign to"
	}
	accepted := p.Env
	if accepted == nil {
		accepted = defaultEnv
	}
	if slices.Contains(accepted, anyEnv) {
		return ""
	}
	if !slices.ContainsFunc(accepted, func(pattern string) bool { return matchEnv(pattern, v.Name) }) {
		return fmt.Sprintf("is not accepted by %s (its administrator would list it in env)", quoted(p.Name))
	}
	switch {
	case v.Name == "TZ":
		if !zoneValue.MatchString(v.Value) || strings.Contains(v.Value, "..") {
			return "does not have the value of a time zone, such as UTC or Europe/Berlin"
		}
	case v.Name == "LANG", v.Name == "LANGUAGE", strings.HasPrefix(v.Name, "LC_"):
		if !localeValue.MatchString(v.Value) {
			return "does not have the name of a locale, such as C or de_DE.UTF-8"
		}
	}
	return ""
}

// acceptEnv returns the variables that get in, or a *Refusal.
func (p *Program) acceptEnv(env []EnvVar) ([]EnvVar, error) {
	var in []EnvVar
	for _, v := range env {
		if strings.ContainsRune(v.Name+v.Value, 0) {
			return nil, refuse(StatusDenied, "variable %s has a NUL byte, which no program can be given", quoted(v.Name))
		}
		problem := p.envProblem(v)
		switch {
		case problem == "":
			in = append(in, v)
		case v.Required:
			return nil, refuse(StatusDenied, "variable %s %s", quoted(v.Name), problem)
		}
	}
	return in, nil
}

// matchEnv reports whether a pattern, NAME or PREFIX*, covers name.
func matchEnv(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// envPatternProblem says why a configuration file may not list pattern, or "".
func envPatternProblem(pattern string) string {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	if !envName.MatchString(prefix) {
		return `is not a variable: write a NAME, or a prefix and a star as in "LC_*"`
	}
	for _, r := range reservedEnv {
		reserved, open := strings.CutSuffix(r.pattern, "*")
		if matchEnv(pattern, reserved) || open && strings.HasPrefix(prefix, reserved) ||
			open && isPrefix && strings.HasPrefix(reserved, prefix) {
			if r.pattern == pattern || !isPrefix {
				return "can never come from a caller: " + r.why + ": remove it"
			}
			return fmt.Sprintf("covers %s, which can never come from a caller: %s: narrow it", r.pattern, r.why)
		}
	}
	return ""
}

// quoted quotes what came from a caller, so that no control character is left, and
// shortens what is too long for a message.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q...", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
