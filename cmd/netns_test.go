//go:build linux

package cmd_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A network is a router between namespaces (ip-netns(8)), each of which stands for
// a machine. The name of the client's is "c".
type network struct {
	t      *testing.T
	prefix string
	names  []string
}

// newNetwork makes a network of its own for the test; it needs root and ip(8).
func newNetwork(t *testing.T, names ...string) *network {
	t.Helper()
	if os.Geteuid() != 0 {
		missingTool(t, "root, which network namespaces take,")
	}
	for _, tool := range []string{"ip", "tc"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingTool(t, tool)
		}
	}
	sweepNetworks(t)
	n := &network{t: t, prefix: fmt.Sprintf("rpt-%d-%08x-", os.Getpid(), rand.Uint32()), names: names}
	t.Cleanup(n.close)
	n.must("ip", "netns", "add", n.space("router"))
	n.inside("router", "ip", "link", "set", "lo", "up")
	n.inside("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	for i, name := range names {
		n.must("ip", "netns", "add", n.space(name))
		n.inside(name, "ip", "link", "set", "lo", "up")
		n.inside("router", "ip", "link", "add", "name", port(name), "type", "veth", "peer", "name", "eth0", "netns", n.space(name))
		n.inside("router", "ip", "address", "add", fmt.Sprintf("10.77.%d.1/24", i), "dev", port(name))
		n.inside("router", "ip", "link", "set", port(name), "up")
		n.inside(name, "ip", "address", "add", n.address(name)+"/24", "dev", "eth0")
		n.inside(name, "ip", "link", "set", "eth0", "up")
		n.inside(name, "ip", "route", "add", "default", "via", fmt.Sprintf("10.77.%d.1", i))
	}
	return n
}

// sweepNetworks removes what test processes have left that were killed.
func sweepNetworks(t *testing.T) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ok := strings.CutPrefix(name, "rpt-")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(number); err == nil && syscall.Kill(pid, 0) != nil {
			_ = exec.Command("ip", "netns", "delete", name).Run()
		}
	}
}

func (n *network) close() {
	for _, name := range append([]string{"router"}, n.names...) {
		_ = exec.Command("ip", "netns", "delete", n.space(name)).Run() // it may not be there yet
	}
}

// port is the router's end of a machine's link, whose other end is eth0.
func port(name string) string { return "to-" + name }

func (n *network) space(name string) string { return n.prefix + name }

// address is that of a machine.
func (n *network) address(name string) string {
	for i, other := range n.names {
		if other == name {
			return fmt.Sprintf("10.77.%d.2", i)
		}
	}
	n.t.Fatalf("no machine %q", name)
	return ""
}

// must runs a command that must not fail, and returns its output.
func (n *network) must(words ...string) string {
	n.t.Helper()
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%q: %v\n%s", words, err, out)
	}
	return string(out)
}

// inside is must on a machine.
func (n *network) inside(name string, words ...string) string {
	n.t.Helper()
	return n.must(append(n.via(name), words...)...)
}

func (n *network) via(name string) []string {
	return []string{"ip", "netns", "exec", n.space(name)}
}

// slow bounds both directions of a machine's link.
func (n *network) slow(name, rate string) {
	n.t.Helper()
	shape := []string{"root", "tbf", "rate", rate, "burst", "64kb", "latency", "200ms"}
	n.inside(name, append([]string{"tc", "qdisc", "add", "dev", "eth0"}, shape...)...)
	n.inside("router", append([]string{"tc", "qdisc", "add", "dev", port(name)}, shape...)...)
}

// apart makes the router drop (blackhole) or refuse (unreachable) what two machines
// send each other (ip-rule(8)).
func (n *network) apart(how, one, other string) {
	n.t.Helper()
	for _, way := range [][2]string{{one, other}, {other, one}} {
		n.inside("router", "ip", "rule", "add", "from", n.address(way[0]), "to", n.address(way[1]), how)
	}
}

// crossed returns how many bytes have crossed a machine's link in both directions.
func (n *network) crossed(name string) int64 {
	n.t.Helper()
	var total int64
	for _, field := range []string{"rx_bytes", "tx_bytes"} {
		text := n.inside(name, "cat", "/sys/class/net/eth0/statistics/"+field)
		bytes, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil {
			n.t.Fatal(err)
		}
		total += bytes
	}
	return total
}

// quiet waits until no more than a heartbeat crosses a machine's link.
func (n *network) quiet(name string) {
	n.t.Helper()
	last := n.crossed(name)
	still := 0
	ok := eventually(patience, func() bool {
		now := n.crossed(name)
		if now-last < 4096 {
			still++
		} else {
			still = 0
		}
		last = now
		return still == 20
	})
	if !ok {
		n.t.Fatal("the link does not come to rest")
	}
}

// newNetworkSite makes a user on machine c, and daemons with all programs on the
// others, that may connect to each other from left to right.
func newNetworkSite(t *testing.T, n *network) *site {
	t.Helper()
	s := newSite(t)
	s.via = n.via("c")
	var next *host
	var hosts []*host
	for i := len(n.names) - 1; i > 0; i-- {
		h := s.addHost(n.names[i])
		h.via, h.listen = n.via(h.name), n.address(h.name)+":7747"
		config := anyProgram("cat", "wc", "sleep", "seq", "head")
		if shortDead() != 0 {
			config = fmt.Sprintf("dead_timeout = %q\n", shortDead()) + config
		}
		if next != nil {
			config += hopTo(next, next.address)
		}
		h.start(config)
		hosts, next = append(hosts, h), h
	}
	for _, h := range hosts {
		s.know(h, h.address)
	}
	return s
}

// anyProgram is a configuration that lets everybody run programs with any
// arguments.
func anyProgram(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "[programs.%s]\nrun = [%q]\nargs = \"any\"\n", name, name)
	}
	return b.String()
}

// withDead puts the flag for the dead time-out before a script.
func withDead(args ...string) []string {
	if shortDead() == 0 {
		return args
	}
	return append([]string{"--dead-timeout", shortDead().String()}, args...)
}

// TestAHopLeavesTheClientsLinkAlone runs a pipeline over two hosts that are near
// each other and far from the client.
func TestAHopLeavesTheClientsLinkAlone(t *testing.T) {
	n := newNetwork(t, "c", "a", "b")
	n.slow("c", "20mbit")
	s := newNetworkSite(t, n)
	size := int64(128 << 20)
	big := filepath.Join(s.dir, "big")
	s.check(os.WriteFile(big, nil, 0o600))
	s.check(os.Truncate(big, size))
	before := n.crossed("c")
	begun := time.Now()
	out, stderr, status := s.run(fmt.Sprintf("@a:cat %s | @b:wc -c", big))
	took, crossed := time.Since(begun), n.crossed("c")-before
	if strings.TrimSpace(out) != strconv.FormatInt(size, 10) || status != 0 {
		t.Errorf("%q, status %d\n%s", out, status, stderr)
	}
	t.Logf("%d bytes from a to b in %v (%.0f Mbit/s); over the client's link, of 20 Mbit/s, %d bytes", size, took, float64(size)*8/1e6/took.Seconds(), crossed)
	if crossed > 256<<10 {
		t.Errorf("%d bytes have crossed the client's link", crossed)
	}
}

// relayReason is what -v says where a hop could not be made.
const relayReason = `relayed.*: this host cannot connect to "b": (.*unreachable|no answer)`

func TestHostsThatCannotReachEachOtherAreRelayed(t *testing.T) {
	for _, how := range []string{"unreachable", "blackhole"} {
		t.Run(how, func(t *testing.T) {
			n := newNetwork(t, "c", "a", "b")
			n.apart(how, "a", "b")
			s := newNetworkSite(t, n)
			out, stderr, status := s.run("-v", "@a:seq 100000 | @b:wc -l")
			if strings.TrimSpace(out) != "100000" || status != 0 {
				t.Errorf("%q, status %d\n%s", out, status, stderr)
			}
			if !matches(relayReason, stderr) {
				t.Errorf("-v does not say why the client relays, as in %q:\n%s", relayReason, stderr)
			}
			t.Log(stderr)
		})
	}
}

// TestADeadNetworkIsALoss breaks the way between the client and a, so that nobody
// is told, in each state that a session can be in.
func TestADeadNetworkIsALoss(t *testing.T) {
	cut := func(n *network) { n.apart("blackhole", "c", "a") }
	unplug := func(n *network) { n.inside("router", "ip", "link", "set", port("a"), "down") }
	flows := func(n *network) {
		if !eventually(patience, func() bool { return n.crossed("c") > 16<<20 }) {
			n.t.Fatal("nothing flows")
		}
	}
	rests := func(n *network) { n.quiet("c") }
	states := map[string]struct {
		script string
		reach  func(*network)
		cut    func(*network)
	}{
		"idle":                        {"@a:sleep 1000 | cat", rests, cut},
		"output in flight":            {"@a:cat /dev/zero | cat > /dev/null", flows, cut},
		"input in flight":             {"cat /dev/zero | @a:cat > /dev/null", flows, cut},
		"output that nobody reads":    {"@a:cat /dev/zero | sleep 1000", rests, cut},
		"input that nobody reads":     {"cat /dev/zero | @a:sleep 1000", rests, cut},
		"between hosts in flight":     {"@a:cat /dev/zero | @b:wc -c", nil, cut},
		"link down, idle":             {"@a:sleep 1000 | cat", rests, unplug},
		"link down, output in flight": {"@a:cat /dev/zero | cat > /dev/null", flows, unplug},
	}
	together(t, 4, keys(states), func(t *testing.T, name string) {
		state := states[name]
		n := newNetwork(t, "c", "a", "b")
		s := newNetworkSite(t, n)
		before := s.held()
		c := s.start(withDead(state.script)...)
		for _, h := range s.hosts {
			if strings.Contains(state.script, "@"+h.name) && !eventually(patience, func() bool { return h.sessions() == 1 }) {
				t.Fatalf("no session on %s\n%s", h.name, &c.err)
			}
		}
		if state.reach != nil {
			state.reach(n)
		} else if !eventually(patience, func() bool { return n.crossed("b") > 16<<20 }) {
			t.Fatal("nothing flows")
		}
		state.cut(n)
		begun := time.Now()
		status, ok := c.wait(deadTimeout() + 20*time.Second)
		t.Logf("status %d after %v: %s", status, time.Since(begun).Round(100*time.Millisecond), c.err.String())
		if !ok || status != lostStatus {
			t.Errorf("status %d, want %d; ended in time: %v", status, lostStatus, ok)
		}
		if err := s.leavesNothing(before); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.logs())
		}
	})
}

// TestASlowReaderIsNotDead reads nothing for longer than the dead time-out.
func TestASlowReaderIsNotDead(t *testing.T) {
	n := newNetwork(t, "c", "a", "b")
	s := newNetworkSite(t, n)
	pause := int((deadTimeout() + deadTimeout()/2 + time.Second).Seconds())
	scripts := map[string]string{
		"here":   fmt.Sprintf("@a:head -c 100000000 /dev/zero | { sleep %d; wc -c; }", pause),
		"there":  fmt.Sprintf("head -c 100000000 /dev/zero | { sleep %d; @a:wc -c; }", pause),
		"paused": fmt.Sprintf("{ head -c 50000000 /dev/zero; sleep %d; head -c 50000000 /dev/zero; } | @a:cat | @b:wc -c", pause),
	}
	together(t, len(scripts), keys(scripts), func(t *testing.T, name string) {
		c := s.start(withDead(scripts[name])...)
		status, ok := c.wait(patience + deadTimeout())
		if !ok || status != 0 || strings.TrimSpace(c.out.String()) != "100000000" {
			t.Errorf("%s: %q, status %d; ended in time: %v\n%s", scripts[name], &c.out, status, ok, &c.err)
		}
	})
}
