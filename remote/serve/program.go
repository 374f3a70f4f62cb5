package serve

import (
	"regexp"
	"slices"
	"strings"
)

// DefaultPath is the PATH that a configured program sees, whatever the daemon's own
// PATH is: what a program finds must not depend on who started the daemon.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// programName is the form of a program's name: no digit comes first, so that in
// @host:port:program a field of digits is always a port.
var programName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9._+-]*$`)

// A Program is a name that callers may run. It is not written to after it was made,
// so it may be shared.
type Program struct {
	// Name is what callers call it, [A-Za-z_][A-Za-z0-9._+-]*.
	Name string

	// Run is the command: an absolute path, then the arguments that always come
	// first.
	Run []string

	// Args says which arguments of the caller follow. The zero value: none.
	Args ArgsPolicy

	// Allow holds the names of the callers who may run it, without groups. Nil
	// lets every authorised caller; empty but not nil lets nobody.
	Allow []string

	// Env lists the variables accepted from a caller, each a NAME or a PREFIX*.
	// Nil is LANG, LC_* and TZ; empty but not nil accepts none.
	Env []string

	// IgnoresInput says that the program takes nothing from its standard input: then a
	// caller offers it none, and what follows the program in a script can have that.
	IgnoresInput bool

	// Summary is one line for people, or empty.
	Summary string

	// Environ is the environment that the program starts from, "NAME=value", before
	// the caller's variables. Nil is PATH=DefaultPath and HOME=/.
	Environ []string
}

// Allows reports whether caller may run p. It says nothing about arguments.
func (p *Program) Allows(caller string) bool {
	return p.Allow == nil || slices.Contains(p.Allow, caller)
}

// Command returns what to execute for a caller who sent args and env: argv, whose
// first element is the absolute path of the executable, and the whole environment,
// sorted, each name once. The error is a *Refusal with StatusDenied.
//
// The environment is Environ with what p.Env accepts of env laid over it; of
// two values for a name the later counts. Nothing of the daemon's own environment is
// in it, unless Environ has it.
//
// The path is for exec.Cmd.Path; filepath.Base of it makes a good argument zero,
// since then the program names itself in messages as under a local shell.
func (p *Program) Command(args []string, env []EnvVar) (argv, environ []string, err error) {
	if err := p.checkArgs(args); err != nil {
		return nil, nil, err
	}
	accepted, err := p.acceptEnv(env)
	if err != nil {
		return nil, nil, err
	}
	return slices.Concat(p.Run, args), p.environ(accepted), nil
}

func (p *Program) environ(accepted []EnvVar) []string {
	base := p.Environ
	if base == nil {
		base = []string{"PATH=" + DefaultPath, "HOME=/"}
	}
	values := map[string]string{}
	for _, kv := range base {
		name, value, _ := strings.Cut(kv, "=")
		values[name] = value
	}
	for _, v := range accepted {
		values[v.Name] = v.Value
	}
	environ := make([]string, 0, len(values))
	for name, value := range values {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	return environ
}
