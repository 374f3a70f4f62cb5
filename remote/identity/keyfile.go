package identity

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile is the size up to which a key file is read, in bytes; OpenSSH's own limit.
const maxKeyFile = 1 << 20

// LoadKey reads a private key from a file in one of the formats that ssh-keygen writes: OpenSSH, PKCS #8, or
// the PEM format for ECDSA. A file that others than its user can read or replace is a *PermissionError.
//
// If the key is protected, passphrase is called once, with path; what it returns is overwritten with zeros when
// LoadKey has used it. Its own error is wrapped in the result; a wrong passphrase is a *WrongPassphraseError, after
// which the caller may try again. If passphrase is nil, a protected key is a *ProtectedKeyError. For keys
// that could not be used anyway (*UnusableKeyError) it is not called, where the format tells the type.
//
// Other errors are *KeyFileError, which wraps fs.ErrNotExist when there is no such file.
func LoadKey(path string, passphrase func(path string) ([]byte, error)) (*Key, error) {
	data, err := readTrusted(path, secretFile, maxKeyFile)
	if err != nil {
		var unsafe *PermissionError
		if errors.As(err, &unsafe) {
			return nil, err
		}
		var failed *fs.PathError
		if errors.As(err, &failed) && failed.Path == path {
			err = failed.Err // the path is told once
		}
		return nil, &KeyFileError{Path: path, Err: err}
	}
	defer clear(data)
	private, err := parsePrivate(path, data, passphrase)
	if err != nil {
		return nil, err
	}
	return newMemoryKey(path, private)
}

func parsePrivate(path string, data []byte, passphrase func(path string) ([]byte, error)) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		if public, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
			return nil, &KeyFileError{
				Path:   path,
				Err:    fmt.Errorf("it holds a public key (%s)", public.Type()),
				Advice: "name the private key beside it, or use its agent",
			}
		}
		return nil, &KeyFileError{Path: path, Err: errors.New("it holds no private key in OpenSSH or PEM format")}
	}
	defer clear(block.Bytes)
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, &KeyFileError{
			Path:   path,
			Err:    errors.New("protected PKCS #8 keys are not supported"),
			Advice: "rewrite it in OpenSSH format with: ssh-keygen -p -f " + shellWord(path),
		}
	}
	if keyType := declaredType(block); keyType != "" && !usableType(keyType) {
		return nil, &UnusableKeyError{Source: path, Type: keyType, Reason: unusableReason(keyType)}
	}
	raw, err := ssh.ParseRawPrivateKey(data)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		raw, err = parseProtected(path, data, block.Type, passphrase)
		if err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, &KeyFileError{Path: path, Err: err}
	}
	switch key := raw.(type) {
	case *ed25519.PrivateKey:
		return *key, nil
	case crypto.Signer:
		return key, nil
	default: // DSA keys and keys for key agreement
		return nil, &KeyFileError{Path: path, Err: fmt.Errorf("a key of type %T cannot sign", raw)}
	}
}

func parseProtected(path string, data []byte, pemType string, passphrase func(path string) ([]byte, error)) (any, error) {
	if passphrase == nil {
		return nil, &ProtectedKeyError{Path: path}
	}
	secret, err := passphrase(path)
	defer clear(secret)
	if err != nil {
		return nil, &KeyFileError{Path: path, Err: fmt.Errorf("passphrase: %w", err)}
	}
	if len(secret) == 0 { // ssh-keygen makes no such key, and x/crypto takes it for a fault of the caller
		return nil, &WrongPassphraseError{Path: path}
	}
	raw, err := ssh.ParseRawPrivateKeyWithPassphrase(data, secret)
	switch {
	case err == nil:
		return raw, nil
	case errors.Is(err, x509.IncorrectPasswordError), pemType != openSSHType:
		// The older format has no check value: after a wrong passphrase the key does not parse.
		return nil, &WrongPassphraseError{Path: path}
	}
	return nil, &KeyFileError{Path: path, Err: err}
}

const openSSHType = "OPENSSH PRIVATE KEY"

// declaredType returns the type of key that a PEM block declares outside of its protected part, or "".
func declaredType(block *pem.Block) string {
	const magic = "openssh-key-v1\x00" // PROTOCOL.key of OpenSSH
	switch block.Type {
	case "RSA PRIVATE KEY":
		return ssh.KeyAlgoRSA
	case "DSA PRIVATE KEY":
		return typeDSA
	case openSSHType:
		var header struct {
			CipherName, KdfName, KdfOpts string
			NumKeys                      uint32
			PubKey                       []byte
			Rest                         []byte `ssh:"rest"`
		}
		body, ok := strings.CutPrefix(string(block.Bytes), magic)
		if !ok || ssh.Unmarshal([]byte(body), &header) != nil {
			return ""
		}
		var public struct {
			Type string
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(header.PubKey, &public) != nil || unusableReason(public.Type) == "" {
			return ""
		}
		return public.Type
	}
	return ""
}

// WriteFile writes the private key to path (mode 0600) and the public key to path.pub (mode 0644), in OpenSSH
// format and with the comment. Missing folders are made with mode 0700. Nothing is ever overwritten: if one
// of the files exists, the error wraps fs.ErrExist and both stay as they are. The files appear whole or not at
// all, and are on disk when WriteFile returns nil. A key in an agent, or closed, cannot be written.
func (k *Key) WriteFile(path, comment string) error {
	return k.writeFile(path, comment, func(private crypto.Signer) (*pem.Block, error) {
		return ssh.MarshalPrivateKey(private, comment)
	})
}

// WriteProtectedFile is WriteFile with a private key that only the passphrase opens. The passphrase must not
// be empty, and is left as it is.
func (k *Key) WriteProtectedFile(path, comment string, passphrase []byte) error {
	if len(passphrase) == 0 {
		return errors.New("an empty passphrase does not protect a key")
	}
	return k.writeFile(path, comment, func(private crypto.Signer) (*pem.Block, error) {
		return ssh.MarshalPrivateKeyWithPassphrase(private, comment, passphrase)
	})
}

func (k *Key) writeFile(path, comment string, marshal func(crypto.Signer) (*pem.Block, error)) error {
	memory, ok := k.signer.(*memorySigner)
	if !ok {
		return errors.New("a key in an agent cannot be written to a file")
	}
	private, err := memory.key()
	if err != nil {
		return err
	}
	for _, c := range []byte(comment) {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("comment %q: it contains a control character", comment)
		}
	}
	block, err := marshal(private)
	if err != nil {
		return fmt.Errorf("private key %q: %w", path, err)
	}
	secret := pem.EncodeToMemory(block)
	clear(block.Bytes)
	defer clear(secret)

	folder, base := filepath.Split(path)
	folder, err = makeFolder(folder)
	if err != nil {
		return err
	}
	secretPath, publicPath := filepath.Join(folder, base), filepath.Join(folder, base+".pub")
	for _, name := range []string{secretPath, publicPath} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return existing(name, err)
		}
	}
	if err := createFile(secretPath, secret, 0o600); err != nil {
		return err
	}
	public := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(k.public)), "\n")
	if comment != "" {
		public += " " + comment
	}
	if err := createFile(publicPath, []byte(public+"\n"), 0o644); err != nil {
		return errors.Join(err, os.Remove(secretPath))
	}
	return nil
}
