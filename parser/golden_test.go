package parser_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"rpipe/parser"
)

var update = flag.Bool("update", false, "write what comes out into the golden files")

// TestGolden compares plans and errors with testdata/*.txtar. In each archive a
// file "x.sh" is a script, and "x.plan" or "x.error" what it gives.
func TestGolden(t *testing.T) {
	for _, path := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want := make(map[string]string)
			for _, f := range archive.Files {
				want[f.Name] = string(f.Data)
			}
			written := &txtar.Archive{Comment: archive.Comment}
			for _, f := range archive.Files {
				base, script := strings.CutSuffix(f.Name, ".sh")
				if !script {
					continue
				}
				name, got := base+".plan", ""
				if p, err := parser.Parse(f.Name, f.Data); err != nil {
					name, got = base+".error", err.Error()+"\n"
				} else {
					got = plan(p)
				}
				written.Files = append(written.Files, f, txtar.File{Name: name, Data: []byte(got)})
				if expected, ok := want[name]; !*update && (!ok || expected != got) {
					t.Errorf("%s is not as expected (-want +got):\n%s", name, cmp.Diff(expected, got))
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(written), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if len(written.Files) != len(archive.Files) {
				t.Errorf("%d files, of which scripts and their results are %d", len(archive.Files), len(written.Files))
			}
		})
	}
}

func goldenFiles(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	return paths
}

// scripts returns all scripts of the golden files.
func scripts(t testing.TB) [][]byte {
	t.Helper()
	var all [][]byte
	for _, path := range goldenFiles(t) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".sh") {
				all = append(all, f.Data)
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("no scripts in the golden files")
	}
	return all
}

// plan writes down everything that Parse found.
func plan(p *parser.Program) string {
	var b strings.Builder
	for _, pl := range p.Pipelines {
		line, column := p.Position(pl.Stmt.Pos())
		fmt.Fprintf(&b, "%d:%d: %s", line, column, pl)
		if !pl.Main {
			b.WriteString("  # not main")
		}
		b.WriteByte('\n')
		if len(pl.Stages) == 1 && pl.Stages[0].Kind == parser.Local {
			continue
		}
		for _, s := range pl.Stages {
			fmt.Fprintf(&b, "\t%d %d:%d %s", s.Number, s.Line(), s.Column(), s.Kind)
			if s.Text != "" {
				fmt.Fprintf(&b, " %q", s.Text)
			}
			if a := s.Address; a != (parser.Address{}) {
				fmt.Fprintf(&b, " = %s", describe(a))
			}
			b.WriteByte('\n')
		}
		for _, c := range pl.Chains {
			fmt.Fprintf(&b, "\tchain %d-%d", pl.Stages[c.First].Number, pl.Stages[c.Last].Number)
			if n := len(pl.Redirs(c)); n > 0 {
				fmt.Fprintf(&b, ", %d redirected", n)
			}
			b.WriteByte('\n')
		}
	}
	if hosts := p.Hosts(); len(hosts) > 0 {
		fmt.Fprintf(&b, "hosts %q\n", hosts)
	}
	return b.String()
}

func describe(a parser.Address) string {
	var fields []string
	if a.Socket != "" {
		fields = append(fields, "socket "+a.Socket)
	}
	if a.Host != "" {
		fields = append(fields, "host "+a.Host)
	}
	if a.Port != 0 {
		fields = append(fields, fmt.Sprint("port ", a.Port))
	}
	if a.Program != "" {
		fields = append(fields, "program "+a.Program)
	}
	return strings.Join(fields, ", ")
}
