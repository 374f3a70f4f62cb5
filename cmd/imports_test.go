// Package cmd_test holds the law of imports over the whole module: which package
// may not reach which. The folder is where the binaries are wired, so it is where
// everything could meet.
package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A law forbids arrows from some packages to others. Patterns are import paths, or
// path/... for a path and all below it.
type law struct {
	from   string   // who is bound
	except string   // who is not, though from matches; may be empty
	direct bool     // bound is the import itself, not what is reached through others
	not    []string // what may not be imported or reached
	why    string   // the sentence that is told with a broken law
}

var laws = []law{
	{from: "rpipe/parser", not: []string{"net"},
		why: "parser reads text and opens no connection, so that a script can be checked anywhere"},
	{from: "rpipe/parser", not: []string{"os/exec"},
		why: "parser reads text and starts no process, so that looking at a script is safe"},
	{from: "rpipe/parser", not: []string{"crypto/tls"},
		why: "parser knows addresses, not how they are reached"},
	{from: "rpipe/parser", not: []string{"mvdan.cc/sh/v3/interp"},
		why: "parser yields data; what it means when it runs belongs to pipeline"},
	{from: "rpipe/parser", not: []string{"rpipe/remote/..."},
		why: "parser knows addresses, not how they are reached"},
	{from: "rpipe/parser", not: []string{"rpipe/pipeline/..."},
		why: "pipeline runs what parser yields: the arrow goes the other way"},

	{from: "rpipe/remote/...", not: []string{"mvdan.cc/sh/..."},
		why: "command text never crosses the wire, argv does: nothing below remote can read a shell's language"},
	{from: "rpipe/remote/...", not: []string{"rpipe/parser/..."},
		why: "command text never crosses the wire, argv does: remote is given words, not scripts"},
	{from: "rpipe/remote/...", not: []string{"rpipe/pipeline/..."},
		why: "pipeline uses remote: the arrow goes the other way"},
	{from: "rpipe/remote/...", not: []string{"github.com/alecthomas/kong/..."},
		why: "remote is a library: flags belong to the commands"},
	{from: "rpipe/remote/wire", not: []string{"net"},
		why: "wire is a codec over io.Reader and io.Writer: sockets belong to those who use it"},

	{from: "rpipe/cmd/rpiped", not: []string{"mvdan.cc/sh/..."},
		why: "the daemon's binary contains no shell: what is not there cannot be tricked into running"},
	{from: "rpipe/cmd/rpiped", not: []string{"rpipe/parser/...", "rpipe/pipeline/..."},
		why: "the daemon's binary contains no parser and no executor of scripts: it is sent argv"},

	{from: "rpipe/...", except: "rpipe/pipeline", direct: true, not: []string{"mvdan.cc/sh/v3/interp"},
		why: "pipeline is the only user of the interpreter, so that its gaps are filled in one place"},
	{from: "rpipe/...", except: "rpipe/pipeline", direct: true, not: []string{"github.com/hashicorp/go-multierror"},
		why: "pipeline alone gathers the errors of stages; others have one error each"},
	{from: "rpipe/...", except: "rpipe/cmd/...", direct: true, not: []string{"github.com/alecthomas/kong/..."},
		why: "flags belong to the commands: a library has options"},
}

func match(pattern, path string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == root || strings.HasPrefix(path, root+"/")
	}
	return pattern == path
}

// imports maps each package to those it imports.
type imports map[string][]string

func (g imports) matching(pattern string) []string {
	var paths []string
	for path := range g {
		if match(pattern, path) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// chain returns the shortest way from a package to one that target matches,
// both included, or nil. With direct it is one arrow long.
func (g imports) chain(from, target string, direct bool) []string {
	queue, seen := [][]string{{from}}, map[string]bool{from: true}
	for len(queue) > 0 {
		way := queue[0]
		queue = queue[1:]
		for _, next := range g[way[len(way)-1]] {
			longer := append(slices.Clone(way), next)
			if match(target, next) {
				return longer
			}
			if !seen[next] && !direct {
				seen[next] = true
				queue = append(queue, longer)
			}
		}
	}
	return nil
}

// broken returns what breaks l in g, one sentence each. A law that binds or excepts
// a package that does not exist is broken too: it would hold for ever.
func (l law) broken(g imports) []string {
	var out []string
	for _, pattern := range []string{l.from, l.except} {
		if pattern != "" && len(g.matching(pattern)) == 0 {
			out = append(out, fmt.Sprintf("no package %s: the law over it holds nothing (%s)", pattern, l.why))
		}
	}
	for _, from := range g.matching(l.from) {
		if match(l.except, from) {
			continue
		}
		for _, target := range l.not {
			if way := g.chain(from, target, l.direct); way != nil {
				out = append(out, fmt.Sprintf("%s: but %s", l.why, strings.Join(way, " -> ")))
			}
		}
	}
	return out
}

// listImports asks the go command for the imports of the module's packages, without their
// tests, and of all they depend on, as they are built for goos.
func listImports(t *testing.T, goos string) imports {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	g := imports{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return g
		} else if err != nil {
			t.Fatal(err)
		}
		g[p.ImportPath] = p.Imports
	}
}

func TestNoPackageImportsAgainstTheLaw(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			g := listImports(t, goos)
			for _, l := range laws {
				for _, sentence := range l.broken(g) {
					t.Error(sentence)
				}
			}
		})
	}
}

func TestABrokenLawIsFound(t *testing.T) {
	g := imports{
		"m/parser":      {"strings", "m/text"},
		"m/text":        {"sh/expand"},
		"sh/expand":     {"os/exec", "strings"},
		"m/remote":      {"net", "m/remote/wire"},
		"m/remote/wire": {"io"},
		"m/remoteness":  {"m/parser"},
		"m/cmd/a":       {"m/remote", "flags"},
		"strings":       {"io"},
	}
	for _, test := range []struct {
		name string
		law  law
		want []string
	}{
		{"a law that is kept", law{from: "m/remote/wire", not: []string{"net"}, why: "why"}, nil},
		{"reached through others, by the shortest way", law{from: "m/parser", not: []string{"os/exec"}, why: "why"},
			[]string{"why: but m/parser -> m/text -> sh/expand -> os/exec"}},
		{"through others is not direct", law{from: "m/parser", direct: true, not: []string{"sh/..."}, why: "why"}, nil},
		{"direct", law{from: "m/text", direct: true, not: []string{"sh/..."}, why: "why"},
			[]string{"why: but m/text -> sh/expand"}},
		{"all below, and nothing that only begins alike", law{from: "m/remote/...", not: []string{"net", "io", "m/parser"}, why: "why"},
			[]string{"why: but m/remote -> net", "why: but m/remote -> m/remote/wire -> io", "why: but m/remote/wire -> io"}},
		{"but for the excepted", law{from: "m/...", except: "m/cmd/...", direct: true, not: []string{"flags", "net"}, why: "why"},
			[]string{"why: but m/remote -> net"}},
		{"a package that is not there", law{from: "m/gone", not: []string{"net"}, why: "why"},
			[]string{"no package m/gone: the law over it holds nothing (why)"}},
		{"an exception that is not there", law{from: "m/text", except: "m/gone", not: []string{"net"}, why: "why"},
			[]string{"no package m/gone: the law over it holds nothing (why)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.law.broken(g); !slices.Equal(got, test.want) {
				t.Errorf("broken:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}
