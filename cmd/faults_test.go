//go:build linux

package cmd_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	matrix  = flag.Bool("matrix", false, "TestFaults tries all cells, and writes docs/faults.md")
	oneCell = flag.String("cell", "", "TestFaults tries the cells whose name matches this regular expression")
	atOnce  = flag.Int("at-once", 6, "how many cells TestFaults tries at the same time")
)

// streamSize is more than all windows and pipes of two connections hold, so that a
// reader that waits in the middle stops the writer before its end.
const streamSize = 24 << 20

// TestFaults runs produce | load, breaks one thing at one moment, and looks at what
// the user is told, at what was committed, and at what is left. By default it tries
// a sample.
func TestFaults(t *testing.T) {
	only := regexp.MustCompile(*oneCell)
	cells := make(map[string]cell)
	var names []string
	for _, c := range allCells() {
		if c.want() != nil && (*matrix || *oneCell != "" || c.sampled()) && only.MatchString(c.String()) {
			cells[c.String()] = c
			names = append(names, c.String())
		}
	}
	results := make(map[cell]*result)
	var mu sync.Mutex
	together(t, *atOnce, names, func(t *testing.T, name string) {
		r := cells[name].try(t)
		mu.Lock()
		defer mu.Unlock()
		results[cells[name]] = r
	})
	if *matrix && *oneCell == "" {
		if err := os.WriteFile("../docs/faults.md", faultsDocument(results), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// try runs the cell.
func (c cell) try(t *testing.T) *result {
	w := c.want()
	f := c.setUp(t)
	before := f.held()
	if c.moment == atStart {
		f.proxies[c.heldAtStart()].hold()
	}
	f.call = f.site.start(f.args(c)...)
	f.reach(c)
	f.strike(c, w)
	r := &result{}
	var ended bool
	r.status, ended = f.call.wait(c.bound())
	if !ended {
		t.Errorf("rpipe has not ended within %v", c.bound())
	}
	f.repair(c)
	if err := f.leavesNothing(before); err != nil {
		t.Error(err)
	}
	r.marker = f.marker(c)
	r.said = f.call.err.String()
	if problem := w.judge(r, f.hasStarted()); problem != "" {
		t.Error(problem)
	}
	if err := healthy("rpipe", r.said); err != nil {
		t.Error(err)
	}
	if err := f.wasDirect(c); err != nil {
		t.Error(err)
	}
	for _, h := range f.hosts {
		if c.kills(h) {
			continue
		}
		if err := h.shutDown(); err != nil {
			t.Error(err)
		}
	}
	f.killAll()
	if left := f.excess(holdings{}); len(left) > 0 {
		t.Errorf("the daemons have left behind: %s", strings.Join(left, "\n"))
	}
	r.passed = !t.Failed()
	if t.Failed() {
		t.Logf("status %d, %v\nstderr:\n%s\n%s", r.status, r.marker, r.said, f.logs())
	}
	return r
}

// A field is where a cell is tried.
type field struct {
	*site
	call    *call
	proxies map[string]*proxy // "a" and "b" from the client, "a-b" between them
	byName  map[string]*host

	events  chan string // lines of the FIFO
	seen    map[string]bool
	pids    map[string]int
	release map[string]func()
}

// newField makes a site without hosts, for the programs of the tests.
func newField(t *testing.T) *field {
	f := &field{
		site: newSite(t), proxies: make(map[string]*proxy), byName: make(map[string]*host),
		events: make(chan string, 100), seen: make(map[string]bool), pids: make(map[string]int),
		release: make(map[string]func()),
	}
	f.openFIFOs()
	return f
}

// setUp starts the hosts of a cell, each behind a proxy.
func (c cell) setUp(t *testing.T) *field {
	f := newField(t)
	for _, name := range c.topology.hosts {
		f.byName[name] = f.addHost(name)
	}
	// From the last one: a host that hops must know where the next one is.
	for i := len(c.topology.hosts) - 1; i >= 0; i-- {
		name := c.topology.hosts[i]
		h := f.byName[name]
		config := f.config(c)
		if next := i + 1; c.topology.hop && next < len(c.topology.hosts) {
			to := f.byName[c.topology.hosts[next]]
			p := newProxy(t, to.address)
			f.proxies[name+"-"+to.name] = p
			config += hopTo(to, p.Addr().String())
		}
		h.start(config)
		f.proxies[name] = newProxy(t, h.address)
		f.know(h, f.proxies[name].Addr().String())
	}
	return f
}

// hopTo is the entry of a daemon's configuration that lets it connect to a peer.
func hopTo(h *host, address string) string {
	return fmt.Sprintf("[hop_to.%s]\naddress = %q\nkey = %q\n", h.name, address, publicLine(h.key))
}

// config is the configuration of a cell's hosts.
func (f *field) config(c cell) string {
	var b strings.Builder
	if shortDead() != 0 {
		fmt.Fprintf(&b, "dead_timeout = %q\n", shortDead())
	}
	for _, name := range []string{"produce", "load"} {
		fmt.Fprintf(&b, "[programs.%s]\nrun = [", name)
		for _, word := range f.program(c, name) {
			fmt.Fprintf(&b, "%q, ", word)
		}
		b.WriteString("]\n")
	}
	return b.String()
}

// program is the command line of a program of the cell.
func (f *field) program(c cell, name string) []string {
	words := []string{testBinary(f.t), programWord, name, f.dir}
	if name == "produce" {
		return append(words, strconv.Itoa(streamSize), c.moment.hold())
	}
	hold := map[moment]string{half: "mark", atEnd: "eof"}[c.moment]
	if hold == "" {
		hold = "never"
	}
	return append(words, strconv.FormatInt(c.moment.bytes(), 10), hold)
}

// testBinary is what runs the programs of the tests.
func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// args is the command line of rpipe: $1 and $2 of the script are how to run the
// programs here.
func (f *field) args(c cell) []string {
	var args []string
	if shortDead() != 0 {
		args = append(args, "--dead-timeout", shortDead().String())
	}
	if c.moment == atStart {
		args = append(args, "--connect-timeout", "5")
	}
	args = append(args, c.topology.script)
	for _, name := range []string{"produce", "load"} {
		args = append(args, strings.Join(f.program(c, name), " "))
	}
	return args
}

// openFIFOs makes the FIFOs of the programs and holds both ends of them.
func (f *field) openFIFOs() {
	open := func(name string) *os.File {
		path := filepath.Join(f.dir, name)
		f.check(unix.Mkfifo(path, 0o600))
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		f.check(err)
		f.t.Cleanup(func() { file.Close() })
		return file
	}
	events := open("events")
	go func() { // until the FIFO is closed
		lines := bufio.NewScanner(events)
		for lines.Scan() {
			f.events <- lines.Text()
		}
	}()
	for _, name := range []string{"produce", "load"} {
		file := open("go-" + name)
		f.release[name] = sync.OnceFunc(func() { _, _ = io.WriteString(file, "x") })
	}
}

// await returns when the programs have told all of that. rpipe must not end before.
func (f *field) await(what ...string) {
	f.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for _, w := range what {
		for !f.seen[w] {
			select {
			case line := <-f.events:
				f.take(line)
			case <-f.call.done:
				f.t.Fatalf("rpipe has ended before %q (%v): %s\n%s", w, f.seen, &f.call.err, f.logs())
			case <-limit.C:
				f.t.Fatalf("no %q, only %v\n%s", w, f.seen, f.logs())
			}
		}
	}
}

func (f *field) take(line string) {
	program, what, _ := strings.Cut(line, " ")
	if number, ok := strings.CutPrefix(what, "start "); ok {
		f.pids[program], _ = strconv.Atoi(number)
		line = program + " start"
	}
	f.seen[line] = true
}

// hasStarted reports whether any program has.
func (f *field) hasStarted() bool {
	for {
		select {
		case line := <-f.events:
			f.take(line)
		default:
			return f.seen["produce start"] || f.seen["load start"]
		}
	}
}

// reach returns when everything stands at the moment of the cell.
func (f *field) reach(c cell) {
	f.t.Helper()
	switch c.moment {
	case atStart:
		f.reachStart(c)
	case half: // produce writes until nothing takes more
		f.await("produce start", fmt.Sprintf("load at %d", c.moment.bytes()))
	case atEnd:
		f.await("produce start", "load start", "load eof")
		if from := f.byName[c.topology.produce]; c.topology.produce != c.topology.load && from != nil {
			if !eventually(patience, func() bool { return from.sessions() == 0 }) {
				f.t.Fatal("the session of produce is not over when load has read its end")
			}
		}
	default:
		at := fmt.Sprintf("at %d", c.moment.bytes())
		f.await("produce start", "load start", "produce "+at, "load "+at)
	}
}

// heldAtStart names the proxy that is held in cells of the start: the one that is not
// struck where there are two, so that what is struck has answered, or waits for the
// other.
func (c cell) heldAtStart() string {
	hosts := c.topology.hosts
	if len(hosts) == 2 && (c.subject.name == hosts[1] || c.subject.name == "a-b") {
		return hosts[0]
	}
	return hosts[len(hosts)-1]
}

func (f *field) reachStart(c cell) {
	f.t.Helper()
	ok := eventually(patience, func() bool {
		for _, name := range c.topology.hosts {
			if f.proxies[name].connections() == 0 {
				return false
			}
		}
		return true
	})
	if !ok {
		f.t.Fatal("rpipe does not connect to all hosts at once")
	}
}

// strike breaks what the cell says, and tells the programs to go on.
func (f *field) strike(c cell, w *want) {
	f.t.Helper()
	pid := 0
	switch c.subject.kind {
	case client:
		pid = f.call.cmd.Process.Pid
	case daemonOf:
		pid = f.byName[c.subject.name].cmd.Process.Pid
	case programOf:
		pid = f.pids[c.subject.name]
	}
	switch c.fault {
	case kill9:
		f.check(syscall.Kill(pid, syscall.SIGKILL))
	case sigstop:
		f.check(syscall.Kill(pid, syscall.SIGSTOP))
		defer f.afterStop(c, pid)
	default:
		f.proxies[c.subject.name].strike(cuts[c.fault])
	}
	if c.moment == atStart {
		f.proxies[c.heldAtStart()].release()
	}
	if w.goesOn.load {
		f.release["load"]()
	}
	if w.goesOn.produce {
		f.release["produce"]()
	}
}

// afterStop ends a stop that nobody is to take for an end: that of a program, when
// every dead time-out would be over; and that of rpipe, when the hosts have
// noticed. A daemon goes on in repair.
func (f *field) afterStop(c cell, pid int) {
	switch c.subject.kind {
	case programOf:
		time.Sleep(deadTimeout() + deadTimeout()/2)
	case client:
		ok := eventually(deadTimeout()+patience/2, func() bool {
			for _, h := range f.byName {
				if h.sessions() > 0 {
					return false
				}
			}
			return true
		})
		if !ok {
			f.t.Error("a host keeps the session of an rpipe that is stopped")
		}
	default:
		return
	}
	f.check(syscall.Kill(pid, syscall.SIGCONT))
	f.release["produce"]()
	if c.subject.kind == programOf {
		f.release["load"]()
	}
}

// repair lets a stopped daemon go on: then it has to clean up.
func (f *field) repair(c cell) {
	if c.subject.kind == daemonOf && c.fault == sigstop {
		f.check(f.byName[c.subject.name].cmd.Process.Signal(syscall.SIGCONT))
	}
}

// controlOnly is more than handshakes, control frames and heartbeats of a cell take.
const controlOnly = 128 << 10

// wasDirect makes sure that the data of a hop, and of neighbours on one host, has
// not crossed the client's connections.
func (f *field) wasDirect(c cell) error {
	if !c.topology.hop && c.topology.produce != c.topology.load {
		return nil
	}
	for _, name := range c.topology.hosts {
		if n := f.proxies[name].total(); n > controlOnly {
			return fmt.Errorf("%d bytes have crossed the connection of the client with %s: its data is not direct", n, name)
		}
	}
	if hop := f.proxies["a-b"]; hop != nil && hop.forth.Load() < c.moment.bytes() {
		return fmt.Errorf("%d bytes have crossed the hop, less than load has read", hop.forth.Load())
	}
	return nil
}

// killAll reaps daemons that were killed, or would not end.
func (f *field) killAll() {
	for _, h := range f.hosts {
		h.kill()
	}
}

// marker says what load has committed.
func (f *field) marker(c cell) marker {
	text, err := os.ReadFile(filepath.Join(f.dir, "committed"))
	if err != nil {
		return nothing
	}
	count, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseInt(count, 10, 64)
	switch {
	case err != nil || n > streamSize || string(text) != streamMarker(n):
		return otherBytes
	case n == streamSize:
		return everything
	case c.moment.exact() && n != c.moment.bytes():
		return otherBytes
	}
	return part
}
