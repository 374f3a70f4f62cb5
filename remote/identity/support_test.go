package identity_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"rpipe/remote/identity"
)

// needTool returns the path of a program, or skips the test; with RPIPE_TEST_ALL=1 it fails it.
func needTool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			tb.Fatalf("%s is not installed", name)
		}
		tb.Skipf("%s is not installed", name)
	}
	return path
}

// runTool runs a program to its end and returns its standard output.
func runTool(tb testing.TB, env []string, name string, args ...string) string {
	tb.Helper()
	cmd := exec.Command(needTool(tb, name), args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %q: %v\n%s", name, args, err, &stderr)
	}
	return string(out)
}

// sshKeygen makes a key file with the real tool and returns its path. The arguments are those for its type.
func sshKeygen(tb testing.TB, passphrase string, args ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "id")
	runTool(tb, nil, "ssh-keygen", append([]string{"-q", "-N", passphrase, "-C", "test@example", "-f", path}, args...)...)
	return path
}

// keyTypes are the arguments of ssh-keygen for the types of key that must work.
var keyTypes = map[string][]string{
	"ed25519":   {"-t", "ed25519"},
	"ecdsa-256": {"-t", "ecdsa", "-b", "256"},
	"ecdsa-384": {"-t", "ecdsa", "-b", "384"},
	"ecdsa-521": {"-t", "ecdsa", "-b", "521"},
}

func readPublic(tb testing.TB, path string) ssh.PublicKey {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func generate(tb testing.TB) *identity.Key {
	tb.Helper()
	key, err := identity.Generate()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { key.Close() })
	return key
}

func sameKey(a, b ssh.PublicKey) bool {
	return a != nil && b != nil && bytes.Equal(a.Marshal(), b.Marshal())
}

// shortDir returns a folder whose path leaves room for a socket's name, of which Unix takes about 100 bytes.
func shortDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "id")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// startAgent starts a real ssh-agent for the test and returns its socket.
func startAgent(tb testing.TB, env ...string) string {
	tb.Helper()
	program := needTool(tb, "ssh-agent")
	socket := filepath.Join(shortDir(tb), "agent")
	cmd := exec.Command(program, "-D", "-a", socket)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	// It prints the socket's name when it listens.
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		tb.Fatalf("ssh-agent: %v", err)
	}
	return socket
}

func sshAdd(tb testing.TB, socket string, args ...string) {
	tb.Helper()
	runTool(tb, []string{"SSH_AUTH_SOCK=" + socket}, "ssh-add", append([]string{"-q"}, args...)...)
}

// recordingAgent is an agent in this process, reached over a real socket, that counts what it signs.
type recordingAgent struct {
	agent.Agent
	socket     string
	signatures atomic.Int32
	block      chan struct{} // if not nil, Sign waits until it is closed
	asked      chan struct{} // if not nil, gets a value when Sign is called
	listed     []*agent.Key  // if not nil, what List returns
}

func (a *recordingAgent) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	a.signatures.Add(1)
	if a.asked != nil {
		a.asked <- struct{}{}
	}
	if a.block != nil {
		<-a.block
	}
	return a.Agent.Sign(key, data)
}

func (a *recordingAgent) List() ([]*agent.Key, error) {
	if a.listed != nil {
		return a.listed, nil
	}
	return a.Agent.List()
}

// serve starts to listen; the test waits for every goroutine at its end.
func (a *recordingAgent) serve(tb testing.TB) {
	tb.Helper()
	a.Agent = agent.NewKeyring()
	a.socket = filepath.Join(shortDir(tb), "agent")
	listener, err := net.Listen("unix", a.socket)
	if err != nil {
		tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				agent.ServeAgent(a, conn)
			})
		}
	})
	tb.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
}

// add puts the private key of a file into the agent.
func (a *recordingAgent) add(tb testing.TB, path string) {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := ssh.ParseRawPrivateKey(data)
	if err != nil {
		tb.Fatal(err)
	}
	if err := a.Agent.Add(agent.AddedKey{PrivateKey: raw, Comment: "test@example"}); err != nil {
		tb.Fatal(err)
	}
}

func acceptAll(ssh.PublicKey) error { return nil }

func clientConfig(tb testing.TB, key *identity.Key, verify func(ssh.PublicKey) error) *tls.Config {
	tb.Helper()
	config, err := identity.ClientConfig(key, verify)
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

func serverConfig(tb testing.TB, key *identity.Key) *tls.Config {
	tb.Helper()
	config, err := identity.ServerConfig(key)
	if err != nil {
		tb.Fatal(err)
	}
	return config
}

// end is one end of a connection after its handshake.
type end struct {
	conn  *tls.Conn
	state tls.ConnectionState
	err   error
}

// patience only keeps a broken test from hanging.
const patience = 30 * time.Second

// connect runs a handshake over TCP on the loopback device and returns both ends. The connection is open until
// the end of the test.
func connect(tb testing.TB, client, server *tls.Config) (c, s end) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return connectContext(ctx, tb, client, server)
}

func connectContext(ctx context.Context, tb testing.TB, client, server *tls.Config) (c, s end) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	dialled, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { dialled.Close() })
	accepted, err := listener.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { accepted.Close() })

	finish := func(conn *tls.Conn) end {
		err := identity.Handshake(ctx, conn)
		if err != nil {
			conn.NetConn().Close() // so that the other end does not wait for more
		}
		return end{conn: conn, state: conn.ConnectionState(), err: err}
	}
	var wg sync.WaitGroup
	wg.Go(func() { s = finish(tls.Server(accepted, server)) })
	c = finish(tls.Client(dialled, client))
	wg.Wait()
	return c, s
}

// connected is connect for handshakes that must succeed.
func connected(tb testing.TB, client, server *tls.Config) (c, s end) {
	tb.Helper()
	c, s = connect(tb, client, server)
	if c.err != nil || s.err != nil {
		tb.Fatalf("client: %v; server: %v", c.err, s.err)
	}
	return c, s
}

// checkMessages fails the test unless an error is fit for the user: its exit status, and a hint with each of
// the words in one line.
func checkMessages(tb testing.TB, err error, words ...string) {
	tb.Helper()
	e, ok := err.(interface {
		error
		ExitStatus() int
		Hint() string
	})
	if !ok {
		tb.Fatalf("%T has no exit status and hint: %v", err, err)
	}
	if e.ExitStatus() != 77 {
		tb.Errorf("exit status %d, want 77", e.ExitStatus())
	}
	for _, word := range words {
		if !strings.Contains(e.Hint(), word) {
			tb.Errorf("hint %q lacks %q", e.Hint(), word)
		}
	}
	if strings.Contains(e.Error()+e.Hint(), "\n") {
		tb.Errorf("more than one line: %q, %q", e.Error(), e.Hint())
	}
}
