//go:build linux

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serviceTopology is how a service is used in a service's cell.
type serviceTopology struct {
	name    string
	script  string // $0 is the address, $1 and $2 run produce and load here
	program string // what the service runs
	moment  moment
}

var serviceTopologies = []serviceTopology{
	{"reading", "@$SERVICE | $2", "produce", tenth},
	{"writing", "$1 | @$SERVICE", "load", tenth},
	{"held up", "$1 | @$SERVICE", "load", half},
}

// serviceFault is a row of the services' table: how something breaks, and what may come
// of it in each of serviceTopologies, as faultsDocument shows it.
type serviceFault struct {
	name    string
	servers string // of inetds
	strike  func(f *field, program int)
	want    [3][]string
	repair  func(f *field, program int) // of what would be left; nil: nothing is
}

var serviceFaults = []serviceFault{
	{"nothing", "tcpserver rpiped", func(*field, int) {}, [3][]string{{"0 all"}, {"0 all"}, {"0 all"}}, nil},
	{"the client: kill -9", "tcpserver rpiped", killClient, [3][]string{{"137 -"}, {"137 -"}, {"137 -"}}, nil},
	{"the client: SIGSTOP for a while", "tcpserver rpiped", stopClient, [3][]string{{"0 all"}, {"0 all"}, {"0 all"}}, nil},
	{"the program, whose stdout is the socket: kill -9", "tcpserver", killProgram, [3][]string{{"0 part"}, {"0 -", "76 -"}, {"76 -"}}, nil},
	{"the program, behind a relay: kill -9", "socat", killProgram, [3][]string{{"0 part"}, {"0 -", "76 -"}, {"0 -", "76 -"}}, nil},
	{"the relay: kill -9", "socat", killServer, [3][]string{{"0 part"}, {"0 part", "76 part"}, {"76 part"}}, nil},
	{"rpiped's program: kill -9", "rpiped", killProgram, [3][]string{{"76 -"}, {"76 -"}, {"76 -"}}, nil},
	{"rpiped's reaper: kill -9", "rpiped", killServer, [3][]string{{"76 -"}, {"76 -"}, {"76 -"}}, nil},
	{"rpiped: kill -9", "rpiped", killDaemon, [3][]string{{"76 -"}, {"76 -"}, {"76 -"}}, nil},
	{"the connection: RST", "tcpserver rpiped", cutConnection(reset), [3][]string{{"76 -"}, {"76 -"}, {"76 -"}}, nil},
	{"the connection: FIN both ways", "tcpserver rpiped", cutConnection(fin), [3][]string{{"0 part"}, {"0 part"}, {"0 part", "76 part"}}, nil},
	{"the connection: FIN to the service", "tcpserver rpiped", cutConnection(finToHost), [3][]string{{"0 all"}, {"0 part"}, {"0 part", "76 part"}}, nil},
	{"the connection: FIN to the caller", "tcpserver rpiped", cutConnection(finToUser), [3][]string{{"0 part"}, {"0 all"}, {"0 all"}}, nil},
	{"the wire: cut", "tcpserver rpiped", cutWire, [3][]string{{"76 -"}, {"76 -"}, {"76 -"}}, cutConnection(reset)},
}

func killClient(f *field, _ int) { f.check(f.call.cmd.Process.Kill()) }

// stopClient stops rpipe for longer than its dead time-out.
func stopClient(f *field, _ int) {
	f.check(f.call.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(deadTimeout() + deadTimeout()/2)
	f.check(f.call.cmd.Process.Signal(syscall.SIGCONT))
}

func killProgram(f *field, program int) { f.check(syscall.Kill(program, syscall.SIGKILL)) }

// killServer kills what stands between the program and the socket.
func killServer(f *field, program int) { killProgram(f, f.parent(program)) }

// killDaemon kills what stands above that.
func killDaemon(f *field, program int) { killServer(f, f.parent(program)) }

// parent is that of a process.
func (f *field) parent(pid int) int {
	parent := 0
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f.check(err)
	_, err = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", new(rune), &parent)
	f.check(err)
	return parent
}

func cutConnection(c cut) func(*field, int) {
	return func(f *field, _ int) { f.proxies["service"].strike(c) }
}

// cutWire makes the other end deaf, so that the caller gets no sign of life.
func cutWire(f *field, _ int) {
	p := f.proxies["service"]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		raw, err := l.caller.SyscallConn()
		f.check(err)
		f.check(raw.Control(func(fd uintptr) {
			drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop})
		}))
		f.check(err)
	}
}

// TestServiceFaults breaks one thing while a service is called, behind rpiped and servers that know
// nothing of rpipe, and looks at what the user is told and what was committed.
func TestServiceFaults(t *testing.T) {
	for _, tool := range []string{"tcpserver", "socat"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingTool(t, tool)
		}
	}
	var names []string
	rows := make(map[string]serviceFault)
	columns := make(map[string]int)
	behind := make(map[string]string)
	for _, fault := range serviceFaults {
		for i, top := range serviceTopologies {
			for server := range strings.FieldsSeq(fault.servers) {
				name := fault.name + ", " + top.name + ", " + server
				names, rows[name], columns[name], behind[name] = append(names, name), fault, i, server
			}
		}
	}
	together(t, *atOnce, names, func(t *testing.T, name string) { rows[name].try(t, columns[name], behind[name]) })
}

// try runs a cell.
func (s serviceFault) try(t *testing.T, column int, behind string) {
	top := serviceTopologies[column]
	c := cell{topology: &topology{}, moment: top.moment}
	f := newField(t)
	folder, err := os.MkdirTemp("", "rpipe-service-") // a name without what socat takes for its own
	f.check(err)
	t.Cleanup(func() { os.RemoveAll(folder) })
	serve := filepath.Join(folder, "serve")
	f.check(os.WriteFile(serve, []byte("#!/bin/sh\nexec "+strings.Join(f.program(c, top.program), " ")+"\n"), 0o700))
	server, err := startInetd(f.dir, behind, "", isListening, serve)
	f.check(err)
	t.Cleanup(server.kill)
	p := newProxy(t, server.at)
	f.proxies["service"] = p
	args := []string{"--dead-timeout", deadTimeout().String(), "SERVICE=" + p.Addr().String() + "; " + top.script}
	for _, name := range []string{"produce", "load"} {
		args = append(args, strings.Join(f.program(c, name), " "))
	}
	f.call = f.site.start(args...)
	f.reach(c)
	s.strike(f, f.pids[top.program])
	f.release["load"]()
	f.release["produce"]()
	status, ended := f.call.wait(deadTimeout() + patience)
	if !ended {
		t.Errorf("rpipe has not ended\n%s", &f.call.err)
	}
	if s.repair != nil {
		s.repair(f, f.pids[top.program])
	}
	if !eventually(patience, func() bool { return !f.runs(f.pids["load"]) }) {
		t.Error("load has not ended")
	}
	marker := f.marker(c)
	got := fmt.Sprintf("%d %s", status, shownMarkers[marker])
	t.Logf("%s: %s\n%s", t.Name(), got, &f.call.err)
	if !slices.Contains(s.want[column], got) {
		t.Errorf("%s, want one of %q", got, s.want[column])
	}
	if status == lostStatus && !matches(`(?m)^rpipe: stage [12] @127.0.0.1:\d+: lost: `, f.call.err.String()) {
		t.Errorf("the lost stage is not named:\n%s", &f.call.err)
	}
}

// isListening reports whether something listens on a port of 127.0.0.1, which it does
// not notice (proc_net_tcp.txt of the kernel).
func isListening(_, at string) bool {
	_, port, _ := strings.Cut(at, ":")
	number, err := strconv.Atoi(port)
	table, readErr := os.ReadFile("/proc/net/tcp")
	return err == nil && readErr == nil && bytes.Contains(table, fmt.Appendf(nil, " 0100007F:%04X 00000000:0000 0A ", number))
}

// runs reports whether a process has not exited.
func (f *field) runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z"))
}

// shownMarkers are what the tables show for what was committed.
var shownMarkers = map[marker]string{nothing: "-", part: "part", everything: "all", otherBytes: "WRONG"}

// servicesSection is what docs/faults.md says of services.
func servicesSection() string {
	var b strings.Builder
	b.WriteString(`## Services

A service has no protocol: all that it can say of its end is FIN or RST. So a program, or a server, that is killed and whose system then
sends FIN looks like one that has ended, and no client can know better: what was written by then counts as all of it. Whoever needs the
truth of every end calls a program, ` + "`@host:program`" + `; ` + "`--require-status`" + ` refuses services. A service of rpiped is the one that tells of this: its
connection is reset unless its program has ended by itself. Tried by ` + "`go test ./cmd -run TestServiceFaults`" + ` with rpiped, tcpserver, whose programs have the socket itself,
and socat, which relays; rows of the client, the connection and the wire are the same behind tcpserver and rpiped.
A cell shows the status of rpipe and what load has committed; several are told apart by who comes first.

- reading: ` + "`@service | load`" + `, when 10 % have arrived and all is quiet
- writing: ` + "`produce | @service`" + `, where the service runs load: the same
- held up: the same, when load has read 50 % and reads no more

| broken | reading | writing | held up |
|---|---|---|---|
`)
	for _, f := range serviceFaults {
		fmt.Fprintf(&b, "| %s |", f.name)
		for _, want := range f.want {
			fmt.Fprintf(&b, " %s |", strings.Join(want, ", or "))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestFaultsDocumentTellsOfServices(t *testing.T) {
	const path = "../docs/faults.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), servicesSection()) {
		return
	}
	if !*matrix {
		t.Fatalf("%s does not: -matrix writes it", path)
	}
	before, after, ok := strings.Cut(string(text), "## What rpipe says\n")
	if before, _, _ = strings.Cut(before, "## Services\n"); !ok {
		t.Fatalf("%s has another form", path)
	}
	if err := os.WriteFile(path, []byte(before+servicesSection()+"\n## What rpipe says\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
