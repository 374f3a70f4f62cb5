//go:build linux

package cmd_test

import (
	"flag"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	randomCount = flag.Int("random", 40, "how many random scripts TestRandomScripts compares with bash")
	randomFrom  = flag.Uint64("random-from", 1, "the seed of the first one")
	randomTime  = flag.Duration("random-time", 0, "for how long it goes on, instead of -random")
)

// TestRandomScripts compares scripts of the generator with bash: as they stand, and with
// about half of the stages that can be on hosts there. Of one that differs it shows what
// is left when every line that has nothing to do with it is taken away.
func TestRandomScripts(t *testing.T) {
	o := newOracle(t)
	var next atomic.Uint64
	next.Store(*randomFrom - 1)
	end := time.Now().Add(*randomTime)
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for {
				seed := next.Add(1)
				switch {
				case *randomTime > 0 && time.Now().After(end):
					return
				case *randomTime == 0 && seed >= *randomFrom+uint64(*randomCount):
					return
				}
				o.compareRandom(t, seed)
			}
		})
	}
	workers.Wait()
	t.Logf("%d scripts", next.Load()-*randomFrom)
}

func (o *oracle) compareRandom(t *testing.T, seed uint64) {
	script := randomScript(seed)
	if again := o.byBash(t, script); again != o.byBash(t, script) {
		t.Logf("seed %d: bash does not agree with itself", seed)
		return
	}
	for _, choose := range []func(int) bool{nil, halfOf(script)} {
		if !o.differs(t, script, choose) {
			continue
		}
		small := o.shrunk(t, script, choose)
		remote := small
		if choose != nil {
			remote, _ = withHosts(small, choose)
		}
		got, said := o.byRpipe(t, remote)
		t.Errorf("seed %d:\n%s\nbash:  %v\nrpipe: %v\n%s", seed, remote, o.byBash(t, small), got, said)
		return
	}
}

// differs reports whether rpipe does something else than bash, twice. choose picks the
// stages that are on hosts; nil: none.
func (o *oracle) differs(t *testing.T, script string, choose func(int) bool) bool {
	remote := script
	if choose != nil {
		remote, _ = withHosts(script, choose)
		if remote == script {
			return false
		}
	}
	for range 2 {
		if got, _ := o.byRpipe(t, remote); got == o.byBash(t, script) {
			return false
		}
	}
	return true
}

// isScript reports whether a script has no error of syntax.
func (o *oracle) isScript(script string) bool {
	return exec.Command(o.bash, "-n", "-c", script).Run() == nil
}

// shrunk returns the script without the lines that it differs without. The preamble stays,
// so that it does not become one that differs in another way.
func (o *oracle) shrunk(t *testing.T, script string, choose func(int) bool) string {
	lines := strings.SplitAfter(strings.TrimPrefix(script, preamble), "\n")
	for size := len(lines) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(lines); {
			less := append(append([]string{}, lines[:i]...), lines[i+size:]...)
			if small := preamble + strings.Join(less, ""); o.isScript(small) && o.differs(t, small, choose) {
				lines = less
			} else {
				i++
			}
		}
	}
	return preamble + strings.Join(lines, "")
}
