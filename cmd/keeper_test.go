//go:build linux

package cmd_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// endless is a host with two programs: echo, and produce, which writes lines without an
// end.
func endless(t *testing.T) *site {
	s := newSite(t)
	h := s.addHost("a")
	h.start(`
		[programs.produce]
		run = ["/bin/sh", "-c", "while :; do echo line; done"]
		[programs.echo]
		run = ["/bin/echo"]
		args = "any"
	`)
	s.know(h, h.address)
	return s
}

// Each script is given a program that writes $2 when its input ends, and a line when
// it reads it.
var sinks = []string{
	`@a:produce | awk "$1" f="$2" -`,
	`@a:produce | sh -c 'cat | awk "$1" f="$2" -' sh "$1" "$2"`,
	`@a:produce | cat | awk "$1" f="$2" -`,
	`(@a:produce | cat) | awk "$1" f="$2" -`,
	`{ @a:echo x; @a:produce; } | awk "$1" f="$2" -`,
	`awk "$1" f="$2" <(@a:produce)`,
	`awk "$1" f="$2" <(@a:produce | cat)`,
}

func TestAKilledRpipeIsNoEndOfInput(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = len(sinks)
	}
	s := endless(t)
	for round := range rounds {
		committed := filepath.Join(s.dir, fmt.Sprintf("committed-%d-", round))
		script := sinks[round%len(sinks)]
		when := "BEGIN"
		if strings.Contains(script, "<(") {
			when = "NR == 1" // a reader may come before the host that is to write
		}
		c := s.prepare(script, when+` { print "ready"; fflush() } END { print > f }`, committed)
		r, w, err := os.Pipe()
		s.check(err)
		c.cmd.Stdout = w
		s.check(c.start())
		w.Close()
		line, err := bufio.NewReader(r).ReadString('\n')
		if line != "ready\n" {
			t.Fatalf("%s: %q, %v: %s", script, line, err, &c.err)
		}
		time.Sleep(rand.N(5 * time.Millisecond)) // anywhere in the input
		s.check(c.cmd.Process.Kill())
		<-c.done
		r.Close()
		gone := func() bool {
			for _, p := range s.processes() {
				if strings.Contains(p.text, committed) || strings.Contains(p.text, "pipe-keeper") && p.state != "Z" {
					return false
				}
			}
			return true
		}
		if !eventually(patience, gone) {
			t.Errorf("%s: left: %v", script, s.processes())
		}
		if _, err := os.Stat(committed); err == nil {
			t.Errorf("%s: a part of the input was taken for all of it", script)
		}
	}
}

func TestAKeeperChangesNothing(t *testing.T) {
	s := endless(t)
	for script, want := range map[string]string{
		`i=0; while [ $i -lt 1000 ]; do @a:echo x | cat; i=$((i+1)); done`:                            strings.Repeat("x\n", 1000),
		`@a:echo x | { read y; echo $y; cat; }`:                                                       "x\n",
		`cat <(@a:echo x) <(@a:echo y | cat)`:                                                         "x\ny\n",
		`for i in 1 2; do @a:echo $i | cat | { cat; sleep 0 & }; done`:                                "1\n2\n",
		`@a:produce | head -1 | cat`:                                                                  "line\n",
		`f='ls /proc/$$/fd'; [ "$(@a:echo x | sh -c "$f")" = "$(echo x | sh -c "$f")" ] && echo same`: "same\n",
		`@a:echo x | cat >/dev/null; pgrep -P $$ pipe-keeper | wc -l`:                                 "1\n",
	} {
		out, stderr, status := s.run("-c", script, "rpipe")
		if out != want || stderr != "" || status != 0 {
			t.Errorf("%s: %.100q, %q, status %d", script, out, stderr, status)
		}
		for _, p := range s.processes() {
			if strings.Contains(p.text, "pipe-keeper") {
				t.Errorf("%s: left: %v", script, p)
			}
		}
	}
}

func TestNoKeeperWhereNothingLocalReads(t *testing.T) {
	s := endless(t)
	for _, script := range []string{`@a:echo x`, `@a:echo x | @a:echo x`, `echo x | cat`} {
		out, stderr, status := s.run(script + `; pgrep -P $$ pipe-keeper || echo none`)
		if !strings.HasSuffix(out, "none\n") || status != 0 {
			t.Errorf("%s: %q, %q, status %d", script, out, stderr, status)
		}
	}
}
