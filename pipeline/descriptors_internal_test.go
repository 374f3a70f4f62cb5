package pipeline

import (
	"io"
	"os"
	"testing"

	"mvdan.cc/sh/v3/interp"
)

func TestWhatIsHeldIsClosedWithItsLastHolder(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x := &execution{}
	outer := &frame{of: &x.ownership}
	table := &descriptors{stderr: io.Discard, frame: outer}
	d := &descriptor{stream: w, owned: true}
	outer.take(d)
	table.set(7, d)
	hc := interp.HandlerContext{Stderr: table}
	if fileOf(hc, 7) != w || streamOf(hc, 8) != nil || stderrOf(hc) != io.Discard {
		t.Fatal("a handler sees other descriptors")
	}
	job := &shell{}
	stderr := job.holds(&x.ownership, table, false)
	if fileOf(interp.HandlerContext{Stderr: stderr}, 7) != w {
		t.Fatal("what is held cannot be seen")
	}
	outer.release()
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatalf("it was closed while it was held: %v", err)
	}
	job.closeDescriptors()
	job.closeDescriptors()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Fatal("it is open without a holder")
	}
}

func TestOnlyProgramsThatNeedItHaveDescriptors(t *testing.T) {
	for script, want := range map[string]bool{
		"echo a > f 2>&1 < g >> h; cat <<E | sort 2>/dev/null\nx\nE": false,
		`f() { echo "$1" >&2; }; x=$(f a); (cd /; ls) &> "$x"`:       false,
		"exec 3>f":                    true,
		"echo > $x":                   true,
		"{ echo; } >&-":               true,
		"f() { umask 077; }":          true,
		"eval \"$x\"":                 true,
		"echo a >| f":                 true,
		"x=$(cmd) 2>/dev/null":        true,
		"tee >(cat)":                  true,
		"cat <<'A'B\nx\nAB\necho end": true,
	} {
		if got := planOf(t, script).descriptors; got != want {
			t.Errorf("%v for %s", got, script)
		}
	}
}
