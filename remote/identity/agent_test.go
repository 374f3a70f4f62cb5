package identity_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"rpipe/remote/identity"
)

func TestKeysInAnAgentIdentifyBothEnds(t *testing.T) {
	socket := startAgent(t)
	for name, args := range keyTypes {
		t.Run(name, func(t *testing.T) {
			path := sshKeygen(t, "", args...)
			sshAdd(t, socket, path)
			want := readPublic(t, path+".pub")
			for _, selector := range []string{identity.Fingerprint(want), path + ".pub"} {
				key, err := identity.AgentKey(t.Context(), socket, selector)
				if err != nil {
					t.Fatal(err)
				}
				defer key.Close()
				c, s := connected(t, clientConfig(t, key, acceptAll), serverConfig(t, key))
				for _, state := range []end{c, s} {
					got, err := identity.PeerKey(state.state)
					if err != nil || !sameKey(got, want) {
						t.Errorf("%q: got %s, %v", selector, identity.Fingerprint(got), err)
					}
				}
			}
		})
	}
}

func TestAnAgentKeyIsFoundByItsCommentIfOnlyOneHasIt(t *testing.T) {
	socket := startAgent(t)
	first, second := sshKeygen(t, "", "-t", "ed25519"), sshKeygen(t, "", "-t", "ed25519")
	sshAdd(t, socket, first)
	key, err := identity.AgentKey(t.Context(), socket, "test@example")
	if err != nil {
		t.Fatal(err)
	}
	if !sameKey(key.PublicKey(), readPublic(t, first+".pub")) {
		t.Error("another key")
	}
	sshAdd(t, socket, second)
	_, err = identity.AgentKey(t.Context(), socket, "test@example")
	var failed *identity.AgentError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want *AgentError", err)
	}
	checkMessages(t, failed, "fingerprint")
	for _, path := range []string{first, second} {
		if fingerprint := identity.Fingerprint(readPublic(t, path+".pub")); !strings.Contains(err.Error(), fingerprint) {
			t.Errorf("%q does not name %s", err, fingerprint)
		}
	}
}

func TestAgentKeysThatTLSCannotUseAreRefused(t *testing.T) {
	t.Run("rsa", func(t *testing.T) {
		socket := startAgent(t)
		path := sshKeygen(t, "", "-t", "rsa", "-b", "1024")
		sshAdd(t, socket, path)
		_, err := identity.AgentKey(t.Context(), socket, path+".pub")
		checkUnusable(t, err, ssh.KeyAlgoRSA)
	})
	t.Run("fido", func(t *testing.T) {
		var fake recordingAgent
		fake.serve(t)
		blob := fidoBlob(t)
		fake.listed = []*agent.Key{{Format: ssh.KeyAlgoSKED25519, Blob: blob, Comment: "token"}}
		_, err := identity.AgentKey(t.Context(), fake.socket, "token")
		checkUnusable(t, err, ssh.KeyAlgoSKED25519)
	})
	t.Run("unheard of", func(t *testing.T) {
		var fake recordingAgent
		fake.serve(t)
		blob := ssh.Marshal(struct{ Type string }{"new@example.org"})
		fake.listed = []*agent.Key{{Format: "new@example.org", Blob: blob, Comment: "new"}}
		_, err := identity.AgentKey(t.Context(), fake.socket, "new")
		checkUnusable(t, err, "new@example.org")
	})
	t.Run("certificate", func(t *testing.T) {
		socket := startAgent(t)
		path, authority := sshKeygen(t, "", "-t", "ed25519"), sshKeygen(t, "", "-t", "ed25519")
		runTool(t, nil, "ssh-keygen", "-q", "-s", authority, "-I", "me", path+".pub")
		sshAdd(t, socket, path) // adds the plain key and the certificate
		key, err := identity.AgentKey(t.Context(), socket, "test@example")
		if err != nil {
			t.Fatalf("the plain key beside it: %v", err)
		}
		connected(t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
		client := dialAgent(t, socket)
		if err := client.Remove(key.PublicKey()); err != nil {
			t.Fatal(err)
		}
		_, err = identity.AgentKey(t.Context(), socket, identity.Fingerprint(key.PublicKey()))
		checkUnusable(t, err, ssh.CertAlgoED25519v01)
	})
}

func checkUnusable(tb testing.TB, err error, keyType string) {
	tb.Helper()
	var unusable *identity.UnusableKeyError
	if !errors.As(err, &unusable) {
		tb.Fatalf("got %v, want *UnusableKeyError", err)
	}
	if unusable.Type != keyType || unusable.Reason == "" {
		tb.Errorf("type %q, reason %q; want type %q", unusable.Type, unusable.Reason, keyType)
	}
	checkMessages(tb, unusable, "rpipe --keygen", "ssh HOST")
}

// fidoBlob returns a public key as a security key has it (PROTOCOL.u2f of OpenSSH).
func fidoBlob(tb testing.TB) []byte {
	tb.Helper()
	public := generate(tb).PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
	return ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"})
}

func dialAgent(tb testing.TB, socket string) agent.ExtendedAgent {
	tb.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return agent.NewClient(conn)
}

func TestAKeyBoundToDestinationsIsRefusedWhenItShallSign(t *testing.T) {
	socket := startAgent(t)
	path, host := sshKeygen(t, "", "-t", "ed25519"), sshKeygen(t, "", "-t", "ed25519")
	known := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, known, "bound.example "+string(ssh.MarshalAuthorizedKey(readPublic(t, host+".pub"))))
	sshAdd(t, socket, "-H", known, "-h", "bound.example", path)
	key, err := identity.AgentKey(t.Context(), socket, path+".pub")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := connect(t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
	checkUnusable(t, c.err, ssh.KeyAlgoED25519)
	if !strings.Contains(c.err.Error(), "ssh-add -h") {
		t.Errorf("%q does not tell the reason", c.err)
	}
}

func TestASignatureThatTheUserDoesNotConfirmIsARefusal(t *testing.T) {
	no := needTool(t, "false")
	socket := startAgent(t, "SSH_ASKPASS="+no, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none")
	path := sshKeygen(t, "", "-t", "ed25519")
	sshAdd(t, socket, "-c", path)
	key, err := identity.AgentKey(t.Context(), socket, path+".pub")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := connect(t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
	checkUnusable(t, c.err, ssh.KeyAlgoED25519)
}

func TestAKeyThatLeftTheAgentIsTold(t *testing.T) {
	path := sshKeygen(t, "", "-t", "ed25519")
	for name, leave := range map[string]func(agent.ExtendedAgent) error{
		"removed": func(a agent.ExtendedAgent) error { return a.RemoveAll() },
		"locked":  func(a agent.ExtendedAgent) error { return a.Lock([]byte("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			socket := startAgent(t)
			sshAdd(t, socket, path)
			key, err := identity.AgentKey(t.Context(), socket, path+".pub")
			if err != nil {
				t.Fatal(err)
			}
			if err := leave(dialAgent(t, socket)); err != nil {
				t.Fatal(err)
			}
			c, _ := connect(t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
			var failed *identity.AgentError
			if !errors.As(c.err, &failed) {
				t.Fatalf("got %v, want *AgentError", c.err)
			}
			checkMessages(t, failed, "ssh-add")
		})
	}
}

func TestAnAgentThatCannotHelpIsAnError(t *testing.T) {
	socket := startAgent(t)
	for name, test := range map[string]struct{ socket, selector, hint string }{
		"no socket":        {"", "x", "ssh-agent"},
		"nobody listens":   {filepath.Join(t.TempDir(), "none"), "x", "ssh-add -l"},
		"no selector":      {socket, "", "ssh-add -l"},
		"no such key":      {socket, "SHA256:xyz", "ssh-add"},
		"no public key":    {socket, filepath.Join(t.TempDir(), "none.pub"), "ssh-add -l"},
		"no key in a file": {socket, writeFile(t, filepath.Join(t.TempDir(), "x.pub"), "nothing\n"), "ssh-add -l"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.AgentKey(t.Context(), test.socket, test.selector)
			var failed *identity.AgentError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, want *AgentError", err)
			}
			checkMessages(t, failed, test.hint)
		})
	}
}

func TestASilentAgentIsLeftWhenTheContextEnds(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(shortDir(t), "agent"))
	if err != nil {
		t.Fatal(err)
	}
	var silent sync.WaitGroup
	defer silent.Wait()
	defer listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	silent.Go(func() {
		if conn, err := listener.Accept(); err == nil {
			defer conn.Close()
			conn.Read(make([]byte, 1)) // the question has come
			cancel()
			io.Copy(io.Discard, conn) // until the other end closes
		}
	})
	_, err = identity.AgentKey(ctx, listener.Addr().String(), "x")
	var failed *identity.AgentError
	if !errors.As(err, &failed) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// pendingKey returns a key whose agent has been asked for a signature and does not answer before the test ends.
func pendingKey(t *testing.T) (*identity.Key, *recordingAgent) {
	fake := &recordingAgent{block: make(chan struct{}), asked: make(chan struct{}, 1)}
	fake.serve(t)
	t.Cleanup(func() { close(fake.block) })
	fake.add(t, sshKeygen(t, "", "-t", "ed25519"))
	key, err := identity.AgentKey(t.Context(), fake.socket, "test@example")
	if err != nil {
		t.Fatal(err)
	}
	return key, fake
}

func TestCloseEndsASignatureThatWaitsForTheAgent(t *testing.T) {
	key, fake := pendingKey(t)
	var closer sync.WaitGroup
	defer closer.Wait()
	closer.Go(func() {
		<-fake.asked
		key.Close()
	})
	c, _ := connect(t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
	if !errors.Is(c.err, identity.ErrKeyClosed) {
		t.Errorf("got %v", c.err)
	}
}

func TestTheHandshakesContextBoundsTheSignature(t *testing.T) {
	key, fake := pendingKey(t)
	defer key.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var canceller sync.WaitGroup
	defer canceller.Wait()
	canceller.Go(func() {
		<-fake.asked
		cancel()
	})
	c, _ := connectContext(ctx, t, clientConfig(t, key, acceptAll), serverConfig(t, generate(t)))
	if !errors.Is(c.err, context.Canceled) {
		t.Errorf("got %v", c.err)
	}
}

func TestAnAgentKeyCannotBeWrittenToAFile(t *testing.T) {
	var fake recordingAgent
	fake.serve(t)
	fake.add(t, sshKeygen(t, "", "-t", "ed25519"))
	key, err := identity.AgentKey(t.Context(), fake.socket, "test@example")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := key.WriteFile(path, ""); err == nil {
		t.Error("no error")
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file was made")
	}
}
