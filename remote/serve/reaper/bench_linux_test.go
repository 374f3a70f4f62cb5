package reaper_test

import (
	"os"
	"os/exec"
	"testing"

	"rpipe/remote/serve/reaper"
)

func BenchmarkTrue(b *testing.B) {
	b.Run("child of this process", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("child of a reaper", func(b *testing.B) {
		p := reaper.NewPool(reaper.Options{})
		defer p.Close()
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer null.Close()
		line := &reaper.Pipeline{
			Programs: []reaper.Program{{Path: "/bin/true", Args: []string{"true"}}},
			Dir:      "/", Stdin: null, Input: null, Stdout: null, Stderr: null,
		}
		for b.Loop() {
			r, err := p.Take()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := r.Start(line); err != nil {
				b.Fatal(err)
			}
			r.AwaitExits()
			if _, err := r.End(); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
}
