//go:build linux

package cmd_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var gigabytes = flag.Float64("gigabytes", 0.25, "how much tests of memory send")

// memoryLimit is the most that rpipe and each rpiped may take, in KiB.
const memoryLimit = 64 << 10

// TestMemoryStaysBounded sends random bytes through two daemons, and looks at the
// sum, and at the peak of resident memory of each process. -gigabytes 4 is the
// whole of it.
func TestMemoryStaysBounded(t *testing.T) {
	home, bin := t.TempDir(), bin
	if raceFlag == "-race" { // the race detector takes memory of its own
		bin = t.TempDir()
		if err := build(bin, "-race=false"); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=")
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Env = env
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		return string(out)
	}
	line := run("rpipe", "--keygen")
	var config strings.Builder
	var daemons []*exec.Cmd
	for _, name := range []string{"a", "b"} {
		folder := filepath.Join(home, name)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "rpiped.toml")
		text := "listen = [\"127.0.0.1:0\"]\n[programs.cat]\nrun = [\"cat\"]\n"
		for file, text := range map[string]string{file: text, filepath.Join(folder, "authorized_keys"): line} {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run("rpiped", "keygen", "--config", file)
		daemon := exec.Command(filepath.Join(bin, "rpiped"), "--config", file)
		stderr, err := daemon.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := daemon.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			daemon.Process.Kill()
			daemon.Wait()
		})
		log := bufio.NewReader(stderr)
		first, err := log.ReadString('\n')
		m := listening.FindStringSubmatch(first)
		if err != nil || m == nil {
			t.Fatalf("%q, %v", first, err)
		}
		go io.Copy(io.Discard, log)
		fmt.Fprintf(&config, "[hosts.%s]\naddress = %q\n", name, m[1])
		if err := os.WriteFile(filepath.Join(home, ".config/rpipe/config.toml"), []byte(config.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		run("rpipe", "--trust", name, m[2])
		daemons = append(daemons, daemon)
	}

	size := int64(*gigabytes * (1 << 30))
	sum := sha256.New()
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum)
	client := exec.Command(filepath.Join(bin, "rpipe"), "@a:cat | @b:cat | sha256sum")
	client.Env = env
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	client.Stdout, client.Stderr = &out, &errOut
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{in}, source, make([]byte, 64<<10)); err != nil {
		t.Error(err)
	}
	peak := peakMemory(t, client.Process.Pid)
	in.Close()
	if err := client.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	if got := strings.Fields(out.String())[0]; got != hex.EncodeToString(sum.Sum(nil)) {
		t.Errorf("%d bytes arrived as other bytes", size)
	}
	peaks := []int{peak}
	for _, d := range daemons {
		peaks = append(peaks, peakMemory(t, d.Process.Pid))
	}
	t.Logf("%d bytes; peak KiB of rpipe, a, b: %v", size, peaks)
	for _, p := range peaks {
		if p > memoryLimit {
			t.Errorf("a process took %d KiB, more than %d", p, memoryLimit)
		}
	}
}

// peakMemory returns VmHWM of a process in KiB (proc_pid_status(5)).
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
