//go:build linux

package cmd_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// newCrowdSite makes a user and hosts with the programs of the crowd tests.
func newCrowdSite(t *testing.T, top string, names ...string) *site {
	t.Helper()
	s := newSite(t)
	config := top + anyProgram("cat", "true")
	var next *host
	for i := len(names) - 1; i >= 0; i-- {
		h := s.addHost(names[i])
		hops := ""
		if next != nil {
			hops = hopTo(next, next.address)
		}
		h.start(config + hops)
		s.know(h, h.address)
		next = h
	}
	return s
}

// lines are the numbers up to n, as seq prints them.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

// ends shuts the hosts down after everything else was given back.
func (s *site) ends(before holdings) {
	s.t.Helper()
	if err := s.leavesNothing(before); err != nil {
		s.t.Error(err)
	}
	for _, h := range s.hosts {
		if err := h.shutDown(); err != nil {
			s.t.Error(err)
		}
	}
	if s.t.Failed() {
		s.t.Log(s.logs())
	}
}

func TestFiftyStagesOverFiveHosts(t *testing.T) {
	names := []string{"h1", "h2", "h3", "h4", "h5"}
	runs := make([]string, 0, 50)
	for i := range 50 {
		runs = append(runs, "@"+names[i/10]+":cat")
	}
	turns := make([]string, 0, 50)
	for i := range 50 {
		turns = append(turns, "@"+names[i%5]+":cat")
	}
	for name, stages := range map[string][]string{"in turn": turns, "in runs": runs} {
		t.Run(name, func(t *testing.T) {
			s := newCrowdSite(t, "", names...)
			before := s.held()
			out, stderr, status := s.run("seq 100000 | " + strings.Join(stages, " | "))
			if status != 0 || out != lines(100000) {
				t.Errorf("status %d, %d bytes\n%s", status, len(out), stderr)
			}
			s.ends(before)
		})
	}
}

func TestAThousandIterationsWithARemoteStage(t *testing.T) {
	loop := func(n int, body string) string {
		return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); %s; done", n, body)
	}
	const body = "echo $i | @h1:cat"
	some := 100
	if *matrix {
		some = 1000
	}
	for name, c := range map[string]struct {
		n      int
		script string
	}{
		"at the top":        {1000, loop(1000, body)},
		"in a function":     {1000, "f() { " + loop(1000, body) + "; }; f"},
		"in a pipeline":     {some, loop(some, body) + " | cat"},
		"in a substitution": {some, loop(some, "x=$("+body+"); echo $x")},
		"as a chain":        {some, loop(some, body+" | @h2:cat | @h2:cat")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCrowdSite(t, "", "h1", "h2")
			before := s.held()
			out, stderr, status := s.run(c.script)
			if status != 0 || out != lines(c.n) {
				t.Errorf("status %d, %d bytes\n%s", status, len(out), stderr)
			}
			s.ends(before)
		})
	}
}

// crowd is how many rpipe run at once.
const crowd = 200

// connecting is how many of them connect at the same time. The daemon closes a
// connection that says nothing for ten seconds, and starting hundreds of processes
// may take a small machine longer.
const connecting = 25

// startCrowd starts as many, each of which sends its number through h1 when the
// test calls letGo. Up to most of them get a session.
func (s *site) startCrowd(most int) (calls []*call, letGo func()) {
	s.t.Helper()
	gate, holder, err := os.Pipe()
	s.check(err)
	defer gate.Close()
	s.t.Cleanup(func() { holder.Close() })
	for i := range crowd {
		sessions := min(most, i-connecting+1)
		if !eventually(patience, func() bool { return s.hosts[0].sessions() >= sessions }) {
			s.t.Fatalf("only %d sessions when %d are connecting\n%s", s.hosts[0].sessions(), connecting, s.logs())
		}
		c := s.prepare(fmt.Sprintf("{ echo %d; cat; } | @h1:cat", i))
		c.cmd.Stdin = gate
		s.check(c.start())
		calls = append(calls, c)
	}
	return calls, func() { holder.Close() }
}

func TestACrowdAtOneDaemon(t *testing.T) {
	s := newCrowdSite(t, "max_sessions = 1000\n", "h1")
	before := s.held()
	calls, letGo := s.startCrowd(crowd)
	if !eventually(patience, func() bool { return s.hosts[0].sessions() == crowd }) {
		t.Errorf("only %d sessions at once", s.hosts[0].sessions())
	}
	letGo()
	for i, c := range calls {
		status, ok := c.wait(patience)
		if !ok || status != 0 || c.out.String() != strconv.Itoa(i)+"\n" {
			t.Errorf("%d: %q, status %d; ended in time: %v\n%s", i, &c.out, status, ok, &c.err)
		}
	}
	s.ends(before)
}

func TestACrowdAtAFullDaemonIsServedOrToldSo(t *testing.T) {
	const most = 8
	s := newCrowdSite(t, fmt.Sprintf("max_sessions = %d\n", most), "h1")
	before := s.held()
	calls, letGo := s.startCrowd(most)
	if !eventually(patience, func() bool { return s.hosts[0].sessions() == most }) {
		t.Errorf("%d sessions at once, want %d", s.hosts[0].sessions(), most)
	}
	letGo()
	served, refused := 0, 0
	for i, c := range calls {
		status, ok := c.wait(patience)
		switch {
		case ok && status == 0 && c.out.String() == strconv.Itoa(i)+"\n":
			served++
		case ok && status == deadStatus && c.out.Len() == 0 && matches(`busy|cannot reach`, c.err.String()):
			refused++
		default:
			t.Errorf("%d: %q, status %d; ended in time: %v\n%s", i, &c.out, status, ok, &c.err)
		}
	}
	if served < most {
		t.Errorf("%d were served, want %d or more", served, most)
	}
	t.Logf("%d served, %d refused", served, refused)
	s.ends(before)
}
