//go:build linux

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
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

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/serve/reaper"
)

// A site is a user and hosts, in one folder: whatever runs there has the folder in
// its arguments, its environment or as its working directory, or is the child of
// something that has.
type site struct {
	t     *testing.T
	dir   string
	key   *identity.Key
	via   []string // what rpipe is run with, as in "ip netns exec NAME"
	hosts []*host

	addresses, known strings.Builder // of config.toml and known_hosts
}

// newSite makes a user. What still runs at the end of the test is killed then.
func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "site-")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, key: newKey(t)}
	for _, folder := range []string{s.home(), filepath.Join(dir, "tmp")} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.check(s.key.WriteFile(filepath.Join(s.home(), "identity"), "me"))
	t.Cleanup(func() {
		for _, h := range s.hosts {
			h.kill()
		}
		for _, p := range s.processes() {
			_ = syscall.Kill(p.id, syscall.SIGKILL)
		}
	})
	return s
}

func newKey(t *testing.T) *identity.Key {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicLine is a key as files hold it, without a comment.
func publicLine(key *identity.Key) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
}

func (s *site) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// home is the folder of rpipe's configuration.
func (s *site) home() string { return filepath.Join(s.dir, "home", ".config", "rpipe") }

// environ is the environment of all that is run.
func (s *site) environ(home, tmp string) []string {
	return append(os.Environ(), "HOME="+home, "TMPDIR="+tmp, "XDG_CONFIG_HOME=", "SSH_AUTH_SOCK=")
}

// A host is a daemon of a site. It listens at no fixed port.
type host struct {
	*daemon // nil before start
	site    *site
	name    string
	dir     string
	key     *identity.Key
	via     []string // what rpiped is run with
	listen  string   // where; 127.0.0.1:0 if empty
}

// addHost makes a host, which lets the user in. It does not run yet.
func (s *site) addHost(name string) *host {
	s.t.Helper()
	h := &host{site: s, name: name, dir: filepath.Join(s.dir, name), key: newKey(s.t)}
	s.check(os.MkdirAll(filepath.Join(h.dir, "tmp"), 0o700))
	s.check(h.key.WriteFile(filepath.Join(h.dir, "host_key"), name))
	line := publicLine(s.key) + " me\n"
	s.check(os.WriteFile(filepath.Join(h.dir, "authorized_keys"), []byte(line), 0o600))
	return h
}

// start runs the daemon, with flags, and returns when it listens.
func (h *host) start(config string, flags ...string) {
	h.site.t.Helper()
	file := filepath.Join(h.dir, "rpiped.toml")
	h.site.check(os.WriteFile(file, []byte(config), 0o600))
	listen := h.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	words := append(slices.Clone(h.via), filepath.Join(bin, "rpiped"), "--config", file, "--listen", listen)
	words = append(words, flags...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = h.site.environ(h.dir, filepath.Join(h.dir, "tmp"))
	cmd.Dir = h.dir
	d, err := runDaemon(cmd)
	h.site.check(err)
	h.daemon = d
	h.site.hosts = append(h.site.hosts, h)
	line := d.await(listening)
	if line == nil {
		h.site.t.Fatalf("rpiped ended before it listened:\n%s", strings.Join(d.log, "\n"))
	}
	h.address = line[1]
	// It takes its folder after that line.
	ready := eventually(patience, func() bool {
		folders, _ := filepath.Glob(filepath.Join(h.dir, "tmp", "rpiped-*"))
		return len(folders) > 0
	})
	if !ready {
		h.site.t.Fatal("rpiped has no folder for sessions")
	}
}

// know makes the user know a host, at an address, which may be that of a proxy.
func (s *site) know(h *host, address string) {
	s.t.Helper()
	fmt.Fprintf(&s.addresses, "[hosts.%s]\naddress = %q\n", h.name, address)
	name, port, _ := strings.Cut(address, ":")
	fmt.Fprintf(&s.known, "[%s]:%s %s\n", name, port, publicLine(h.key))
	s.check(os.WriteFile(filepath.Join(s.home(), "config.toml"), []byte(s.addresses.String()), 0o600))
	s.check(os.WriteFile(filepath.Join(s.home(), "known_hosts"), []byte(s.known.String()), 0o600))
}

// A call is a run of rpipe.
type call struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
	done     chan struct{} // closed when it has ended
}

// start starts rpipe, without a terminal and with no input.
func (s *site) start(args ...string) *call {
	s.t.Helper()
	c := s.prepare(args...)
	s.check(c.start())
	return c
}

// prepare is start without the start.
func (s *site) prepare(args ...string) *call {
	words := append(slices.Clone(s.via), filepath.Join(bin, "rpipe"))
	words = append(words, args...)
	c := &call{cmd: exec.Command(words[0], words[1:]...), done: make(chan struct{})}
	c.cmd.Env = s.environ(filepath.Join(s.dir, "home"), filepath.Join(s.dir, "tmp"))
	c.cmd.Dir = s.dir
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	c.cmd.WaitDelay = time.Second // what is left behind may hold them
	return c
}

func (c *call) start() error {
	if err := c.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = c.cmd.Wait() // the status is in ProcessState
		close(c.done)
	}()
	return nil
}

// wait returns the exit status, as a shell tells it. ok is false where rpipe has not
// ended within the bound; it is killed then, and its goroutines are in stderr.
func (c *call) wait(bound time.Duration) (status int, ok bool) {
	limit := time.NewTimer(bound)
	defer limit.Stop()
	ok = true
	select {
	case <-c.done:
	case <-limit.C:
		ok = false
		_ = c.cmd.Process.Signal(syscall.SIGCONT)
		_ = c.cmd.Process.Signal(syscall.SIGQUIT)
		again := time.AfterFunc(5*time.Second, func() { _ = c.cmd.Process.Kill() })
		<-c.done
		again.Stop()
	}
	state := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if state.Signaled() {
		return 128 + int(state.Signal()), ok
	}
	return state.ExitStatus(), ok
}

// run runs rpipe to its end, and returns its outputs and its status.
func (s *site) run(args ...string) (stdout, stderr string, status int) {
	s.t.Helper()
	c := s.start(args...)
	status, ok := c.wait(patience)
	if !ok {
		s.t.Errorf("rpipe %q hangs\n%s", args, &c.err)
	}
	return c.out.String(), c.err.String(), status
}

// proc is a process as proc_pid_stat(5) shows it.
type proc struct {
	id, parent int
	state      string
	text       string // its arguments, or its name
}

func (p proc) String() string {
	return fmt.Sprintf("%d (%s, child of %d) %s", p.id, p.state, p.parent, p.text)
}

// isIdleReaper reports whether p is a reaper that its daemon keeps for a next session:
// how many there are is the daemon's business.
func (p proc) isIdleReaper(busy map[int]bool) bool {
	return p.text == reaper.Name && p.parent > 1 && !busy[p.id]
}

// reaperFiles is how many descriptors a daemon has for a reaper: its socket and its
// pidfd.
const reaperFiles = 2

// reapersOf counts the idle reapers of a process.
func reapersOf(pid int) int {
	children, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	n := 0
	for _, c := range children {
		list, _ := os.ReadFile(c)
		for _, id := range strings.Fields(string(list)) {
			args, _ := os.ReadFile(filepath.Join("/proc", id, "cmdline"))
			if strings.TrimRight(string(args), "\x00") == reaper.Name {
				n++
			}
		}
	}
	return n
}

// processes returns those of the site, but for idle reapers.
func (s *site) processes() []proc {
	entries, err := os.ReadDir("/proc")
	s.check(err)
	all := make(map[int]proc)
	ours := make(map[int]bool)
	for _, e := range entries {
		id, err := strconv.Atoi(e.Name())
		if err != nil || id == os.Getpid() {
			continue
		}
		folder := filepath.Join("/proc", e.Name())
		stat, err := os.ReadFile(filepath.Join(folder, "stat"))
		end := bytes.LastIndexByte(stat, ')')
		if err != nil || end < 0 {
			continue
		}
		fields := strings.Fields(string(stat[end+1:]))
		p := proc{id: id, state: fields[0], text: string(stat[:end+1])}
		p.parent, _ = strconv.Atoi(fields[1])
		args, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
		if len(args) > 0 {
			p.text = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
		}
		environ, _ := os.ReadFile(filepath.Join(folder, "environ"))
		cwd, _ := os.Readlink(filepath.Join(folder, "cwd"))
		all[id] = p
		ours[id] = bytes.Contains(args, []byte(s.dir)) || bytes.Contains(environ, []byte(s.dir)) || strings.Contains(cwd, s.dir)
	}
	busy := make(map[int]bool) // those with children
	for _, p := range all {
		busy[p.parent] = true
	}
	var found []proc
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if all[id].isIdleReaper(busy) {
			continue
		}
		for up, n := id, 0; up > 1 && n < len(all); up, n = all[up].parent, n+1 {
			if ours[up] {
				found = append(found, all[id])
				break
			}
		}
	}
	return found
}

// holdings are what a site has while nothing is asked of it.
type holdings struct {
	processes map[int]bool
	files     map[string]int // descriptors of a host's daemon
}

// held returns what is held now.
func (s *site) held() holdings {
	h := holdings{processes: make(map[int]bool), files: make(map[string]int)}
	for _, p := range s.processes() {
		h.processes[p.id] = true
	}
	for _, host := range s.hosts {
		if files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", host.cmd.Process.Pid)); err == nil {
			h.files[host.name] = max(len(files)-reaperFiles*reapersOf(host.cmd.Process.Pid), 1)
		}
	}
	return h
}

// excess says what there is beyond before: processes, descriptors, folders of
// sessions on hosts whose daemon lives.
func (s *site) excess(before holdings) []string {
	var found []string
	for _, p := range s.processes() {
		if !before.processes[p.id] {
			found = append(found, "process "+p.String())
		}
	}
	now := s.held()
	for _, host := range s.hosts {
		if had, has := before.files[host.name], now.files[host.name]; has > had {
			found = append(found, fmt.Sprintf("%d descriptors of %s, which had %d:\n%s", has, host.name, had, descriptors(host.cmd.Process.Pid)))
		}
		if now.files[host.name] == 0 {
			continue // dead: the next daemon removes them
		}
		folders, err := filepath.Glob(filepath.Join(host.dir, "tmp", "rpiped-*", "session-*"))
		s.check(err)
		found = append(found, folders...)
	}
	return found
}

// descriptors lists those of a process.
func descriptors(pid int) string {
	var b strings.Builder
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, l := range links {
		to, _ := os.Readlink(l)
		fmt.Fprintf(&b, "\t%s -> %s\n", filepath.Base(l), to)
	}
	return b.String()
}

// leavesNothing waits until the site holds no more than before.
func (s *site) leavesNothing(before holdings) error {
	var left []string
	if !eventually(patience/2, func() bool { left = s.excess(before); return len(left) == 0 }) {
		return errors.New("left behind: " + strings.Join(left, "\n"))
	}
	return nil
}

// sessions returns how many sessions a host has accepted that are not over.
func (h *host) sessions() int {
	folders, err := filepath.Glob(filepath.Join(h.dir, "tmp", "rpiped-*", "session-*"))
	h.site.check(err)
	return len(folders)
}

// shutDown ends the daemon as an administrator does, and says what is wrong with
// how it ended: it must leave nothing, and no detector may have found a race.
func (h *host) shutDown() error {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	limit := time.AfterFunc(patience, func() { _ = h.cmd.Process.Kill() })
	<-h.exited
	limit.Stop()
	if status := h.cmd.ProcessState.ExitCode(); status != 0 {
		return fmt.Errorf("%s: rpiped ended with %d", h.name, status)
	}
	return h.healthy()
}

// healthy looks for a race or a panic in the log.
func (h *host) healthy() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return healthy(h.name, strings.Join(h.log, "\n"))
}

func healthy(name, log string) error {
	for _, bad := range []string{"WARNING: DATA RACE", "panic: ", "fatal error: "} {
		if strings.Contains(log, bad) {
			return fmt.Errorf("%s:\n%s", name, log)
		}
	}
	return nil
}

// logs returns the ends of the logs of all daemons.
func (s *site) logs() string {
	var b strings.Builder
	for _, h := range s.hosts {
		h.mu.Lock()
		fmt.Fprintf(&b, "log of %s, its end:\n%s\n", h.name, strings.Join(h.log[max(0, len(h.log)-50):], "\n"))
		h.mu.Unlock()
	}
	return b.String()
}

// together runs f for each name as a subtest, so many at the same time. The
// subtests mostly wait, so that their number is not that of the processors.
func together(t *testing.T, atOnce int, names []string, f func(t *testing.T, name string)) {
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for _, name := range names {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			t.Run(name, func(t *testing.T) { f(t, name) })
		})
	}
	all.Wait()
}

// keys returns the names of a table in order.
func keys[V any](table map[string]V) []string { return slices.Sorted(maps.Keys(table)) }

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
