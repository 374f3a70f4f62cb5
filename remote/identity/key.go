package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/ssh"
)

// ErrKeyClosed is the error of every use of a private key after Key.Close.
var ErrKeyClosed = errors.New("key is closed")

// Key is a private key that can sign TLS 1.3 handshakes: Ed25519 or ECDSA on P-256, P-384 or P-521. It
// comes from LoadKey, AgentKey or Generate; its zero value is not usable. Its methods may be called
// concurrently.
type Key struct {
	public ssh.PublicKey
	signer messageSigner
}

// messageSigner makes signatures in the form of TLS 1.3 (RFC 8446, section 4.2.3): Ed25519 as 64 bytes, ECDSA
// as ASN.1. It hashes the message itself.
type messageSigner interface {
	sign(ctx context.Context, message []byte) ([]byte, error)
	close() error
}

// Generate returns a new Ed25519 key that exists only in memory.
func Generate() (*Key, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an Ed25519 key: %w", err)
	}
	return newMemoryKey("memory", private)
}

// newMemoryKey takes over private. The source is for errors.
func newMemoryKey(source string, private crypto.Signer) (*Key, error) {
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return nil, &KeyFileError{Path: source, Err: err}
	}
	if err := checkUsable(source, public); err != nil {
		return nil, err
	}
	return &Key{public: public, signer: &memorySigner{private: private}}, nil
}

// PublicKey returns the public half, also after Close.
func (k *Key) PublicKey() ssh.PublicKey { return k.public }

// Fingerprint returns Fingerprint(k.PublicKey()).
func (k *Key) Fingerprint() string { return Fingerprint(k.public) }

// Close forgets a private key in memory, and ends signatures that wait for an agent. Later signatures
// fail with ErrKeyClosed; connections that are already established are not touched. It may be called more than
// once, and returns nil.
func (k *Key) Close() error { return k.signer.close() }

// Fingerprint returns the SHA-256 fingerprint of a key as ssh-keygen -l prints it: "SHA256:" and 43
// characters of base64. That of an OpenSSH certificate is that of the key in it. The fingerprint of nil is
// "".
func Fingerprint(key ssh.PublicKey) string {
	if key == nil {
		return ""
	}
	if certificate, ok := key.(*ssh.Certificate); ok {
		key = certificate.Key
	}
	return ssh.FingerprintSHA256(key)
}

// memorySigner signs with a private key in this process.
type memorySigner struct {
	mu      sync.RWMutex
	private crypto.Signer // nil once closed
}

func (s *memorySigner) sign(_ context.Context, message []byte) ([]byte, error) {
	private, err := s.key()
	if err != nil {
		return nil, err
	}
	return crypto.SignMessage(private, rand.Reader, message, hashOf(private.Public()))
}

// key returns ErrKeyClosed after close.
func (s *memorySigner) key() (crypto.Signer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.private == nil {
		return nil, ErrKeyClosed
	}
	return s.private, nil
}

func (s *memorySigner) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.private = nil
	return nil
}

// hashOf returns the hash that TLS 1.3 and OpenSSH both prescribe for signatures by a key of a supported
// type; zero means that the message itself is signed.
func hashOf(public crypto.PublicKey) crypto.Hash {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return 0
	}
	switch size := key.Curve.Params().BitSize; {
	case size <= 256:
		return crypto.SHA256
	case size <= 384:
		return crypto.SHA384
	default:
		return crypto.SHA512
	}
}
