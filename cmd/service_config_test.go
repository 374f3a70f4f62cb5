//go:build unix

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// configured is a folder with a configuration and what it needs beside it.
type configured struct {
	folder string
}

// configure writes an rpiped.toml whose sessions are on any free port.
func configure(t testing.TB, toml string) configured {
	t.Helper()
	c := configured{t.TempDir()}
	c.write(t, toml)
	home := []string{"HOME=" + c.folder, "XDG_CONFIG_HOME="}
	for _, args := range [][]string{{"rpiped", "keygen", "--config", c.config()}, {"rpipe", "--keygen"}} {
		cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
		cmd.Env = append(os.Environ(), home...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	public, err := os.ReadFile(filepath.Join(c.folder, ".config", "rpipe", "identity.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(c.folder, "authorized_keys"), public, 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c configured) config() string { return filepath.Join(c.folder, "rpiped.toml") }

func (c configured) write(t testing.TB, toml string) {
	t.Helper()
	if err := os.WriteFile(c.config(), []byte("listen = [\"127.0.0.1:0\"]\n"+toml), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePort is a port of 127.0.0.1 that was free a moment ago: services that are given none have all
// the same one.
func freePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// needLoopbackNet skips where 127.0.0.0/8 is one address only.
func needLoopbackNet(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux, where all of 127.0.0.0/8 is loopback")
	}
}

// callAt sends in, ends it, and returns what comes.
func callAt(t testing.TB, address, in string) string {
	t.Helper()
	conn := dialStream(t, address)
	defer conn.Close()
	io.WriteString(conn, in)
	conn.CloseWrite()
	out, err := io.ReadAll(conn)
	if err != nil {
		t.Errorf("%s: %v", address, err)
	}
	return string(out)
}

func TestServicesAndTheirNamesFollowAReload(t *testing.T) {
	needLoopbackNet(t)
	port := freePort(t)
	head := "[services]\nport = " + port + "\nzone = \"pipes.test\"\nname_servers = [\"ns.pipes.test 127.0.0.1\"]\n" +
		"prefix = \"127.0.0.0/8\"\ndns_listen = [\"127.0.0.1:0\"]\n"
	upper := "[programs.upper]\nrun = [\"tr\", \"a-z\", \"A-Z\"]\nservice = true\n"
	lower := "[programs.a]\nrun = [\"tr\", \"A-Z\", \"a-z\"]\nservice = true\n"
	echo := "[programs.echo]\nrun = [\"cat\"]\nservice = true\n"
	c := configure(t, head+upper+echo)
	out, err := exec.Command(filepath.Join(bin, "rpiped"), "check", "--config", c.config()).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("service upper: 127.244.29.10:"+port+"\nzone pipes.test\n")) {
		t.Errorf("check: %s%v", out, err)
	}
	out, err = exec.Command(filepath.Join(bin, "rpiped"), "zone", "--config", c.config()).Output()
	if err != nil || !bytes.Contains(out, []byte("127.244.29.10")) {
		t.Errorf("zone: %s%v", out, err)
	}
	out, err = exec.Command(filepath.Join(bin, "rpiped"), "zone", "--config", c.config(), "127.in-addr.arpa").Output()
	if err != nil || !bytes.Contains(out, []byte("upper.pipes.test.")) || bytes.Contains(out, []byte("SRV")) {
		t.Errorf("reverse zone: %s%v", out, err)
	}

	s := startService(t, "--config", c.config())
	s.await(t, "msg=serving program=upper", 1)
	at := "127.244.29.10:" + port
	if got := callAt(t, at, "x"); got != "X" {
		t.Errorf("upper: %q", got)
	}
	dns := regexp.MustCompile(`msg=answering zone=\S+ address=(\S+)`).FindStringSubmatch(s.text())
	if dns == nil {
		t.Fatal("no name server")
	}
	s.await(t, "msg=serving program=echo", 1)
	running := dialStream(t, regexp.MustCompile(`program=echo address=(\S+)`).FindStringSubmatch(s.text())[1])
	io.WriteString(running, "a\n")
	if _, err := io.ReadFull(running, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}

	if _, err := exec.LookPath("dig"); err != nil {
		missingTool(t, "dig")
	}
	dig := func(args ...string) string {
		host, dnsPort, _ := net.SplitHostPort(dns[1])
		out, err := exec.Command("dig", append([]string{"+short", "@" + host, "-p", dnsPort}, args...)...).Output()
		if err != nil {
			t.Errorf("dig %v: %v", args, err)
		}
		return strings.TrimSpace(string(out))
	}
	serial := func() string { return strings.Fields(dig("SOA", "pipes.test") + " 0 0 0")[2] }
	before := serial()
	for _, test := range []struct{ question, want string }{
		{"A upper.pipes.test", "127.244.29.10"},
		{"+tcp A upper.pipes.test", "127.244.29.10"},
		{"SRV _pipe._tcp.upper.pipes.test", "0 0 " + port + " upper.pipes.test."},
		{"-x 127.244.29.10", "upper.pipes.test."},
		{"A a.pipes.test", ""},
	} {
		if got := dig(strings.Fields(test.question)...); got != test.want {
			t.Errorf("dig %s: %q, want %q", test.question, got, test.want)
		}
	}

	c.write(t, head+lower)
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	s.await(t, "msg=reloaded", 1)
	if got := callAt(t, "127.161.135.102:"+port, "X"); got != "x" {
		t.Errorf("a: %q", got)
	}
	if conn, err := net.Dial("tcp", at); err == nil {
		conn.Close()
		t.Error("upper is still there")
	}
	if got := dig("A", "a.pipes.test"); got != "127.161.135.102" {
		t.Errorf("a after the reload: %q", got)
	}
	if after := serial(); after <= before {
		t.Errorf("serial %s follows %s", after, before)
	}
	io.WriteString(running, "b\n")
	running.CloseWrite()
	if out, err := io.ReadAll(running); string(out) != "b\n" || err != nil {
		t.Errorf("what ran: %q, %v", out, err)
	}

	c.write(t, lower)
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	s.await(t, "reload failed", 1)
	if got := callAt(t, "127.161.135.102:"+port, "X"); got != "x" {
		t.Errorf("a after a wrong reload: %q", got)
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.await(t, "msg=stopped", 1)
}

func TestAThousandProgramsHaveAnAddressEach(t *testing.T) {
	needLoopbackNet(t)
	port := freePort(t)
	var toml strings.Builder
	fmt.Fprintf(&toml, "[services]\nport = %s\n", port)
	for i := range 1000 {
		fmt.Fprintf(&toml, "[programs.program-%d]\nrun = [\"echo\", \"%d\"]\nservice = true\n", i, i)
	}
	c := configure(t, toml.String())
	start := time.Now()
	s := startService(t, "--config", c.config())
	s.await(t, "msg=serving", 1000)
	t.Logf("1,000 addresses after %v: %s", time.Since(start).Round(time.Millisecond), resources(s.cmd.Process.Pid))
	for _, m := range regexp.MustCompile(`msg=serving program=program-(\d*7) address=(\S+)`).FindAllStringSubmatch(s.text(), -1) {
		if got := callAt(t, m[2], ""); got != m[1]+"\n" {
			t.Errorf("program-%s: %q", m[1], got)
		}
	}
}

// inNamespace runs this test alone in a network namespace of its own, and reports whether it is
// there already.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("RPIPE_TEST_NETNS") == "1" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		missingTool(t, "ip")
	}
	if exec.Command("unshare", "--net", "true").Run() != nil {
		missingTool(t, "unshare --net (root)")
	}
	cmd := exec.Command("unshare", "--net", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "RPIPE_TEST_NETNS=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func TestAPrefixNeedsALocalRouteWhichAnyipAdds(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, test := range []struct{ prefix, family, address string }{
		{"fd00:7::/64", "-6", "[fd00:7::b0c7:acc1:dea2:e9b0]:9999"},
		{"10.32.0.0/11", "-4", ""},
	} {
		c := configure(t, "[services]\nprefix = \""+test.prefix+"\"\npublic = true\nfrom = [\"::1\", \"fd00:7::/64\", \"10.0.0.0/8\"]\n"+
			"[programs.upper]\nrun = [\"tr\", \"a-z\", \"A-Z\"]\nservice = true\n")
		out, err := exec.Command(filepath.Join(bin, "rpiped"), "--config", c.config()).CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		hint := "ip " + test.family + " route add local " + test.prefix + " dev lo"
		if !ok || exit.ExitCode() != 1 || !bytes.Contains(out, []byte(hint)) {
			t.Errorf("without the route: %v\n%s", err, out)
		}
		if out, err := exec.Command(filepath.Join(bin, "rpiped"), "check", "--config", c.config()).CombinedOutput(); err == nil || !bytes.Contains(out, []byte(hint)) {
			t.Errorf("check without the route: %v\n%s", err, out)
		}
		s := startService(t, "--config", c.config(), "--anyip")
		s.await(t, "msg=serving", 1)
		address := serving.FindStringSubmatch(s.text())[1]
		if test.address != "" && address != test.address {
			t.Errorf("%s, want %s", address, test.address)
		}
		if got := callAt(t, address, "x"); got != "X" {
			t.Errorf("%q", got)
		}
		if !strings.Contains(s.text(), "local route added") {
			t.Error("the log does not tell of the route")
		}
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.await(t, "msg=stopped", 1)
		again := startService(t, "--config", c.config()) // the route is there
		again.await(t, "msg=serving", 1)
	}
}
