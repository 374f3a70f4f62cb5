package identity

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"golang.org/x/crypto/ssh"
)

// Protocol is the name of the protocol in TLS's ALPN extension (RFC 7301). Both ends insist on it.
const Protocol = "rpipe/1"

// ClientConfig returns the configuration of a client that identifies itself with key. Both arguments are
// required. It may be used for any number of connections, at the same time too, and must not be changed.
//
// Each handshake calls verify once with the key that the host claims, before our own key signs anything; an
// error from it ends the handshake, and is what the handshake returns, unwrapped. At the time of that call the
// host has not yet proved that it possesses the key: what verify accepts counts only if the handshake
// succeeds. Concurrent handshakes call verify concurrently.
//
// The handshake's context bounds the signature by an agent.
func ClientConfig(key *Key, verify func(ssh.PublicKey) error) (*tls.Config, error) {
	if key == nil || verify == nil {
		return nil, errors.New("a client needs a key and a way to verify the host's")
	}
	certificate, err := newCertificate(key)
	if err != nil {
		return nil, err
	}
	config := newConfig()
	// No certificate authority vouches for a host; this turns off only that check. VerifyConnection,
	// which crypto/tls runs in every handshake and before it sends the client's certificate, makes the real one.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		peer, err := checkPeer(state)
		if err != nil {
			return err
		}
		return verify(peer)
	}
	config.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return certificate.forHandshake(info.Context()), nil
	}
	return config, nil
}

// ProbeConfig returns the configuration of a client that only wants to learn a host's key: it has no
// identity, signs nothing, and accepts every host. After a handshake that succeeded, PeerKey tells a
// key that the host has proved to possess. The host ends such a connection at once.
func ProbeConfig() *tls.Config {
	config := newConfig()
	// Nothing is sent over the connection, so there is nothing to protect from the wrong host.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := checkPeer(state)
		return err
	}
	return config
}

// ServerConfig returns the configuration of a server whose host key is key. It may be used for any number of
// connections, at the same time too, and must not be changed.
//
// A handshake succeeds with every client that proves to possess a key of a supported type. The
// caller must then ask PeerKey who it is, and decide: so that it can tell a refusal in words. A client
// without a key fails in the handshake.
func ServerConfig(key *Key) (*tls.Config, error) {
	if key == nil {
		return nil, errors.New("a server needs a host key")
	}
	certificate, err := newCertificate(key)
	if err != nil {
		return nil, err
	}
	config := newConfig()
	config.GetCertificate = func(info *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return certificate.forHandshake(info.Context()), nil
	}
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = func(state tls.ConnectionState) error {
		_, err := checkPeer(state)
		return err
	}
	return config, nil
}

// Handshake runs the handshake of a connection made with a configuration of this package. Unlike
// conn.HandshakeContext, which tells only the text of it, it returns the error itself if our own key could not
// sign: an *UnusableKeyError or *AgentError, for example. When ctx ends the connection is closed and ctx.Err()
// returned.
func Handshake(ctx context.Context, conn *tls.Conn) error {
	var signing error
	err := conn.HandshakeContext(context.WithValue(ctx, signingErrorKey{}, &signing))
	if err != nil && signing != nil && ctx.Err() == nil {
		return signing
	}
	return err
}

// PeerKey returns the key of the other end. If the handshake has succeeded, the other end has proved that it
// possesses the private half.
func PeerKey(state tls.ConnectionState) (ssh.PublicKey, error) {
	if len(state.PeerCertificates) != 1 {
		return nil, fmt.Errorf("the peer sent %d certificates, not one", len(state.PeerCertificates))
	}
	key, err := ssh.NewPublicKey(state.PeerCertificates[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("key of the peer: %w", err)
	}
	if err := checkUsable("peer", key); err != nil {
		return nil, err
	}
	return key, nil
}

// checkPeer is what both ends demand of each other, whoever it is.
func checkPeer(state tls.ConnectionState) (ssh.PublicKey, error) {
	// crypto/tls lets a peer pass that does not negotiate a protocol at all.
	if state.NegotiatedProtocol != Protocol {
		return nil, fmt.Errorf("the peer does not speak %s", Protocol)
	}
	return PeerKey(state)
}

func newConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{Protocol},
		SessionTicketsDisabled: true,
	}
}

// certificate is the throw-away certificate of a key.
type certificate struct {
	key    *Key
	public crypto.PublicKey
	der    []byte
}

func newCertificate(key *Key) (*certificate, error) {
	known, ok := key.public.(ssh.CryptoPublicKey)
	if !ok {
		return nil, errors.New("the key was not made by this package")
	}
	public := known.CryptoPublicKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "rpipe"}, // RFC 5280 wants an issuer; this one is its own
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // "no end" in RFC 5280, section 4.1.2.5
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	// Signing it with the key itself would cost a question to the agent, and have the key sign a text
	// other than a handshake, for a signature at which nobody looks.
	_, issuer, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &certificate{key: key, public: public, der: der}, nil
}

// forHandshake returns the certificate with a signer for the handshake that ctx belongs to.
func (c *certificate) forHandshake(ctx context.Context) *tls.Certificate {
	return &tls.Certificate{
		Certificate: [][]byte{c.der},
		PrivateKey:  &handshakeSigner{ctx: ctx, certificate: c},
	}
}

// handshakeSigner is the crypto.MessageSigner of one handshake.
type handshakeSigner struct {
	ctx         context.Context // crypto.Signer has no parameter for it
	certificate *certificate
}

// signingErrorKey is the context key under which Handshake leaves an *error for the signer.
type signingErrorKey struct{}

func (s *handshakeSigner) Public() crypto.PublicKey { return s.certificate.public }

// SignMessage implements crypto.MessageSigner, which crypto/tls prefers: agents do not sign digests.
func (s *handshakeSigner) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := s.sign(message, opts)
	if place, ok := s.ctx.Value(signingErrorKey{}).(*error); ok {
		*place = err
	}
	return signature, err
}

func (s *handshakeSigner) sign(message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if want := hashOf(s.certificate.public); opts.HashFunc() != want {
		return nil, fmt.Errorf("a %s key cannot sign with %v", s.certificate.key.public.Type(), opts.HashFunc())
	}
	return s.certificate.key.signer.sign(s.ctx, message)
}

// Sign implements crypto.Signer. It signs only what is not hashed before; crypto/tls calls SignMessage instead.
func (s *handshakeSigner) Sign(random io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != 0 {
		return nil, errors.New("this key signs messages, not digests")
	}
	return s.SignMessage(random, message, opts)
}
