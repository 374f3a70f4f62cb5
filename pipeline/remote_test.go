package pipeline_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"rpipe/pipeline"
)

var hostPrefix = regexp.MustCompile(`@[ab]:`)

// TestRemoteStagesBehaveAsTheProgramsDoInBash runs scripts with remote stages, and
// with bash after "@a:" and "@b:" are taken away.
func TestRemoteStagesBehaveAsTheProgramsDoInBash(t *testing.T) {
	bashPath(t)
	h := newHosts(t, "a", "b")
	text, err := os.ReadFile("testdata/remote.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n---\n") {
		name, script, ok := strings.Cut(strings.TrimPrefix(part, "# "), "\n")
		if !ok {
			t.Fatalf("a script without a name: %q", part)
		}
		t.Run(name, func(t *testing.T) {
			want := runBash(t, hostPrefix.ReplaceAllString(script, ""))
			got, stderr, _ := runHere(t, script, h.use)
			if got != want {
				t.Errorf("%s\nhere: %d %q\nbash: %d %q\nstderr here: %s",
					script, got.status, brief(got.stdout), want.status, brief(want.stdout), brief(stderr))
			}
		})
	}
}

// exists reports whether a file of the script's folder exists.
func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

// inDir returns a folder, and the change of options that makes it the script's.
func inDir(t *testing.T) (string, func(*pipeline.Options)) {
	dir := t.TempDir()
	return dir, func(o *pipeline.Options) { o.Dir = dir }
}
