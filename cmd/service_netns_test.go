//go:build linux

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// withIPv6 gives each machine an address and a default route, and lets the router forward.
func (n *network) withIPv6() {
	n.t.Helper()
	n.inside("router", "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
	for i, name := range n.names {
		gate := fmt.Sprintf("fd77:%d::1", i)
		n.inside("router", "ip", "address", "add", gate+"/64", "dev", port(name), "nodad")
		n.inside(name, "ip", "address", "add", n.address6(name)+"/64", "dev", "eth0", "nodad")
		n.inside(name, "ip", "-6", "route", "add", "default", "via", gate)
	}
	// A router asks for its neighbours from an address of the link, which it must have made sure of.
	for _, name := range append([]string{"router"}, n.names...) {
		if !eventually(patience, func() bool { return n.inside(name, "ip", "-6", "address", "show", "tentative") == "" }) {
			n.t.Fatalf("%s has a tentative address", name)
		}
	}
}

// address6 is that of a machine.
func (n *network) address6(name string) string {
	return strings.Replace(strings.Replace(n.address(name), "10.77.", "fd77:", 1), ".2", "::2", 1)
}

// resolving runs a command on a machine whose resolver asks the name server at an address.
func (n *network) resolving(name, server, input string, words ...string) (string, error) {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+server+"\noptions timeout:2 attempts:2\n"), 0o644); err != nil {
		n.t.Fatal(err)
	}
	// ip netns exec has made a mount namespace (ip-netns(8)).
	args := append(n.via(name), "sh", "-c", `mount --bind "$0" /etc/resolv.conf && exec "$@"`, file)
	args = append(args, words...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, &stderr)
	}
	return string(out), err
}

// TestServicesOfAPrefixAreCalledByNameFromAnotherMachine has a daemon on machine s, whose services
// have addresses that no interface has, a client on c, and one on x whom nobody lets in.
func TestServicesOfAPrefixAreCalledByNameFromAnotherMachine(t *testing.T) {
	for _, tool := range []string{"nc", "dig", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingTool(t, tool)
		}
	}
	n := newNetwork(t, "c", "s", "x")
	n.withIPv6()
	const prefix = "fd00:7::/64"
	n.inside("router", "ip", "-6", "route", "add", prefix, "via", n.address6("s"))
	server := n.address6("s")
	config := configure(t, `[services]
prefix = "`+prefix+`"
public = true
from = ["`+n.address6("c")+`"]
zone = "pipes.test"
name_servers = ["ns.pipes.test `+server+`"]
dns_listen = ["[`+server+`]:53"]
list = true
[programs.upper]
run = ["tr", "a-z", "A-Z"]
summary = "turn lower case into upper case"
service = true
[programs.sort]
run = ["sort"]
service = true
`)

	// Without the route the daemon says a command, which is all that is missing.
	cmd := exec.Command(n.via("s")[0], append(n.via("s")[1:], filepath.Join(bin, "rpiped"), "--config", config.config())...)
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	command := regexp.MustCompile(`ip -6 route add local \S+ dev lo`).FindString(string(out))
	if !ok || exit.ExitCode() != 1 || command == "" {
		t.Fatalf("without the route: %v\n%s", err, out)
	}
	for _, way := range []string{"the command that it says", "--anyip"} {
		args := []string{"--config", config.config()}
		if way == "--anyip" {
			n.inside("s", strings.Fields(strings.Replace(command, " add ", " delete ", 1))...)
			args = append(args, way)
		} else {
			n.inside("s", strings.Fields(command)...)
		}
		s := startServiceVia(t, n.via("s"), args...)
		s.await(t, "msg=serving", 2)

		log, err := os.ReadFile("../examples/access.log")
		if err != nil {
			t.Fatal(err)
		}
		in := strings.Repeat(string(log), 20)
		if out, err := n.resolving("c", server, in, "nc", "-N", "upper.pipes.test", "9999"); out != strings.ToUpper(in) || err != nil {
			t.Errorf("%s: %d of %d bytes, %v", way, len(out), len(in), err)
		}
		if out, err := n.resolving("c", server, "b\na\n", "nc", "-N", "sort.pipes.test", "9999"); out != "a\nb\n" || err != nil {
			t.Errorf("%s: %q, %v", way, out, err)
		}
		if out, err := n.resolving("c", server, "", "dig", "+short", "-x", "fd00:7::b0c7:acc1:dea2:e9b0"); out != "upper.pipes.test.\n" || err != nil {
			t.Errorf("%s: PTR %q, %v", way, out, err)
		}
		n.callsByName(way, server)
		// An address of the prefix that is nobody's refuses at once.
		if out, err := n.resolving("c", server, "", "nc", "-N", "fd00:7::1", "9999"); err == nil {
			t.Errorf("%s: nobody answers %q", way, out)
		}
		// Names are everybody's, services are not.
		if out, err := n.resolving("x", server, "", "dig", "+short", "AAAA", "upper.pipes.test"); !strings.HasPrefix(out, "fd00:7::") || err != nil {
			t.Errorf("%s: x gets %q, %v", way, out, err)
		}
		if out, _ := n.resolving("x", server, "x", "nc", "-N", "upper.pipes.test", "9999"); out != "" {
			t.Errorf("%s: x got %q", way, out)
		}
		for _, call := range []string{"echo x | @upper.pipes.test", "cat /dev/zero | @upper.pipes.test", "sleep 1000 | @upper.pipes.test"} {
			out, err := n.resolving("x", server, "", filepath.Join(bin, "rpipe"), "--timeout", "60", call)
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != lostStatus || out != "" {
				t.Errorf("%s: x gets %q, %v", way, out, err)
			}
		}
		s.await(t, `"its network is not in from"`, 4)
		if !strings.Contains(s.text(), "peer=["+n.address6("x")+"]") {
			t.Errorf("%s: the log does not say who it was", way)
		}
		if way == "--anyip" {
			n.floodNames("x", server)
		}
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.await(t, "msg=stopped", 1)
	}
}

// TestADaemonIsFoundByTheNameOfItsZone has a zone whose SRV records name the daemon that serves it, and
// that only its own name server knows.
func TestADaemonIsFoundByTheNameOfItsZone(t *testing.T) {
	if _, err := exec.LookPath("mount"); err != nil {
		missingTool(t, "mount")
	}
	n := newNetwork(t, "c", "s")
	n.withIPv6()
	server := n.address6("s")
	site := newSite(t)
	site.via = n.via("c")
	h := site.addHost("s")
	const port = "17747" // no other process is on that machine
	h.via, h.listen = n.via("s"), "["+server+"]:"+port
	h.start(`[services]
public = true
from = ["` + n.address6("c") + `"]
zone = "pipes.test"
name_servers = ["ns.pipes.test ` + server + `"]
dns_listen = ["[` + server + `]:53"]
daemons = ["gate.pipes.test:` + port + ` ` + server + `"]
[programs.upper]
run = ["tr", "a-z", "A-Z"]
summary = "turn lower case into upper case"
`)
	// The key is known for the name that is written (RFC 9525, section 6.1).
	site.check(os.WriteFile(filepath.Join(site.home(), "known_hosts"), []byte("[pipes.test]:7747 "+publicLine(h.key)+"\n"), 0o600))
	for script, want := range map[string]string{
		"echo hello | @pipes.test:upper":                     "HELLO\n",
		"echo hello | @pipes.test:upper | @pipes.test:upper": "HELLO\n",
	} {
		if out, stderr, status := site.run("--resolver", server, script); out != want || status != 0 {
			t.Errorf("%s: %q, status %d\n%s", script, out, status, stderr)
		}
	}
	if out, stderr, status := site.run("--resolver", server, "--list", "pipes.test"); out != "upper  turn lower case into upper case\n" || status != 0 {
		t.Errorf("--list: %q, status %d\n%s", out, status, stderr)
	}
}

// callsByName has rpipe find services by their names, at the system's name server and at the one that
// --resolver names.
func (n *network) callsByName(way, server string) {
	n.t.Helper()
	rpipe := filepath.Join(bin, "rpipe")
	log, err := filepath.Abs("../examples/access.log")
	if err != nil {
		n.t.Fatal(err)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		n.t.Fatal(err)
	}
	want := strings.ToUpper(string(text))
	script := "cat '" + log + "' | @upper.pipes.test"
	if out, err := n.resolving("c", server, "", rpipe, script); out != want || err != nil {
		n.t.Errorf("%s: by the system's name server: %d of %d bytes, %v", way, len(out), len(want), err)
	}
	// Nobody answers there.
	for _, address := range []string{server, "[" + server + "]:53"} {
		if out, err := n.resolving("c", "fd77:9::9", "", rpipe, "--resolver", address, script); out != want || err != nil {
			n.t.Errorf("%s: --resolver %s: %d of %d bytes, %v", way, address, len(out), len(want), err)
		}
	}
	if out, err := n.resolving("c", server, "", rpipe, "printf 'b\na\n' | @UPPER.Pipes.test. | @sort.pipes.test:9999"); out != "A\nB\n" || err != nil {
		n.t.Errorf("%s: two services: %q, %v", way, out, err)
	}
	if out, err := n.resolving("c", server, "", rpipe, "--list", "@pipes.test"); out != "@sort.pipes.test\n@upper.pipes.test  turn lower case into upper case\n" || err != nil {
		n.t.Errorf("%s: --list: %q, %v", way, out, err)
	}
	out, err := n.resolving("c", server, "", rpipe, "echo | @nobody.pipes.test")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 69 || !strings.Contains(err.Error(), "check the name") {
		n.t.Errorf("%s: a name that is nobody's: %q, %v", way, out, err)
	}
}

// flood asks for AAAA of upper.pipes.test 3,000 times, and tells whole answers, empty ones with TC, and
// the seconds that it took.
const flood = `import select, socket, sys, time
query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x05upper\x05pipes\x04test\x00\x00\x1c\x00\x01"
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 53))
whole = cut = 0
start = time.time()
def take(wait):
    global whole, cut
    while select.select([s], [], [], wait)[0]:
        answer = s.recv(4096)
        if answer[2] & 2: cut += 1
        else: whole += 1
for i in range(3000):
    s.send(query)
    take(0)
took = time.time() - start
take(1)
print(whole, cut, took)`

// floodNames has a name server's limit met, which leaves real clients their answers.
func (n *network) floodNames(from, server string) {
	n.t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		missingTool(n.t, "python3")
	}
	var whole, cut int
	var took float64
	if _, err := fmt.Sscan(n.inside(from, "python3", "-c", flood, server), &whole, &cut, &took); err != nil {
		n.t.Fatal(err)
	}
	n.t.Logf("of 3,000 queries in %.2f s %d were answered, %d with TC only", took, whole, cut)
	if most := 200 + 200*(took+2); whole == 0 || cut == 0 || float64(whole) > most || whole+cut >= 3000 {
		n.t.Errorf("of 3,000 queries in %.2f s %d were answered, %d with TC only", took, whole, cut)
	}
	if out := n.inside(from, "dig", "+short", "+tries=5", "@"+server, "AAAA", "upper.pipes.test"); !strings.HasPrefix(out, "fd00:7::") {
		n.t.Errorf("after a flood: %q", out)
	}
}
