//go:build linux

package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRpipeAndAServiceSendGigabytesBothWaysAtOnce has rpipe call cat behind rpiped serve-one, and looks
// at the sum, and at the peak of memory of both. -gigabytes 4 is the whole of it.
func TestRpipeAndAServiceSendGigabytesBothWaysAtOnce(t *testing.T) {
	size := int64(*gigabytes * (1 << 30))
	for _, stdio := range []string{"pipe", "socket"} {
		s := serveOne(t, "--stdio", stdio, "--", "cat")
		sum := sha256.New()
		source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{}), size), sum)
		client := exec.Command(filepath.Join(bin, "rpipe"), "@"+s.addresses[0]+" | sha256sum")
		in, err := client.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		client.Stdout, client.Stderr = &out, &errOut
		begun := time.Now()
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{in}, source, make([]byte, 64<<10)); err != nil {
			t.Error(err)
		}
		peaks := []int{peakMemory(t, client.Process.Pid), peakMemory(t, s.cmd.Process.Pid)}
		in.Close()
		if err := client.Wait(); err != nil {
			t.Fatalf("%s: %v\n%s", stdio, err, &errOut)
		}
		t.Logf("%s: %d bytes both ways in %v; peak KiB of rpipe, rpiped: %v", stdio, size, time.Since(begun).Round(10*time.Millisecond), peaks)
		if got, _, _ := strings.Cut(out.String(), " "); got != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("%s: %d bytes came back as other bytes", stdio, size)
		}
		for _, p := range peaks {
			if p > memoryLimit && raceFlag != "-race" { // which takes memory of its own
				t.Errorf("%s: a process took %d KiB, more than %d", stdio, p, memoryLimit)
			}
		}
	}
}

// TestTwoSocatsStopWhereRpipeGoesOn is why a service is no job for two socats: with blocks larger than
// what a descriptor that poll(2) calls writable takes at once, each is blocked in its write, and so reads
// nothing of what the other writes. With socat's own 8 KiB they go on.
func TestTwoSocatsStopWhereRpipeGoesOn(t *testing.T) {
	if _, err := exec.LookPath("socat"); err != nil {
		missingTool(t, "socat")
	}
	const (
		size  = 1 << 30
		still = 5 * time.Second // without a byte
		tries = 4
	)
	for range tries {
		if n := throughSocats(t, size, still, "-b", "262144", "-t", "60"); n < size {
			t.Logf("two socats stand still after %d bytes", n)
			return
		}
	}
	t.Errorf("two socats have sent %d bytes both ways at once, %d times: docs/services.md says that they stop", size, tries)
}

// throughSocats sends zeros through a socat to cat behind another one, until size bytes have come
// back or none comes for so long, and returns how many have come.
func throughSocats(t *testing.T, size int64, still time.Duration, flags ...string) int64 {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	_, port, _ := strings.Cut(address, ":")
	server := exec.Command("socat", append(flags, "TCP-LISTEN:"+port+",bind=127.0.0.1,reuseaddr", "EXEC:cat")...)
	client := exec.Command("socat", append(flags, "-", "TCP:"+address)...)
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, socat := range []*exec.Cmd{server, client} {
		if err := socat.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = socat.Process.Kill()
			_ = socat.Wait()
		}()
		if socat == server && !eventually(patience, func() bool { return isListening("tcp", address) }) {
			t.Fatal("socat does not listen")
		}
	}
	sent := make(chan struct{})
	go func() { // until the client is killed
		defer close(sent)
		block := make([]byte, 64<<10)
		for {
			if _, err := in.Write(block); err != nil {
				return
			}
		}
	}()
	timer := time.AfterFunc(still, func() { _ = client.Process.Kill() })
	defer timer.Stop()
	block := make([]byte, 256<<10)
	var total int64
	for total < size {
		n, err := out.Read(block)
		total += int64(n)
		if err != nil {
			break
		}
		timer.Reset(still)
	}
	_ = client.Process.Kill()
	<-sent
	return total
}
