//go:build unix

package cmd_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder of the built commands.
var bin string

func TestMain(m *testing.M) {
	if status, ok := program(os.Args); ok {
		os.Exit(status)
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "rpipe-bin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if err := build(bin, raceFlag); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// patience is how long a test waits for what must happen soon. It finds hangs; it
// measures nothing.
const patience = 60 * time.Second

// eventually asks until the answer is yes; it returns false after the bound.
func eventually(bound time.Duration, yes func() bool) bool {
	for end := time.Now().Add(bound); ; time.Sleep(10 * time.Millisecond) {
		if yes() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// build builds the commands, and the example that is one, into a folder.
func build(folder, race string) error {
	cmd := exec.Command("go", "build", race, "-o", folder, "./rpipe", "./rpiped", "../examples/count")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %v\n%s", cmd, err, out)
	}
	return nil
}

// TestScripts runs testdata/script: what users see of the built commands. Each
// has a home of its own, with these commands besides testscript's:
//
//	status N COMMAND...   runs COMMAND, which must exit with N, or one of N,N...
//	daemon NAME [FLAG...] starts rpiped on a free port, as README says: with
//	                      NAME/rpiped.toml, or with --any where there is none; the
//	                      user's key is made, let in, and the host trusted as NAME
//	strike NAME SIGNAL    sends a signal to a daemon
//	ended NAME [STATUS]   waits for a daemon that was told to end
//	log NAME REGEXP       waits for a line of the daemon's log
//	process FILE          fails if the process whose number is in FILE is alive
//	serve NAME SERVER [unix] [FLAG...] PROGRAM...
//	                      puts a program behind one of inetds, on a free port, or on
//	                      a socket; $NAME is its address; only rpiped takes flags
//	peer NAME BEHAVIOUR N starts a server that does what behaviours say
//	saw NAME REGEXP       waits for what a peer says of a call
//	closed NAME           makes $NAME an address where nothing listens
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               setupScript,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":  cmdStatus,
			"daemon":  cmdDaemon,
			"strike":  cmdStrike,
			"ended":   cmdEnded,
			"log":     cmdLog,
			"process": cmdProcess,
			"serve":   cmdServe,
			"peer":    cmdPeer,
			"saw":     cmdSaw,
			"closed":  cmdClosed,
		},
	})
}

// condition knows [tool:NAME]: whether a program can be run; [superuser]; and [ipv6]:
// whether ::1 is this machine's. With RPIPE_TEST_ALL set everything must be there, so
// that nothing is skipped.
func condition(cond string) (bool, error) {
	switch cond {
	case "superuser":
		return os.Getuid() == 0 || os.Getenv("RPIPE_TEST_ALL") == "1", nil
	case "ipv6":
		ln, err := net.Listen("tcp", "[::1]:0")
		if err == nil {
			ln.Close()
		}
		return err == nil || os.Getenv("RPIPE_TEST_ALL") == "1", nil
	}
	name, ok := strings.CutPrefix(cond, "tool:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	if os.Getenv("RPIPE_TEST_ALL") == "1" {
		return true, nil
	}
	_, err := exec.LookPath(name)
	return err == nil, nil
}

// daemonsKey is under which a script's daemons are kept.
type daemonsKey struct{}

// daemon is a running rpiped.
type daemon struct {
	cmd     *exec.Cmd
	address string
	exited  chan struct{} // closed when the log is at its end and the process reaped

	mu  sync.Mutex
	log []string
	new *sync.Cond // a line of log, or the end
	end bool
}

func setupScript(env *testscript.Env) error {
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_CONFIG_HOME", "")
	env.Setenv("SSH_AUTH_SOCK", "")
	env.Setenv("GORACE", os.Getenv("GORACE"))
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	examples, err := filepath.Abs("../examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	env.Values[daemonsKey{}] = make(map[string]*daemon)
	env.Values[peersKey{}] = make(map[string]*peer)
	// Key files must be in folders that nobody else can write.
	for _, dir := range []string{env.WorkDir, filepath.Join(env.WorkDir, "home")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if !slices.Contains(strings.Split(args[0], ","), strconv.Itoa(got)) {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
}

func daemons(ts *testscript.TestScript) map[string]*daemon {
	return ts.Value(daemonsKey{}).(map[string]*daemon)
}

var listening = regexp.MustCompile(`msg=listening address=(\S+) key=(\S+)`)

func cmdDaemon(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon NAME [FLAG...]")
	}
	name, flags := args[0], args[1:]
	folder := ts.MkAbs(name)
	config := filepath.Join(folder, "rpiped.toml")
	ts.Check(os.MkdirAll(folder, 0o700))
	ts.Check(os.Chmod(folder, 0o700))
	if info, err := os.Stat(config); err != nil || info.Size() == 0 {
		ts.Check(os.WriteFile(config, nil, 0o600))
		flags = append(flags, "--any")
	}
	if _, err := os.Stat(filepath.Join(folder, "host_key")); err != nil {
		ts.Check(ts.Exec("rpiped", "keygen", "--config", config))
	}
	home := filepath.Join(ts.Getenv("HOME"), ".config", "rpipe")
	if _, err := os.Stat(filepath.Join(home, "identity")); err != nil {
		ts.Check(ts.Exec("rpipe", "--keygen"))
	}
	authorized := filepath.Join(folder, "authorized_keys")
	if _, err := os.Stat(authorized); err != nil {
		public, err := os.ReadFile(filepath.Join(home, "identity.pub"))
		ts.Check(err)
		ts.Check(os.WriteFile(authorized, public, 0o600))
	}
	d := startDaemon(ts, append([]string{"--config", config, "--listen", "127.0.0.1:0"}, flags...))
	daemons(ts)[name] = d
	line := d.await(listening)
	if line == nil {
		ts.Fatalf("rpiped ended before it listened:\n%s", strings.Join(d.log, "\n"))
	}
	d.address = line[1]
	var hosts strings.Builder
	for name, d := range daemons(ts) {
		fmt.Fprintf(&hosts, "[hosts.%s]\naddress = %q\n", name, d.address)
	}
	ts.Check(os.WriteFile(filepath.Join(home, "config.toml"), []byte(hosts.String()), 0o600))
	ts.Check(ts.Exec("rpipe", "--trust", name, line[2]))
	_, port, _ := strings.Cut(line[1], ":")
	ts.Setenv(strings.ToUpper(name)+"_PORT", port)
}

func startDaemon(ts *testscript.TestScript, args []string) *daemon {
	cmd := exec.Command(filepath.Join(bin, "rpiped"), args...)
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "TMPDIR="+ts.Getenv("TMPDIR"))
	cmd.Dir = ts.Getenv("WORK")
	d, err := runDaemon(cmd)
	ts.Check(err)
	ts.Defer(func() {
		d.kill()
		ts.Logf("log of rpiped:\n%s", strings.Join(d.log, "\n"))
	})
	return d
}

// runDaemon starts a daemon and reads its log. kill must follow.
func runDaemon(cmd *exec.Cmd) (*daemon, error) {
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, exited: make(chan struct{})}
	d.new = sync.NewCond(&d.mu)
	go func() {
		defer close(d.exited)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.mu.Lock()
			d.log = append(d.log, lines.Text())
			d.mu.Unlock()
			d.new.Broadcast()
		}
		_ = cmd.Wait()
		d.mu.Lock()
		d.end = true
		d.mu.Unlock()
		d.new.Broadcast()
	}()
	return d, nil
}

// kill ends the daemon, if it has not ended, and returns when it has.
func (d *daemon) kill() {
	_ = d.cmd.Process.Signal(syscall.SIGCONT)
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// await waits for a line of the log, and returns its submatches, or nil when the
// daemon has ended without it.
func (d *daemon) await(line *regexp.Regexp) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 0; ; {
		for ; i < len(d.log); i++ {
			if m := line.FindStringSubmatch(d.log[i]); m != nil {
				return m
			}
		}
		if d.end {
			return nil
		}
		d.new.Wait()
	}
}

func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: log NAME REGEXP")
	}
	d := daemons(ts)[args[0]]
	if d.await(regexp.MustCompile(args[1])) == nil {
		ts.Fatalf("no line of the log matches %q", args[1])
	}
}

func cmdStrike(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}
	if neg || len(args) != 2 || signals[args[1]] == 0 {
		ts.Fatalf("usage: strike NAME KILL|TERM|HUP|STOP|CONT")
	}
	ts.Check(daemons(ts)[args[0]].cmd.Process.Signal(signals[args[1]]))
}

func cmdEnded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: ended NAME [STATUS]")
	}
	d := daemons(ts)[args[0]]
	<-d.exited
	if got := strconv.Itoa(d.cmd.ProcessState.ExitCode()); len(args) > 1 && got != args[1] {
		ts.Fatalf("rpiped exited with %s, want %s", got, args[1])
	}
}

func cmdProcess(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: process FILE")
	}
	pid := strings.TrimSpace(ts.ReadFile(args[0]))
	state, err := os.ReadFile("/proc/" + pid + "/stat")
	if err == nil && !strings.Contains(string(state), ") Z ") {
		ts.Fatalf("process %s is alive: %s", pid, state)
	}
}
