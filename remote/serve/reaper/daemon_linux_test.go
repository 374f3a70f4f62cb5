package reaper_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
)

// within is the time in which nothing may be left of a session that was lost.
const within = 5 * time.Second

// What this executable is besides a test: the value is "daemon", "daemon without
// reapers" or "client ADDRESS SCRIPT".
const roleVariable = "RPIPE_TEST_ROLE"

func TestMain(m *testing.M) {
	if reaper.Asked() {
		os.Exit(reaper.Main())
	}
	switch role := os.Getenv(roleVariable); {
	case strings.HasPrefix(role, "daemon"):
		os.Exit(daemonMain(role == "daemon"))
	case strings.HasPrefix(role, "client "):
		words := strings.SplitN(role, " ", 3)
		os.Exit(clientMain(words[1], words[2]))
	}
	os.Exit(m.Run())
}

// anyone lets every key in, and takes every host for what it says that it is.
type anyone struct{}

func (anyone) Caller(ssh.PublicKey) (string, bool) { return "tester", true }
func (anyone) Check(string, ssh.PublicKey) error   { return nil }

// daemonMain serves until its stdin ends, and says where on stdout.
func daemonMain(reapers bool) int {
	key, err := identity.Generate()
	if err != nil {
		return 1
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 1
	}
	s := &serve.Server{Key: key, Callers: anyone{}, Programs: serve.AnyProgram{}, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	if reapers {
		s.Reapers = reaper.NewPool(reaper.Options{Alone: true})
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	fmt.Println(ln.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Close()
	<-served
	s.Reapers.Close()
	return 0
}

// clientMain runs a script with an input that does not end.
func clientMain(address, script string) int {
	key, err := identity.Generate()
	if err != nil {
		return 1
	}
	c := remote.Command(context.Background(), address, "sh", "-c", script)
	c.Dialer = &remote.Dialer{Key: key, Hosts: anyone{}}
	c.Stdin, c.Stdout = lines{}, os.Stdout
	_ = c.Run()
	return 0
}

// lines is input without an end.
type lines struct{}

func (lines) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p) / 2 * 2, nil
}

// process is a role that this executable plays.
type process struct {
	*exec.Cmd
	first string // line of its output
	stdin io.Closer
}

// play starts a role, which is killed with the test if it runs then.
func play(t *testing.T, role string, adjust ...func(*exec.Cmd)) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	for _, f := range adjust {
		f(cmd)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: cmd, stdin: stdin}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	p.first = strings.TrimSpace(line)
	return p
}

// kill kills the process, if it was not waited for.
func (p *process) kill() {
	if p.ProcessState == nil {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
}

// end lets a daemon end by itself.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.stdin.Close()
	if err := p.Wait(); err != nil {
		t.Errorf("daemon: %v", err)
	}
}

// caller calls a daemon.
type caller struct {
	dialer  *remote.Dialer
	address string
}

func call(t *testing.T, address string) *caller {
	t.Helper()
	key, err := identity.Generate()
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{&remote.Dialer{Key: key, Hosts: anyone{}}, address}
	t.Cleanup(func() {
		c.dialer.Close()
		key.Close()
	})
	return c
}

func (c *caller) command(t *testing.T, script string, args ...string) *remote.Cmd {
	t.Helper()
	cmd := remote.Command(t.Context(), c.address, "sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Dialer = c.dialer
	return cmd
}

// output runs a script.
func (c *caller) output(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	cmd := c.command(t, script, args...)
	cmd.Stdout = &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// number is what a program has printed: mostly a process.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// firstLine is a writer that hands over the first line, and discards the rest.
type firstLine struct {
	line chan string
	seen []byte
	done bool
}

func newFirstLine() *firstLine { return &firstLine{line: make(chan string, 1)} }

func (f *firstLine) Write(p []byte) (int, error) {
	if !f.done {
		f.seen = append(f.seen, p...)
		if line, _, found := strings.Cut(string(f.seen), "\n"); found {
			f.line <- line
			f.done = true
		}
	}
	return len(p), nil
}

// alive returns the processes, without zombies, whose arguments hold the mark.
func alive(mark string) []string {
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && strings.Contains(string(b), mark) {
			found = append(found, filepath.Base(filepath.Dir(file))+": "+strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

// exists reports whether a process is there, and no zombie that its new parent has
// not waited for.
func exists(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// eventually waits until ok, for as long as nothing may be left.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("%s: not after %v", what, within)
			return
		}
	}
}

// nothingLeft fails if processes with the mark outlive the bound.
func nothingLeft(t *testing.T, mark string) {
	t.Helper()
	var left []string
	eventually(t, "processes are gone", func() bool {
		left = alive(mark)
		return len(left) == 0
	})
	if len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// childrenOf returns the children of a process with their state and name.
func childrenOf(t *testing.T, pid int) (found []string) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		head, tail, _ := strings.Cut(string(b), ") ")
		if fields := strings.Fields(tail); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			_, name, _ := strings.Cut(head, "(")
			found = append(found, fields[0]+" "+name)
		}
	}
	slices.Sort(found)
	return found
}

// runaways writes programs that try to outlive their session to a folder, by name.
// Each takes the folder as its argument and makes the file "up" there when it has
// got away. The folder's name is the mark of their processes.
func runaways(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	scripts := map[string]string{}
	for name, text := range map[string]string{
		"double fork": `case $2 in
			"") setsid "$0" "$1" 1 & exit;;
			1) "$0" "$1" 2 & exit;;
			esac
			echo $$ >"$1/up"; while :; do sleep 1; done`,
		"stopped": `case $2 in
			"") setsid "$0" "$1" 1 & exit;;
			esac
			trap "" TERM INT HUP; (sleep 0.02; echo >"$1/up") & kill -STOP $$; while :; do sleep 1; done`,
		"group of its own": `case $2 in
			"") set -m; "$0" "$1" 1 & exit;;
			esac
			echo $$ >"$1/up"; while :; do sleep 1; done`,
		"always a new process": `echo >"$1/up"; setsid "$0" "$1" & exit`,
		"a long line of daemons": `n=${2:-0}; [ $n = 50 ] && echo >"$1/up"
			[ $n -lt 50 ] && setsid "$0" "$1" $((n+1)) &
			while :; do sleep 1; done`,
		"many": `case $2 in
			"") i=0; while [ $i -lt 60 ]; do setsid "$0" "$1" 1 & i=$((i+1)); done; echo >"$1/up"; exit;;
			esac
			while :; do sleep 1; done`,
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		scripts[name] = file
	}
	return scripts
}

// runAway is a script that starts one of them, $1, with the folder $2, and goes on
// when that is up.
const runAway = `"$1" "$2" </dev/null >/dev/null 2>&1 & while [ ! -e "$2/up" ]; do sleep 0.01; done; `
