//go:build unix

package cmd_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// zoneOf writes what rpiped zone prints to a file.
func zoneOf(t *testing.T, c configured, file string, origin ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "rpiped"), append([]string{"zone", "--config", c.config()}, origin...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("rpiped zone %v: %v", origin, err)
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// digAt runs dig against a name server.
func digAt(t *testing.T, address string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	out, err := exec.Command("dig", append([]string{"@" + host, "-p", port, "+tries=1", "+time=5"}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("dig %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// saidBy is what an answer says: status, flags, and the lines of answer and authority, whose
// order means nothing, with the serial left out.
func saidBy(answer string) string {
	var said []string
	soa := regexp.MustCompile(`(\sSOA\s+\S+ \S+) \d+`)
	section := false
	for line := range strings.Lines(answer) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, ";; ->>HEADER<<-"):
			said = append(said, regexp.MustCompile(`status: \w+`).FindString(line))
		case strings.HasPrefix(line, ";; flags:"):
			said = append(said, line[:strings.Index(line, "ADDITIONAL")])
		case strings.HasPrefix(line, ";; ANSWER"), strings.HasPrefix(line, ";; AUTHORITY"):
			section = true
		case strings.HasPrefix(line, ";"):
			section = false
		case section && line != "":
			said = append(said, strings.Join(strings.Fields(soa.ReplaceAllString(line, "$1")), " "))
		}
	}
	slices.Sort(said)
	return strings.Join(said, "\n")
}

// nsdOf loads zone files into a real nsd, and returns its address.
func nsdOf(t *testing.T, zones map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	conf := fmt.Sprintf("server:\n ip-address: 127.0.0.1\n port: %s\n server-count: 1\n username: \"\"\n chroot: \"\"\n database: \"\"\n pidfile: \"\"\n"+
		" zonesdir: %q\n xfrdir: %q\n xfrdfile: %q\n zonelistfile: %q\n rrl-ratelimit: 0\n hide-version: yes\n minimal-responses: yes\nremote-control:\n control-enable: no\n",
		port, dir, dir, filepath.Join(dir, "xfrd.state"), filepath.Join(dir, "zone.list"))
	for origin, file := range zones {
		conf += fmt.Sprintf("zone:\n name: %q\n zonefile: %q\n", origin, file)
	}
	file := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command("nsd", "-d", "-c", file)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it takes its children along
		<-ended
	})
	for start := time.Now(); ; {
		out, err := exec.Command("dig", "@127.0.0.1", "-p", port, "+tries=1", "+time=1", "+short", "SOA", "pipes.test").Output()
		if err == nil && strings.Contains(string(out), "ns.pipes.test.") {
			return "127.0.0.1:" + port
		}
		select {
		case <-ended:
			t.Fatalf("nsd: %s", log.String())
		default:
		}
		if time.Since(start) > time.Minute {
			t.Fatal("nsd does not answer")
		}
	}
}

func TestADaemonAnswersAsNSDDoesFromTheZonesThatItPrints(t *testing.T) {
	needLoopbackNet(t)
	for _, tool := range []string{"dig", "nsd", "named-checkzone"} {
		if _, err := exec.LookPath(tool); err != nil {
			missingTool(t, tool)
		}
	}
	c := configure(t, `[services]
port = `+freePort(t)+`
prefix = "127.0.0.0/8"
zone = "pipes.test"
name_servers = ["ns.pipes.test 127.0.0.1", "ns2.elsewhere.test"]
hostmaster = "jane.doe@example.org"
daemons = ["gate.pipes.test:7747 192.0.2.7 2001:db8::7"]
dns_listen = ["127.0.0.1:0"]
list = true
[programs.upper]
run = ["tr", "a-z", "A-Z"]
summary = "upper case; \"quoted\""
service = true
`)
	dir := t.TempDir()
	zones := map[string]string{"pipes.test": filepath.Join(dir, "forward"), "127.in-addr.arpa": filepath.Join(dir, "reverse")}
	zoneOf(t, c, zones["pipes.test"])
	zoneOf(t, c, zones["127.in-addr.arpa"], "127.in-addr.arpa")
	for origin, file := range zones {
		if out, err := exec.Command("named-checkzone", "-k", "fail", "-n", "fail", origin, file).CombinedOutput(); err != nil {
			t.Errorf("named-checkzone: %v\n%s", err, out)
		}
	}
	theirs := nsdOf(t, zones)
	s := startService(t, "--config", c.config())
	s.await(t, "msg=listening", 1)
	ours := regexp.MustCompile(`msg=answering zone=\S+ address=(\S+)`).FindStringSubmatch(s.text())[1]
	for _, transport := range []string{"+notcp", "+tcp"} {
		for _, question := range []string{
			"A upper.pipes.test", "SRV _pipe._tcp.upper.pipes.test", "SRV _rpipe._tcp.pipes.test", "SOA pipes.test", "NS pipes.test",
			"-x 127.244.29.10", "PTR _services._dns-sd._udp.pipes.test", "PTR _pipe._tcp.pipes.test", "SRV upper._pipe._tcp.pipes.test",
			"TXT upper._pipe._tcp.pipes.test", "A gate.pipes.test", "AAAA gate.pipes.test", "SOA 127.in-addr.arpa", "NS 127.in-addr.arpa",
			"AAAA upper.pipes.test", "A _tcp.upper.pipes.test", "MX pipes.test", "CNAME upper.pipes.test", // no data
			"A nobody.pipes.test", "A below.upper.pipes.test", "-x 127.1.2.3", // no such name
			"A UPPER.pipes.TEST", "A www.example.org", "TXT version.bind CH",
		} {
			args := append([]string{transport}, strings.Fields(question)...)
			if got, want := saidBy(digAt(t, ours, args...)), saidBy(digAt(t, theirs, args...)); got != want || got == "" {
				t.Errorf("dig %s %s\nours:\n%s\nnsd's:\n%s", transport, question, got, want)
			}
		}
	}
	for question, want := range map[string]string{
		"A nobody.pipes.test":               "status: NXDOMAIN",
		"AAAA upper.pipes.test":             "status: NOERROR",
		"+recurse A www.example.org":        "recursion requested but not available",
		"+edns=1 +noednsneg SOA pipes.test": "status: BADVERS",
		"+bufsize=4096 SOA pipes.test":      "EDNS: version: 0",
		"AXFR pipes.test":                   "Transfer failed",
	} {
		if out := digAt(t, ours, strings.Fields(question)...); !strings.Contains(out, want) {
			t.Errorf("dig %s: no %q in\n%s", question, want, out)
		}
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.await(t, "msg=stopped", 1)
}

// TestRpipeListsTheServicesOfAZone asks name servers of rpiped for a zone with a list, and for one without.
func TestRpipeListsTheServicesOfAZone(t *testing.T) {
	needLoopbackNet(t)
	const zone = `port = %s
zone = "pipes.test"
name_servers = ["ns.pipes.test 127.0.0.1"]
dns_listen = ["127.0.0.1:0"]
`
	port := freePort(t)
	two := "[programs.upper]\nrun = [\"tr\", \"a-z\", \"A-Z\"]\nsummary = \"upper case\"\nservice = true\n[programs.rev]\nrun = [\"cat\"]\nservice = true\n"
	for name, test := range map[string]struct {
		config string
		list   string
		status int
		out    string
		err    string
	}{
		"two":                   {"[services]\nlist = true\n" + zone + two, "@pipes.test", 0, "@rev.pipes.test:" + port + "\n@upper.pipes.test:" + port + "  upper case\n", "^$"},
		"no list":               {"[services]\n" + zone + two, "@pipes.test", 69, "", `^rpipe: "pipes.test" lists no services \(asked 127.*\nrpipe: .*list = true`},
		"no such zone":          {"[services]\nlist = true\n" + zone + two, "@nobody.pipes.test", 69, "", `^rpipe: there is no zone "nobody.pipes.test" .*\nrpipe: check the name`},
		"a zone of others":      {"[services]\nlist = true\n" + zone + two, "@example.org", 69, "", `^rpipe: the name server 127.\S+ says REFUSED\nrpipe: it does not know that zone`},
		"services of this zone": {"[services]\nlist = true\n" + zone + two, "@upper.pipes.test", 69, "", `^rpipe: "upper.pipes.test" lists no services`},
	} {
		t.Run(name, func(t *testing.T) {
			c := configure(t, fmt.Sprintf(test.config, port))
			s := startService(t, "--config", c.config())
			s.await(t, "msg=listening", 1)
			server := regexp.MustCompile(`msg=answering zone=\S+ address=(\S+)`).FindStringSubmatch(s.text())[1]
			cmd := exec.Command(filepath.Join(bin, "rpipe"), "--resolver", server, "--list", test.list)
			cmd.Env = append(os.Environ(), "HOME="+c.folder, "XDG_CONFIG_HOME=")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, _ := cmd.Output()
			if got := cmd.ProcessState.ExitCode(); got != test.status || string(out) != test.out || !regexp.MustCompile(test.err).MatchString(stderr.String()) {
				t.Errorf("status %d, %q\n%s", got, out, &stderr)
			}
		})
	}
}
