package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

func TestBothEndsLearnTheKeyOfTheOther(t *testing.T) {
	host, caller := generate(t), generate(t)
	var offered ssh.PublicKey
	c, s := connected(t, clientConfig(t, caller, func(key ssh.PublicKey) error {
		offered = key
		return nil
	}), serverConfig(t, host))

	if !sameKey(offered, host.PublicKey()) {
		t.Error("verify was not asked about the host's key")
	}
	for _, side := range []struct {
		state tls.ConnectionState
		want  *identity.Key
	}{{c.state, host}, {s.state, caller}} {
		got, err := identity.PeerKey(side.state)
		if err != nil {
			t.Fatal(err)
		}
		if !sameKey(got, side.want.PublicKey()) {
			t.Errorf("got %s, want %s", identity.Fingerprint(got), side.want.Fingerprint())
		}
		if side.state.Version != tls.VersionTLS13 || side.state.NegotiatedProtocol != identity.Protocol {
			t.Errorf("version %x, protocol %q", side.state.Version, side.state.NegotiatedProtocol)
		}
	}
}

func TestNoConnectionCompletesWhenVerifyFails(t *testing.T) {
	refusal := errors.New("not this host")
	c, s := connect(t, clientConfig(t, generate(t), func(ssh.PublicKey) error { return refusal }), serverConfig(t, generate(t)))
	if c.err != refusal {
		t.Errorf("client: %v, want verify's own error", c.err)
	}
	if s.err == nil {
		t.Error("the server's handshake succeeded")
	}
	if c.state.HandshakeComplete || s.state.HandshakeComplete {
		t.Error("the connection counts as complete")
	}
	if len(s.state.PeerCertificates) != 0 {
		t.Error("the server has seen the client's key")
	}
	if _, err := c.conn.Write([]byte("x")); err == nil {
		t.Error("the client can write")
	}
	if _, err := s.conn.Read(make([]byte, 1)); err == nil {
		t.Error("the server can read")
	}
}

func TestTheClientSignsNothingForAHostThatIsUnknownChangedOrRevoked(t *testing.T) {
	host, other := generate(t), generate(t)
	revoking := loadHosts(t, "@revoked * "+publicLine(host)+"[h]:7747 "+publicLine(host))
	for name, test := range map[string]struct {
		hosts *identity.KnownHosts
		want  any
	}{
		"unknown": {newHosts(t, nil), new(*identity.UnknownHostError)},
		"changed": {newHosts(t, map[string]ssh.PublicKey{"h:7747": other.PublicKey()}), new(*identity.ChangedHostError)},
		"revoked": {revoking, new(*identity.RevokedHostError)},
	} {
		t.Run(name, func(t *testing.T) {
			var signer recordingAgent
			signer.serve(t)
			path := sshKeygen(t, "", "-t", "ed25519")
			signer.add(t, path)
			key, err := identity.AgentKey(t.Context(), signer.socket, "test@example")
			if err != nil {
				t.Fatal(err)
			}
			defer key.Close()

			verify := func(key ssh.PublicKey) error { return test.hosts.Check("h:7747", key) }
			c, _ := connect(t, clientConfig(t, key, verify), serverConfig(t, host))
			if !errors.As(c.err, test.want) {
				t.Errorf("got %v, want %T", c.err, test.want)
			}
			if n := signer.signatures.Load(); n != 0 {
				t.Errorf("%d signatures, want none", n)
			}

			// The signer is in use, once, when the host is accepted.
			connected(t, clientConfig(t, key, acceptAll), serverConfig(t, host))
			if n := signer.signatures.Load(); n != 1 {
				t.Errorf("%d signatures, want one", n)
			}
		})
	}
}

// stolen presents the certificate of another and signs with a key of its own.
type stolen struct {
	crypto.Signer
	public crypto.PublicKey
}

func (s stolen) Public() crypto.PublicKey { return s.public }

func TestAKeyThatIsNotPossessedIsRefused(t *testing.T) {
	victim := generate(t)
	c, s := connected(t, clientConfig(t, victim, acceptAll), serverConfig(t, victim))
	// The same curve, so that only the signature is wrong.
	private := newECDSA(t)
	thief := func(from tls.ConnectionState) *tls.Certificate {
		certificate := from.PeerCertificates[0]
		return &tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: stolen{private, certificate.PublicKey}}
	}

	t.Run("host", func(t *testing.T) {
		config := serverConfig(t, generate(t))
		config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return thief(c.state), nil }
		accepted := false
		got, _ := connect(t, clientConfig(t, generate(t), func(key ssh.PublicKey) error {
			accepted = sameKey(key, victim.PublicKey())
			return nil
		}), config)
		if !accepted || got.err == nil || got.state.HandshakeComplete {
			t.Errorf("accepted by verify: %v; error: %v", accepted, got.err)
		}
	})
	t.Run("client", func(t *testing.T) {
		config := clientConfig(t, generate(t), acceptAll)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return thief(s.state), nil }
		_, got := connect(t, config, serverConfig(t, generate(t)))
		if got.err == nil || got.state.HandshakeComplete {
			t.Errorf("error: %v", got.err)
		}
	})
}

func newECDSA(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return private
}

// plainCertificate returns a self-signed certificate as other programs make it.
func plainCertificate(tb testing.TB, private crypto.Signer) []byte {
	tb.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func TestTheServerDemandsOneKeyOfASupportedType(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := newECDSA(t)
	p256 := plainCertificate(t, ecKey)
	for name, test := range map[string]struct {
		certificate tls.Certificate
		ok          bool
	}{
		"none":             {tls.Certificate{}, false},
		"rsa":              {tls.Certificate{Certificate: [][]byte{plainCertificate(t, rsaKey)}, PrivateKey: rsaKey}, false},
		"two certificates": {tls.Certificate{Certificate: [][]byte{p256, p256}, PrivateKey: ecKey}, false},
		"ecdsa":            {tls.Certificate{Certificate: [][]byte{p256}, PrivateKey: ecKey}, true},
	} {
		t.Run(name, func(t *testing.T) {
			config := clientConfig(t, generate(t), acceptAll)
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &test.certificate, nil }
			_, s := connect(t, config, serverConfig(t, generate(t)))
			if ok := s.err == nil; ok != test.ok {
				t.Errorf("error: %v", s.err)
			}
			var unusable *identity.UnusableKeyError
			if name == "rsa" && !errors.As(s.err, &unusable) {
				t.Errorf("got %v, want *UnusableKeyError", s.err)
			}
		})
	}
}

func TestAPeerOfAnotherProtocolIsRefused(t *testing.T) {
	for name, change := range map[string]func(*tls.Config){
		"no ALPN":      func(c *tls.Config) { c.NextProtos = nil },
		"another ALPN": func(c *tls.Config) { c.NextProtos = []string{"h2"} },
		"TLS 1.2":      func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
	} {
		t.Run(name, func(t *testing.T) {
			// What the changed end would check itself is not the question.
			client, server := clientConfig(t, generate(t), acceptAll), serverConfig(t, generate(t))
			client.VerifyConnection = nil
			change(client)
			if _, s := connect(t, client, server); s.err == nil {
				t.Error("the server accepted it")
			}
			client, server = clientConfig(t, generate(t), acceptAll), serverConfig(t, generate(t))
			server.VerifyConnection = nil
			change(server)
			if c, _ := connect(t, client, server); c.err == nil {
				t.Error("the client accepted it")
			}
		})
	}
}

func TestNoSessionIsEverResumed(t *testing.T) {
	client, server := clientConfig(t, generate(t), acceptAll), serverConfig(t, generate(t))
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	client.ServerName = "h"
	for range 3 {
		c, s := connected(t, client, server)
		if c.state.DidResume || s.state.DidResume {
			t.Fatal("resumed")
		}
		// The client reads a ticket, if there is one, before data.
		if _, err := s.conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c.conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAProbeLearnsTheHostKeyAndIsNobody(t *testing.T) {
	host := generate(t)
	c, s := connect(t, identity.ProbeConfig(), serverConfig(t, host))
	if c.err != nil {
		t.Fatal(c.err)
	}
	key, err := identity.PeerKey(c.state)
	if err != nil {
		t.Fatal(err)
	}
	if !sameKey(key, host.PublicKey()) {
		t.Errorf("got %s, want %s", identity.Fingerprint(key), host.Fingerprint())
	}
	if s.err == nil || s.state.HandshakeComplete {
		t.Error("the server accepted a client without a key")
	}
}

func TestConfigurationsNeedTheirArguments(t *testing.T) {
	if _, err := identity.ClientConfig(nil, acceptAll); err == nil {
		t.Error("client without a key")
	}
	if _, err := identity.ClientConfig(generate(t), nil); err == nil {
		t.Error("client without verify")
	}
	if _, err := identity.ServerConfig(nil); err == nil {
		t.Error("server without a key")
	}
	if _, err := identity.PeerKey(tls.ConnectionState{}); err == nil {
		t.Error("peer without a certificate")
	}
}

func TestAClosedKeyEndsHandshakesWithItsOwnError(t *testing.T) {
	closed := generate(t)
	if err := errors.Join(closed.Close(), closed.Close()); err != nil {
		t.Fatal(err)
	}
	if closed.Fingerprint() == "" {
		t.Error("the public half is gone")
	}
	c, _ := connect(t, clientConfig(t, closed, acceptAll), serverConfig(t, generate(t)))
	if !errors.Is(c.err, identity.ErrKeyClosed) {
		t.Errorf("client: %v", c.err)
	}
	_, s := connect(t, clientConfig(t, generate(t), acceptAll), serverConfig(t, closed))
	if !errors.Is(s.err, identity.ErrKeyClosed) {
		t.Errorf("server: %v", s.err)
	}
}

func TestOneConfigurationServesManyHandshakesAtOnce(t *testing.T) {
	client, server := clientConfig(t, generate(t), acceptAll), serverConfig(t, generate(t))
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			connected(t, client, server)
		})
	}
}

func TestACancelledHandshakeReturnsTheContextsError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := connectContext(ctx, t, clientConfig(t, generate(t), func(ssh.PublicKey) error {
		cancel()
		<-ctx.Done()
		return errors.New("too late")
	}), serverConfig(t, generate(t)))
	if !errors.Is(c.err, context.Canceled) {
		t.Errorf("got %v", c.err)
	}
}

func BenchmarkHandshake(b *testing.B) {
	bench := func(b *testing.B, key *identity.Key) {
		client, server := clientConfig(b, key, acceptAll), serverConfig(b, generate(b))
		b.ReportAllocs()
		for b.Loop() {
			c, s := connected(b, client, server)
			c.conn.NetConn().Close()
			s.conn.NetConn().Close()
		}
	}
	for name, args := range keyTypes {
		path := sshKeygen(b, "", args...)
		b.Run("file/"+name, func(b *testing.B) { bench(b, loadKey(b, path)) })
		b.Run("agent/"+name, func(b *testing.B) {
			socket := startAgent(b)
			sshAdd(b, socket, path)
			key, err := identity.AgentKey(b.Context(), socket, path+".pub")
			if err != nil {
				b.Fatal(err)
			}
			defer key.Close()
			bench(b, key)
		})
	}
}
