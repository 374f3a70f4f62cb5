package remote_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rpipe/remote"
	"rpipe/remote/serve"
	"rpipe/remote/wire"
)

func TestBytesArriveUnchanged(t *testing.T) {
	h := newHost(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	random := make([]byte, 3<<20)
	rand.Read(random)
	for name, data := range map[string]string{
		"empty":            "",
		"one byte":         "x",
		"no final newline": "a\nb",
		"every byte":       string(every),
		"NUL only":         "\x00\x00",
		"random":           string(random),
		"a line of 100 MB": strings.Repeat("x", 100<<20) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := h.output(t, data, "cat")
			if err != nil {
				t.Fatal(err)
			}
			if got != data {
				t.Fatalf("%d bytes sent, %d other bytes came back", len(data), len(got))
			}
		})
	}
}

func TestArgumentsArriveUnchanged(t *testing.T) {
	h := newHost(t)
	args := []string{"", " ", "a b", "'", `"`, "`id`", "$HOME", "*", "\n", "\xff\xfe", "-n", "--", `\`, "{a,b}", "~", strings.Repeat("y", 100000)}
	got, err := h.output(t, "", "printf", append([]string{`%s\0`}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Join(args, "\x00") + "\x00"; got != want {
		t.Errorf("got %.200q, want %.200q", got, want)
	}
}

func TestManyArgumentsSpanFrames(t *testing.T) {
	h := newHost(t)
	args := make([]string, 30000)
	for i := range args {
		args[i] = fmt.Sprint(i)
	}
	got, err := h.output(t, "", "printf", append([]string{`%s\n`}, args...)...)
	if want := strings.Join(args, "\n") + "\n"; err != nil || got != want {
		t.Errorf("%d bytes and %v, want %d bytes", len(got), err, len(want))
	}
}

func TestArgumentListTooLongForTheHostIs126(t *testing.T) {
	h := newHost(t)
	_, err := h.output(t, "", "true", strings.Repeat("z", 200<<10))
	if exitStatus(err) != 126 {
		t.Errorf("got %v, want status 126", err)
	}
}

func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	var e interface{ ExitStatus() int }
	if errors.As(err, &e) {
		return e.ExitStatus()
	}
	return -1
}

func TestEndOfAProgramIsTold(t *testing.T) {
	h := newHost(t)
	for _, test := range []struct {
		name string
		args []string
		want int
	}{
		{"true", nil, 0},
		{"false", nil, 1},
		{"sh", []string{"-c", "exit 255"}, 255},
		{"sh", []string{"-c", "kill -9 $$"}, 137},
		{"sh", []string{"-c", "kill -TERM $$"}, 143},
		{"no-such-program", nil, 127},
		{"../sh", nil, 127},
	} {
		_, err := h.output(t, "", test.name, test.args...)
		if got := exitStatus(err); got != test.want {
			t.Errorf("%s %q: status %d (%v), want %d", test.name, test.args, got, err, test.want)
		}
	}
}

func TestStderrArrivesApartAndInOrder(t *testing.T) {
	h := newHost(t)
	var out, errOut bytes.Buffer
	c := h.command(t, "sh", "-c", `i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done`)
	c.Stdout, c.Stderr = &out, &errOut
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	var wantOut, wantErr strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&wantOut, "out%d\n", i)
		fmt.Fprintf(&wantErr, "err%d\n", i)
	}
	if out.String() != wantOut.String() || errOut.String() != wantErr.String() {
		t.Errorf("stdout %d bytes, stderr %d bytes, want %d and %d in order", out.Len(), errOut.Len(), wantOut.Len(), wantErr.Len())
	}
}

// beyondBuffers is more than pipes, sockets and windows hold in all.
const beyondBuffers = 48 << 20

func TestNoDeadlock(t *testing.T) {
	h := newHost(t)
	data := make([]byte, beyondBuffers)
	rand.Read(data)
	sum := sha256.Sum256(data)

	t.Run("more data both ways than all buffers, reader starts late", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := h.command(t, "cat")
		read := make(chan struct{})
		c.Stdin = io.MultiReader(bytes.NewReader(data[:8<<20]), funcReader(func(p []byte) (int, error) {
			close(read) // not before 8 MB were taken is anything read
			return 0, io.EOF
		}), bytes.NewReader(data[8<<20:]))
		c.Stdout = w
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-read: // buffers took it all
		case <-time.After(300 * time.Millisecond): // or everything stands still
		}
		hash := sha256.New()
		got := make(chan error, 1)
		go func() {
			_, err := io.Copy(hash, r)
			got <- err
		}()
		err = c.Wait()
		w.Close()
		if e := <-got; err != nil || e != nil {
			t.Fatal(err, e)
		}
		if !bytes.Equal(hash.Sum(nil), sum[:]) {
			t.Error("other bytes came back")
		}
	})
	t.Run("a program that never reads", func(t *testing.T) {
		c := h.command(t, "sh", "-c", "echo hello")
		c.Stdin = bytes.NewReader(data)
		var out bytes.Buffer
		c.Stdout = &out
		if err := c.Run(); err != nil || out.String() != "hello\n" {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
	t.Run("a program that writes first", func(t *testing.T) {
		c := h.command(t, "sh", "-c", "head -c 20000000 /dev/zero; cat")
		c.Stdin = bytes.NewReader(data)
		var n countingWriter
		c.Stdout = &n
		if err := c.Run(); err != nil || int(n) != 20000000+len(data) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Run("stderr that nobody reads is no reason to stop stdout", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c := h.command(t, "sh", "-c", "head -c 200000 /dev/zero >&2 & cat; wait")
		c.Stdin = bytes.NewReader(data)
		c.Stderr = w
		var n countingWriter
		c.Stdout = &n
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		errBytes, copied := int64(0), make(chan struct{})
		go func() {
			defer close(copied)
			errBytes, _ = io.Copy(io.Discard, r)
		}()
		err = <-done
		w.Close()
		<-copied
		if err != nil || int(n) != len(data) || errBytes != 200000 {
			t.Errorf("%d and %d bytes, %v", n, errBytes, err)
		}
	})
}

type funcReader func([]byte) (int, error)

func (f funcReader) Read(p []byte) (int, error) { return f(p) }

type countingWriter int

func (n *countingWriter) Write(p []byte) (int, error) {
	*n += countingWriter(len(p))
	return len(p), nil
}

func TestReaderThatLeavesEndsTheProgram(t *testing.T) {
	h := newHost(t)
	for _, script := range []string{"yes", "sleep 0.1; echo a; trap '' TERM; while :; do sleep 0.05; echo b || exit 3; done"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := h.command(t, "sh", "-c", "exec 2>/dev/null; "+script)
		c.Stdout = w
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if err := c.Wait(); exitStatus(err) != 141 {
			t.Errorf("%s: %v, want SIGPIPE", script, err)
		}
		if !c.ReaderGone() {
			t.Errorf("%s: ReaderGone is false", script)
		}
		w.Close()
	}
}

func TestSIGPIPEOfAProgramWhoseReaderStaysIsToldApart(t *testing.T) {
	h := newHost(t)
	c := h.command(t, "sh", "-c", "echo part; kill -PIPE $$")
	if err := c.Run(); exitStatus(err) != 141 || c.ReaderGone() {
		t.Errorf("%v, ReaderGone %v, want 141 of a program that nobody left", err, c.ReaderGone())
	}
}

func TestInputIsLeftAloneAfterTheProgramEnded(t *testing.T) {
	h := newHost(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	c := h.command(t, "head", "-n", "1")
	c.Stdin = r
	fmt.Fprintln(w, "first")
	if err := c.Run(); err != nil { // although w stays open
		t.Fatal(err)
	}
	fmt.Fprintln(w, "second")
	buf := make([]byte, 64)
	n, err := r.Read(buf)
	if err != nil || string(buf[:n]) != "second\n" {
		t.Errorf("%q, %v, want what was written after the program ended", buf[:n], err)
	}
}

func TestAbortIsNoEndOfInput(t *testing.T) {
	h := newHost(t)
	committed := filepath.Join(t.TempDir(), "committed")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c := h.command(t, "sh", "-c", `echo ready; cat >/dev/null; : > "$1"`, "sh", committed)
	c.Stdin = r
	ready, readyW := io.Pipe()
	c.Stdout = readyW
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w, "half")
	if _, err := ready.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	c.Abort()
	w.Close()
	if err := c.Wait(); exitStatus(err) != 137 {
		t.Errorf("Wait: %v, want killed", err)
	}
	if _, err := os.Stat(committed); err == nil {
		t.Error("the program took half of its input for all of it")
	}
}

type cause syscall.Signal

func (c cause) Error() string          { return "cancelled by the test" }
func (c cause) Signal() syscall.Signal { return syscall.Signal(c) }

func TestCancelSendsTheSignalThenKill(t *testing.T) {
	h := newHost(t)
	for _, test := range []struct{ script, want string }{
		{"trap 'echo got INT; exit 5' INT; echo ready; while :; do sleep 0.01; done", "ready\ngot INT\n"},
		{"trap '' INT TERM; echo ready; while :; do sleep 0.01; done", "ready\n"},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := h.commandContext(ctx, "sh", "-c", test.script)
		c.Grace = 200 * time.Millisecond
		var out strings.Builder
		c.Stdout = funcWriter(func(p []byte) (int, error) {
			out.Write(p)
			cancel(cause(syscall.SIGINT))
			return len(p), nil
		})
		err := c.Run()
		if !errors.Is(err, cause(syscall.SIGINT)) || out.String() != test.want {
			t.Errorf("%q and %v, want %q and the context's cause", out.String(), err, test.want)
		}
	}
}

func TestEndOfInputAfterCancelIsNone(t *testing.T) {
	h := newHost(t)
	committed := filepath.Join(t.TempDir(), "committed")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := h.commandContext(ctx, "sh", "-c", `trap "" TERM; echo ready; cat >/dev/null; : > "$1"`, "sh", committed)
	c.Grace = 200 * time.Millisecond
	ready := make(chan struct{})
	c.Stdout = funcWriter(func(p []byte) (int, error) {
		close(ready)
		return len(p), nil
	})
	c.Stdin = funcReader(func([]byte) (int, error) { // what feeds it is ended by the same cancel
		<-ready
		cancel(cause(syscall.SIGTERM))
		return 0, io.EOF
	})
	if err := c.Run(); !errors.Is(err, cause(syscall.SIGTERM)) {
		t.Errorf("%v, want the context's cause", err)
	}
	if _, err := os.Stat(committed); err == nil {
		t.Error("the program took a cancelled input for all of it")
	}
}

type funcWriter func([]byte) (int, error)

func (f funcWriter) Write(p []byte) (int, error) { return f(p) }

func TestConnectionIsUsedAgain(t *testing.T) {
	h := newHost(t)
	for i := range 20 {
		if _, err := h.output(t, strings.Repeat("x", i*1000), "true"); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.accepted.Load(); n != 1 {
		t.Errorf("%d connections for 20 sessions one after another, want 1", n)
	}
}

func TestIdleConnectionThatTheDaemonClosedIsReplaced(t *testing.T) {
	h := newHost(t)
	if _, err := h.output(t, "", "true"); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if _, err := h.output(t, "", "true"); exitStatus(err) != 69 {
		t.Errorf("%v, want 69 from a daemon that has gone", err)
	}
}

func TestUnauthorisedCallerIsTold(t *testing.T) {
	h := newHost(t)
	stranger := generate(t)
	d := &remote.Dialer{Key: stranger, Hosts: h.dialer.Hosts}
	defer d.Close()
	c := h.command(t, "true")
	c.Dialer = d
	err := c.Run()
	var refused *remote.RefusedError
	if !errors.As(err, &refused) || refused.ExitStatus() != 77 || !strings.Contains(refused.Text, stranger.Fingerprint()) {
		t.Errorf("%v, want 77 with the fingerprint", err)
	}
}

func TestUnknownAndChangedHostKeysAreRefused(t *testing.T) {
	h := newHost(t)
	other := generate(t)
	for name, address := range map[string]string{"unknown": "127.0.0.1:1", "changed": h.address} {
		d := &remote.Dialer{Key: h.dialer.Key, Hosts: trust(t, address, other)}
		c := h.command(t, "true")
		c.Dialer = d
		if err := c.Run(); exitStatus(err) != 77 {
			t.Errorf("%s: %v, want 77", name, err)
		}
		d.Close()
	}
}

func TestFullHostIsBusy(t *testing.T) {
	h := newHost(t, func(s *serve.Server) { s.MaxSessions = 1 })
	h.dialer.ConnectTimeout = time.Second
	first := h.command(t, "cat")
	if err := first.Open(); err != nil {
		t.Fatal(err)
	}
	_, err := h.output(t, "", "true")
	var refused *remote.RefusedError
	if !errors.As(err, &refused) || refused.Status != wire.StatusBusy {
		t.Errorf("%v, want busy", err)
	}
	if err := first.Run(); err != nil {
		t.Error(err)
	}
	if _, err := h.output(t, "", "true"); err != nil {
		t.Errorf("after the first ended: %v", err)
	}
}

func TestOpenRunsNothingAndTakesNothing(t *testing.T) {
	h := newHost(t)
	ran := filepath.Join(t.TempDir(), "ran")
	in := strings.NewReader("input")
	c := h.command(t, "touch", ran)
	c.Stdin = in
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	h.Server.Close() // has no session left, or waits for it
	if _, err := os.Stat(ran); err == nil || in.Len() != 5 {
		t.Error("Open ran the program or took its input")
	}
}

func TestShutdownWaitsForSessionsAndRefusesNewOnes(t *testing.T) {
	h := newHost(t)
	r, w := io.Pipe()
	c := h.command(t, "cat")
	c.Stdin = r
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	idle := h.command(t, "cat")
	if err := idle.Open(); err != nil {
		t.Fatal(err)
	}
	idle.Close()
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(context.Background()) }()
	for { // until it listens no more
		_, err := h.output(t, "", "true")
		if exitStatus(err) == 69 {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	io.WriteString(w, "the session goes on")
	w.Close()
	if err := c.Wait(); err != nil || out.String() != "the session goes on" {
		t.Errorf("%q, %v", out.String(), err)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestFusedProgramsAreJoinedThere(t *testing.T) {
	h := newHost(t)
	c := h.command(t, "sort")
	c.Programs = []remote.Program{
		{Name: "sort"}, {Name: "uniq", Args: []string{"-c"}}, {Name: "sh", Args: []string{"-c", "cat; exit 4"}}, {Name: "sort", Args: []string{"-rn"}},
	}
	c.Stdin = strings.NewReader("b\na\nb\n")
	var out strings.Builder
	c.Stdout = &out
	err := c.Run()
	if got, want := strings.Join(strings.Fields(out.String()), " "), "2 b 1 a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var exit *remote.ExitError
	if !errors.As(err, &exit) || exit.Program != 2 || exit.Status != 4 {
		t.Errorf("%v, want the third program's status", err)
	}
	if n := len(c.Results()); n != 4 {
		t.Errorf("%d results", n)
	}
}

func TestBackgroundProcessesDoNotOutliveTheSession(t *testing.T) {
	h := newHost(t)
	out, err := h.output(t, "", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	fmt.Sscan(out, &pid)
	for range 400 { // a killed orphan is a zombie until init has seen it
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

func TestListHasProgramsAndSummaries(t *testing.T) {
	h := newHost(t, func(s *serve.Server) {
		s.Programs = serve.NewTable(map[string]*serve.Program{
			"upper": {Name: "upper", Run: []string{"/usr/bin/tr", "a-z", "A-Z"}, Summary: "upper case"},
			"other": {Name: "other", Run: []string{"/bin/true"}, Allow: []string{"somebody else"}},
		})
	})
	list, err := h.dialer.List(t.Context(), "127.0.0.1", port(t, h.address))
	if err != nil || len(list) != 1 || list[0] != (wire.Listing{Name: "upper", Summary: "upper case"}) {
		t.Errorf("%v, %v", list, err)
	}
}

func port(t *testing.T, address string) int {
	var n int
	if _, err := fmt.Sscanf(address, "127.0.0.1:%d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSlowReaderOfStderrGetsAllOfIt(t *testing.T) {
	h := newHost(t)
	// More than the window, less than window and pipe: the program is gone while
	// its last bytes wait for credit.
	const size = 300000
	c := h.command(t, "sh", "-c", fmt.Sprintf("head -c %d /dev/zero >&2", size))
	var n countingWriter
	stall := time.After(1500 * time.Millisecond) // longer than the daemon's patience with silence
	c.Stderr = funcWriter(func(p []byte) (int, error) {
		if n == 0 {
			<-stall
		}
		return n.Write(p)
	})
	if err := c.Run(); err != nil || n != size {
		t.Errorf("%d bytes of stderr and %v, want %d", n, err, size)
	}
}

func TestDrainDoesNotCutTheLastAnswer(t *testing.T) {
	for range 20 {
		h := newHost(t)
		const size = 3000000
		c := h.command(t, "head", "-c", fmt.Sprint(size), "/dev/zero")
		c.Stdin = zeros{} // so that data is on its way to a daemon that wants none
		var n countingWriter
		down := make(chan error, 1)
		c.Stdout = funcWriter(func(p []byte) (int, error) {
			if n == 0 {
				go func() { down <- h.Shutdown(context.Background()) }()
			}
			return n.Write(p)
		})
		if err := c.Run(); err != nil || n != size {
			t.Fatalf("%d bytes and %v, want %d", n, err, size)
		}
		if err := <-down; err != nil {
			t.Fatal(err)
		}
	}
}
