package serve

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Table is the set of programs that a daemon exposes. Its methods may be called
// by several goroutines at once.
type Table interface {
	// Lookup returns the program called name, if caller may run it. The error
	// is a *Refusal: StatusNotFound if there is no such program, StatusDenied
	// if it is not for this caller.
	Lookup(caller, name string) (*Program, error)

	// List returns the programs that caller may run, sorted by name. Each can be
	// looked up.
	List(caller string) []*Program
}

// A fixedTable exposes a set of programs that does not change.
type fixedTable map[string]*Program

// NewTable returns a Table of the programs given, by name. It keeps no reference to
// the map.
func NewTable(programs map[string]*Program) Table {
	return fixedTable(maps.Clone(programs))
}

func (t fixedTable) Lookup(caller, name string) (*Program, error) {
	p, ok := t[name]
	if !ok {
		return nil, noProgram(name, t.List(caller))
	}
	if !p.Allows(caller) {
		return nil, refuse(StatusDenied, "%s is not for %s (its administrator would add that name to allow)", quoted(name), quoted(caller))
	}
	return p, nil
}

func (t fixedTable) List(caller string) []*Program {
	var list []*Program
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if p := t[name]; p.Allows(caller) {
			list = append(list, p)
		}
	}
	return list
}

// noProgram refuses an unknown name. It suggests only names that the caller may run.
func noProgram(name string, may []*Program) *Refusal {
	names := make([]string, len(may))
	for i, p := range may {
		names[i] = p.Name
	}
	if near := nearest(name, names); near != "" {
		return refuse(StatusNotFound, "no program %s: did you mean %s?", quoted(name), quoted(near))
	}
	return refuse(StatusNotFound, "no program %s: rpipe --list shows those that you may run", quoted(name))
}

// AnyProgram exposes every program on the PATH of this process, with any
// arguments, to every authorised caller: whoever gets in has the rights of
// the daemon's user. It is for development.
//
// A program is looked up when it is asked for. It sees the PATH of this process, and
// HOME, USER, LOGNAME, SHELL and TMPDIR where they are set; every variable that
// the caller sends is accepted, also over those.
type AnyProgram struct{}

var _ Table = AnyProgram{}

// Lookup finds name as a shell would, but never in a relative folder of PATH.
func (AnyProgram) Lookup(_, name string) (*Program, error) {
	path := ""
	if programName.MatchString(name) {
		path, _ = exec.LookPath(name)
	}
	if !filepath.IsAbs(path) {
		return nil, refuse(StatusNotFound, "no program %s: nothing on the PATH of the host is called so", quoted(name))
	}
	return anyProgram(name, path), nil
}

// List looks through every folder of PATH. Folders that cannot be read are passed
// over, as a shell does.
func (t AnyProgram) List(caller string) []*Program {
	found := map[string]*Program{}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if found[e.Name()] != nil {
				continue
			}
			if p, err := t.Lookup(caller, e.Name()); err == nil {
				found[e.Name()] = p
			}
		}
	}
	list := slices.Collect(maps.Values(found))
	slices.SortFunc(list, func(a, b *Program) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func anyProgram(name, path string) *Program {
	p := &Program{Name: name, Run: []string{path}, Args: ArgsAny, Env: []string{anyEnv}, Environ: []string{}, IgnoresInput: ignoresInput(path)}
	for _, name := range []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			p.Environ = append(p.Environ, name+"="+value)
		}
	}
	return p
}
