//go:build unix

package cmd_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ordinaryLines is a script of about 1,000 lines as people write them, in which no
// program is run.
func ordinaryLines() string {
	var b strings.Builder
	b.WriteString("x=1\ncount=0\n")
	for i := range 50 {
		fmt.Fprintf(&b, `# block %[1]d
name_%[1]d="value $x"
count=$((count + 1))
if [ "$count" -gt 100000 ]; then
    echo "too many"
fi
for f in a b c; do
    case $f in
        a) kind=first ;;
        b|c) kind=${f}other ;;
    esac
done
step_%[1]d() {
    local n=$1
    [ -n "$n" ] || return 1
    printf '%%s %%d\n' "$n" "$2"
}
step_%[1]d "$name_%[1]d" %[1]d
while [ "$count" -lt 0 ]; do
    count=$((count + 1))
done
`, i)
	}
	return b.String()
}

// BenchmarkThousandLines runs ordinaryLines, and an empty script, in turns by rpipe and
// by bash. It reports the best of each, in milliseconds and of processor time too, since
// other work only adds to them, and how many times bash's rpipe's is.
func BenchmarkThousandLines(b *testing.B) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		b.Skip("needs bash")
	}
	rpipe := filepath.Join(bin, "rpipe")
	if raceFlag == "-race" {
		b.Skip("the race detector takes time of its own")
	}
	text := ordinaryLines()
	file := filepath.Join(b.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, test := range []struct {
		name        string
		rpipe, bash []string
	}{
		{"empty", []string{rpipe, ":"}, []string{bash, "--norc", "-c", ":"}},
		{"file", []string{rpipe, "-f", file}, []string{bash, "--norc", file}},
		{"text", []string{rpipe, text}, []string{bash, "--norc", "-c", text}},
	} {
		b.Run(test.name, func(b *testing.B) {
			var ours, theirs cost
			for range b.N {
				out := ours.add(b, test.rpipe)
				if want := theirs.add(b, test.bash); !bytes.Equal(out, want) {
					b.Fatalf("rpipe: %.200q, bash: %.200q", out, want)
				}
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.wall.Seconds()*1e3, "rpipe-ms")
			b.ReportMetric(theirs.wall.Seconds()*1e3, "bash-ms")
			b.ReportMetric(ours.wall.Seconds()/theirs.wall.Seconds(), "times-bash")
			b.ReportMetric(ours.processor.Seconds()/theirs.processor.Seconds(), "times-bash-cpu")
		})
	}
}

// cost is the least that some runs of a command have cost.
type cost struct{ wall, processor time.Duration }

// add runs the command once more and returns its output.
func (c *cost) add(b *testing.B, args []string) []byte {
	b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = io.Discard
	begun := time.Now()
	out, err := cmd.Output()
	wall := time.Since(begun)
	if err != nil {
		b.Fatal(err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	processor := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	if c.wall == 0 || wall < c.wall {
		c.wall = wall
	}
	if c.processor == 0 || processor < c.processor {
		c.processor = processor
	}
	return out
}
