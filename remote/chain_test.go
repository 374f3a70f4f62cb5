package remote_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/remote"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
	"rpipe/remote/wire"
)

// hosts are daemons that one Dialer may use, by their names.
type hosts struct {
	dialer  *remote.Dialer
	daemons map[string]*daemon
}

// daemon is one of them, behind a meter of its connections with the client.
type daemon struct {
	*serve.Server
	address string // its own, for other daemons
	meter   *meter
}

// peers lets a daemon connect to others.
type peers map[string]serve.HopPeer // by key in SSH's wire format

func (p peers) Peer(_ string, key ssh.PublicKey) (serve.HopPeer, error) {
	if peer, ok := p[string(key.Marshal())]; ok {
		return peer, nil
	}
	return serve.HopPeer{}, &serve.Refusal{Status: serve.StatusDenied, Reason: "not listed"}
}

// meter relays connections to a daemon, counts their bytes, and can cut them.
type meter struct {
	net.Listener
	address string
	wg      sync.WaitGroup

	mu    sync.Mutex
	bytes int64
	conns []net.Conn
}

func newMeter(t testing.TB, address string) *meter {
	m := &meter{Listener: listen(t), address: address}
	m.wg.Go(func() {
		for {
			client, err := m.Accept()
			if err != nil {
				return
			}
			daemon, err := net.Dial("tcp", address)
			if err != nil {
				client.Close()
				continue
			}
			m.mu.Lock()
			m.conns = append(m.conns, client, daemon)
			m.mu.Unlock()
			for _, ends := range [][2]net.Conn{{client, daemon}, {daemon, client}} {
				m.wg.Go(func() {
					_, _ = io.Copy(ends[0], io.TeeReader(ends[1], m))
					client.Close()
					daemon.Close()
				})
			}
		}
	})
	return m
}

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes += int64(len(p))
	return len(p), nil
}

func (m *meter) crossed() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

func (m *meter) cut() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.conns {
		c.Close()
	}
}

// newHosts starts daemons that may hop to each other, unless relay is set.
func newHosts(t testing.TB, relay bool, names ...string) *hosts {
	t.Helper()
	before := goroutines()
	client := generate(t)
	callers, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"tester": client.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	h := &hosts{daemons: make(map[string]*daemon)}
	known, listed := make(map[string]ssh.PublicKey), make(peers)
	addresses := make(map[string]string)
	var serving sync.WaitGroup
	var reapers *reaper.Pool
	if !*children {
		reapers = reaper.NewPool(reaper.Options{})
	}
	for _, name := range names {
		ln := listen(t)
		d := &daemon{
			Server:  &serve.Server{Key: generate(t), Callers: callers, Programs: serve.AnyProgram{}, Reapers: reapers},
			address: ln.Addr().String(),
		}
		if !relay {
			d.Hops = listed
		}
		d.meter = newMeter(t, d.address)
		h.daemons[name] = d
		addresses[name] = d.meter.Addr().String()
		known[addresses[name]] = d.Key.PublicKey()
		listed[string(d.Key.PublicKey().Marshal())] = serve.HopPeer{Name: name, Address: d.address}
		serving.Go(func() { _ = d.Serve(ln) })
	}
	hostKeys, err := identity.NewKnownHosts(known)
	if err != nil {
		t.Fatal(err)
	}
	h.dialer = &remote.Dialer{
		Key: client, Hosts: hostKeys,
		Resolve: func(_ context.Context, host string) ([]string, error) { return []string{addresses[host]}, nil },
	}
	t.Cleanup(func() {
		h.dialer.Close()
		for _, d := range h.daemons {
			d.Close()
		}
		serving.Wait()
		reapers.Close()
		for _, d := range h.daemons {
			d.meter.Close()
			d.meter.cut()
			d.meter.wg.Wait()
		}
		checkNoneLeft(t, before)
	})
	return h
}

// chain returns a Chain of stages, each of which is "host program args...".
func (h *hosts) chain(t testing.TB, stages ...string) *remote.Chain {
	c := remote.NewChain(t.Context(), h.dialer)
	for _, s := range stages {
		words := strings.Fields(s)
		c.Stages = append(c.Stages, remote.Stage{
			Host:    words[0],
			Program: remote.Program{Name: words[1], Args: words[2:]},
		})
	}
	return c
}

// sh returns a stage that runs a shell command on a host.
func sh(host, command string) remote.Stage {
	return remote.Stage{Host: host, Program: remote.Program{Name: "sh", Args: []string{"-c", command}}}
}

// runChain runs a chain and returns the outcomes of its stages.
func runChain(t testing.TB, c *remote.Chain) []remote.Outcome {
	t.Helper()
	if !c.Open() {
		for i := range c.Stages {
			if err := c.Refusal(i); err != nil {
				t.Errorf("stage %d: %v", i, err)
			}
		}
		t.FailNow()
	}
	c.Start()
	return wait(c)
}

func wait(c *remote.Chain) []remote.Outcome {
	var outcomes []remote.Outcome
	for i := range c.Stages {
		outcomes = append(outcomes, c.Wait(i))
	}
	return outcomes
}

func links(c *remote.Chain) string {
	var all []string
	for i := range c.Stages {
		link, _ := c.Link(i)
		all = append(all, [...]string{"end", "fused", "hop", "relay"}[link])
	}
	return strings.Join(all, " ")
}

// statuses are those of the outcomes, with "-" for a reader that stayed and "+" for
// one that had gone.
func statuses(outcomes []remote.Outcome) string {
	var all []string
	for _, o := range outcomes {
		status := 0
		var coded interface{ ExitStatus() int }
		switch {
		case errors.Is(o.Err, remote.ErrPoisoned):
			status = -1
		case errors.As(o.Err, &coded):
			status = coded.ExitStatus()
		case o.Err != nil:
			status = 999
		}
		all = append(all, fmt.Sprint(status))
	}
	return strings.Join(all, " ")
}

func TestChainOfEveryLinkCarriesTheBytesAndTheStatuses(t *testing.T) {
	input := make([]byte, 3<<20)
	for i := range input {
		input[i] = byte(rand.Uint32())
	}
	for name, want := range map[string]string{
		"hop":   "hop fused hop end",
		"relay": "relay fused relay end",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHosts(t, name == "relay", "a", "b", "c")
			c := h.chain(t, "a cat", "b cat", "b cat", "c cat")
			var output bytes.Buffer
			c.Stdin, c.Stdout = bytes.NewReader(input), &output
			outcomes := runChain(t, c)
			if got := links(c); got != want {
				t.Errorf("links %s, want %s", got, want)
			}
			if got := statuses(outcomes); got != "0 0 0 0" {
				t.Errorf("statuses %s", got)
			}
			if sha256.Sum256(output.Bytes()) != sha256.Sum256(input) {
				t.Errorf("%d bytes came out of %d, or others", output.Len(), len(input))
			}
			for i, o := range outcomes {
				first, last := i == 0 || i == 1 || i == 3, i != 1
				if first && o.Result.In != int64(len(input)) || last && o.Result.Out != int64(len(input)) {
					t.Errorf("stage %d tells of %d bytes in and %d out", i, o.Result.In, o.Result.Out)
				}
			}
		})
	}
}

func TestBytesOfAHopDoNotComeThroughTheClient(t *testing.T) {
	h := newHosts(t, false, "a", "b")
	c := h.chain(t, "a head -c 50000000 /dev/zero", "b wc -c")
	var output bytes.Buffer
	c.Stdout = &output
	if got := statuses(runChain(t, c)); got != "0 0" || output.String() != "50000000\n" {
		t.Errorf("statuses %s, output %q", got, output.String())
	}
	if n := h.daemons["a"].meter.crossed() + h.daemons["b"].meter.crossed(); n > 100_000 {
		t.Errorf("%d bytes crossed between the client and the hosts", n)
	}
}

func TestARelaySaysWhyItIsNoHop(t *testing.T) {
	h := newHosts(t, true, "a", "b")
	c := h.chain(t, "a echo x", "b cat")
	runChain(t, c)
	if link, why := c.Link(0); link != remote.Relay || why == nil || !strings.Contains(why.Error(), "hop_to") {
		t.Errorf("link %v because of %v", link, why)
	}
}

func TestReaderThatLeavesEndsTheChain(t *testing.T) {
	for _, relay := range []bool{false, true} {
		h := newHosts(t, relay, "a", "b")
		for _, last := range []string{"a", "b"} {
			c := h.chain(t, "a yes", last+" head -n 1")
			var output bytes.Buffer
			c.Stdout = &output
			outcomes := runChain(t, c)
			if got := statuses(outcomes); got != "141 0" || !outcomes[0].ReaderGone {
				t.Errorf("statuses %s, reader gone %v", got, outcomes[0].ReaderGone)
			}
			if output.String() != "y\n" {
				t.Errorf("output %q", output.String())
			}
		}
	}
}

func TestSIGPIPEInAChainWhoseReaderStaysIsToldApart(t *testing.T) {
	for _, relay := range []bool{false, true} {
		h := newHosts(t, relay, "a", "b")
		c := h.chain(t)
		c.Stages = []remote.Stage{sh("a", "kill -PIPE $$"), sh("b", "cat")}
		outcomes := runChain(t, c)
		if got := statuses(outcomes); got != "141 0" || outcomes[0].ReaderGone {
			t.Errorf("statuses %s, reader gone %v", got, outcomes[0].ReaderGone)
		}
	}
}

// commits is a command that says what it got only if it saw the end of its input.
func commits(file string) string {
	return fmt.Sprintf("touch %s.begun; n=$(wc -c) && echo $n >%s", file, file)
}

func TestLossOfAStagePoisonsThoseAfterIt(t *testing.T) {
	for _, relay := range []bool{false, true} {
		for _, cut := range []string{"a", "b", "c"} {
			t.Run(fmt.Sprintf("relay %v, %s cut", relay, cut), func(t *testing.T) {
				h := newHosts(t, relay, "a", "b", "c")
				file := filepath.Join(t.TempDir(), "committed")
				c := h.chain(t)
				c.Stages = []remote.Stage{
					sh("a", "echo x; cat"), sh("b", "cat"), sh("c", commits(file)),
				}
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				c.Stdin = r
				if !c.Open() {
					t.Fatal("refused")
				}
				c.Start()
				waitForFile(t, file+".begun")
				h.daemons[cut].meter.cut()
				outcomes := wait(c)
				lost := int(cut[0] - 'a')
				var loss *remote.LostError
				if !errors.As(outcomes[lost].Err, &loss) && !errors.Is(outcomes[lost].Err, remote.ErrPoisoned) {
					t.Errorf("outcome of the stage that was cut: %v", outcomes[lost].Err)
				}
				if !strings.Contains(statuses(outcomes), "76") {
					t.Errorf("nobody was lost: %s", statuses(outcomes))
				}
				for _, d := range h.daemons {
					d.Close() // what is to be killed has been
				}
				if _, err := os.Stat(file); err == nil {
					t.Error("the last stage took a part for the whole")
				}
			})
		}
	}
}

func waitForFile(t testing.TB, name string) {
	t.Helper()
	for {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%s did not come", name)
		}
		runtime.Gosched()
	}
}

func TestAllRefusalsOfAChainAreToldAndNothingRuns(t *testing.T) {
	h := newHosts(t, false, "a", "b")
	file := filepath.Join(t.TempDir(), "ran")
	c := h.chain(t, "a nosuch-1", "a touch "+file, "a nosuch-3", "b cat", "b nosuch-2")
	if c.Open() {
		t.Fatal("it was opened")
	}
	for i, refused := range []bool{true, false, true, false, true} {
		err := c.Refusal(i)
		var r *remote.RefusedError
		if refused != (err != nil) || refused && (!errors.As(err, &r) || r.Status != wire.StatusNotFound) {
			t.Errorf("stage %d: %v", i, err)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a stage ran")
	}
}

func TestAbortOfAChainIsNoEndOfInput(t *testing.T) {
	for _, relay := range []bool{false, true} {
		h := newHosts(t, relay, "a", "b")
		file := filepath.Join(t.TempDir(), "committed")
		c := h.chain(t)
		c.Stages = []remote.Stage{sh("a", "cat"), sh("b", commits(file))}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c.Stdin = r
		if !c.Open() {
			t.Fatal("refused")
		}
		c.Start()
		waitForFile(t, file+".begun")
		c.Abort(0)
		w.Close()
		wait(c)
		if _, err := os.Stat(file); err == nil {
			t.Errorf("relay %v: the last stage took a part for the whole", relay)
		}
	}
}

func TestFusedStagesAreOneSession(t *testing.T) {
	h := newHosts(t, false, "a")
	c := h.chain(t)
	for range 200 { // more than one session takes
		c.Stages = append(c.Stages, remote.Stage{Host: "a", Program: remote.Program{Name: "cat"}})
	}
	var output bytes.Buffer
	c.Stdin, c.Stdout = strings.NewReader("hello"), &output
	runChain(t, c)
	if output.String() != "hello" {
		t.Errorf("output %q", output.String())
	}
	if got := strings.Count(links(c), "fused"); got != 196 {
		t.Errorf("%d links are fused: %s", got, links(c))
	}
}
