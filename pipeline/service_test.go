package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-multierror"

	"rpipe/pipeline"
	"rpipe/remote"
)

// serveTCP is a service on a port of 127.0.0.1 until the test ends. It returns its
// address, and counts its calls.
func serveTCP(t *testing.T, serve func(conn *net.TCPConn)) (address string, calls *atomic.Int32) {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	calls = new(atomic.Int32)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			calls.Add(1)
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		running.Wait()
	})
	return ln.Addr().String(), calls
}

// upperService answers in upper case, as it reads.
func upperService(conn *net.TCPConn) {
	all, err := io.ReadAll(conn)
	if err != nil {
		_ = conn.SetLinger(0)
		return
	}
	_, _ = conn.Write(bytes.ToUpper(all))
}

// resetService answers with a part, and resets.
func resetService(conn *net.TCPConn) {
	_, _ = io.WriteString(conn, "part\n")
	_, _ = conn.Read(make([]byte, 1))
	_ = conn.SetLinger(0)
}

// withDialer lets a script call services.
func withDialer(t *testing.T) func(*pipeline.Options) {
	d := &remote.Dialer{}
	t.Cleanup(func() { d.Close() })
	return func(o *pipeline.Options) { o.Dialer = d }
}

func TestAServiceIsAStage(t *testing.T) {
	up, _ := serveTCP(t, upperService)
	for _, c := range []struct{ script, want string }{
		{`echo a | @%[1]s`, "A\n"},
		{`echo a | @%[1]s | tr A B | @%[1]s | cat`, "B\n"},
		{`s=@%[1]s; echo a | $s; echo b | "$s"; for x in 1 2; do echo c | $s; done`, "A\nB\nC\nC\n"},
		{`f() { @%[1]s; }; echo a | f | cat; x=$(f <<< b); echo $x`, "A\nB\n"},
		{`echo a | @%[1]s >out & wait; cat out; cat <(echo b | @%[1]s)`, "A\nB\n"},
		{`echo a | @%[1]s | false; echo ${PIPESTATUS[@]}; @%[1]s </dev/null; echo $?`, "0 141 1\n0\n"},
		{`if echo a | @%[1]s | grep -q A; then echo yes; fi; eval 'echo b | @%[1]s | cat'`, "yes\nB\n"},
	} {
		script := fmt.Sprintf(c.script, up)
		got, stderr, _ := runHere(t, script, withDialer(t))
		if got.stdout != c.want || got.status != 0 || stderr != "" {
			t.Errorf("%s\n%q, want %q, status %d\n%s", script, got.stdout, c.want, got.status, stderr)
		}
	}
}

func TestAServiceIsReportedAsEOF(t *testing.T) {
	up, _ := serveTCP(t, upperService)
	var reports []pipeline.StageReport
	_, _, err := runHere(t, "echo abc | @"+up, withDialer(t), func(o *pipeline.Options) {
		o.StageDone = func(r pipeline.StageReport) { reports = append(reports, r) }
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if r.Stage == 2 {
			want := pipeline.ServiceReport{Address: "@" + up, EOF: true, In: 4, Out: 4}
			if r.Service == nil || *r.Service != want || r.Status != 0 {
				t.Errorf("%+v, want %+v", r.Service, want)
			}
			return
		}
	}
	t.Error("no report")
}

func TestAServiceIsCalledWhenEveryHostHasAccepted(t *testing.T) {
	h := newHosts(t, "a")
	up, calls := serveTCP(t, upperService)
	dir, here := inDir(t)
	got, _, _ := runHere(t, `touch ran | @a:nosuch-zz | @`+up+`; echo ${PIPESTATUS[@]}`, h.use, here)
	if got.stdout != "127 127 127\n" || exists(dir, "ran") || calls.Load() != 0 {
		t.Errorf("%q, ran %v, %d calls", got.stdout, exists(dir, "ran"), calls.Load())
	}
	got, stderr, _ := runHere(t, `echo a | @a:cat | @`+up+` | @a:cat`, h.use, here)
	if got.stdout != "A\n" || calls.Load() != 1 {
		t.Errorf("%q, %d calls\n%s", got.stdout, calls.Load(), stderr)
	}
}

func TestAServiceThatIsConnectedIsResetWhenAnotherIsRefused(t *testing.T) {
	ended := make(chan error, 1)
	up, _ := serveTCP(t, func(conn *net.TCPConn) {
		_, err := io.ReadAll(conn)
		ended <- err
	})
	dir, here := inDir(t)
	got, stderr, _ := runHere(t, `touch ran | @`+up+` | @127.0.0.1:1 | @127.0.0.1:2`, withDialer(t), here)
	if got.status != 69 || exists(dir, "ran") || strings.Count(stderr, "connection refused") != 2 {
		t.Errorf("status %d, ran %v\n%s", got.status, exists(dir, "ran"), stderr)
	}
	if err := <-ended; err == nil {
		t.Error("the service saw an end of its input")
	}
}

func TestALostServicePoisonsWhatComesAfterIt(t *testing.T) {
	reset, _ := serveTCP(t, resetService)
	dir, here := inDir(t)
	for _, script := range []string{
		`echo x | @%s | sh -c 'cat >/dev/null; touch ran'; echo ${PIPESTATUS[@]}`,
		`f() { @%s; }; echo x | f | { cat >/dev/null; touch ran; }; echo ${PIPESTATUS[@]}`,
		`echo x | { @%s; true; } | sh -c 'cat >/dev/null; touch ran'; echo ${PIPESTATUS[@]}`,
	} {
		got, stderr, err := runHere(t, fmt.Sprintf(script, reset), withDialer(t), here)
		if got.stdout != "0 76 137\n" || got.status != 76 || exists(dir, "ran") {
			t.Errorf("%s\n%q, status %d, ran %v\n%s", script, got.stdout, got.status, exists(dir, "ran"), stderr)
		}
		var lost *remote.LostError
		var stage *pipeline.StageError
		if !errors.As(err, &lost) || !errors.As(err, &stage) || stage.Service != "@"+reset {
			t.Errorf("%#v", err)
		}
	}
}

func TestAServiceBehindALossSeesNoEnd(t *testing.T) {
	reset, _ := serveTCP(t, resetService)
	ended := make(chan error, 1)
	after, _ := serveTCP(t, func(conn *net.TCPConn) {
		_, err := io.ReadAll(conn)
		ended <- err
	})
	got, stderr, _ := runHere(t, `echo x | @`+reset+` | @`+after, withDialer(t))
	if got.status != 76 || !strings.Contains(stderr, "stage 2 @"+reset+": lost: ") {
		t.Errorf("status %d\n%s", got.status, stderr)
	}
	if err := <-ended; err == nil {
		t.Error("it saw an end of its input")
	}
}

func TestAnInputThatCannotBeReadPoisonsToo(t *testing.T) {
	up, _ := serveTCP(t, upperService)
	dir, here := inDir(t)
	got, stderr, _ := runHere(t, `@`+up+` < / | sh -c 'cat >/dev/null; touch ran'; echo ${PIPESTATUS[@]}`, withDialer(t), here)
	if got.stdout != "1 137\n" || exists(dir, "ran") || !strings.Contains(stderr, "cannot read its input") {
		t.Errorf("%q, ran %v\n%s", got.stdout, exists(dir, "ran"), stderr)
	}
}

func TestRequireStatusRefusesServicesBeforeAnythingRuns(t *testing.T) {
	require := func(o *pipeline.Options) { o.RequireStatus = true }
	dir, here := inDir(t)
	got, stderr, err := runHere(t, "touch ran\nf() { echo x | @a; }; cat | @b:99", here, require)
	if got.status != 2 || exists(dir, "ran") {
		t.Errorf("status %d, ran %v", got.status, exists(dir, "ran"))
	}
	for _, text := range []string{"stage 2 @a: a service tells no status", "(line 2, column 16)\n", "stage 2 @b:99: a service", "(line 2, column 29)\n", "@HOST:PROGRAM"} {
		if !strings.Contains(stderr, text) {
			t.Errorf("stderr lacks %q:\n%s", text, stderr)
		}
	}
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 2 {
		t.Errorf("%#v", err)
	}
	got, stderr, _ = runHere(t, "s=@a; touch ran | $s | cat", here, require, withDialer(t))
	if got.status != 2 || exists(dir, "ran") || !strings.Contains(stderr, "stage 2 @a: a service tells no status") {
		t.Errorf("status %d, ran %v\n%s", got.status, exists(dir, "ran"), stderr)
	}
}
