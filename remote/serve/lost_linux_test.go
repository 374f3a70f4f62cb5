package serve

import (
	"bufio"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rpipe/remote/serve/reaper"
)

func TestOutputOfALostReaperHasNoEnd(t *testing.T) {
	pool := reaper.NewPool(reaper.Options{})
	t.Cleanup(pool.Close)
	for range 50 {
		g := started(t, pool, sh("p", "echo $PPID; exec sleep 1000"))
		out := bufio.NewReader(g.stdout)
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		parent, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if g.launcher.lost() {
			t.Error("lost, but alive")
		}
		if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		var failed *fs.PathError
		if _, err := out.ReadByte(); !errors.As(err, &failed) || !errors.Is(err, errLost) {
			t.Errorf("output: %v, want an error", err)
		}
		g.awaitExits()
		if _, err := g.end(); err == nil {
			t.Error("it has ended")
		}
	}
}
