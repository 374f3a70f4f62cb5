package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// AuthorizedKeys says which caller a key belongs to. It does not change; its methods may be called concurrently.
// nil and the zero value know no caller.
type AuthorizedKeys struct {
	names map[string]string // by the key in SSH's wire format
}

// LoadAuthorizedKeys reads a file in the format of OpenSSH's authorized_keys, of which a line is
//
//	TYPE BASE64 NAME
//
// where OpenSSH takes anything for a comment, NAME is the name of the caller: letters, digits and ".", "_",
// "@", "+", "-", beginning with a letter or digit. Several keys may have the same name. Blank lines and lines that
// begin with "#" are skipped. An empty file is not an error.
//
// Everything else refuses the whole file with a *LineError: options before the type, of which none is known, since
// to drop one ("command=", "from=", "expiry-time=") would be to grant more than was written; keys of other
// types; one key under two names. A file that others can write is a *PermissionError. If there is no file,
// the error wraps fs.ErrNotExist.
func LoadAuthorizedKeys(path string) (*AuthorizedKeys, error) {
	data, err := readTrusted(path, publicFile, maxTrustFile)
	if err != nil {
		return nil, fmt.Errorf("authorized keys: %w", err)
	}
	return parseAuthorizedKeys(path, string(data))
}

// NewAuthorizedKeys returns a list of callers with one key each, by name. The rules for names and keys are those
// of LoadAuthorizedKeys.
func NewAuthorizedKeys(keys map[string]ssh.PublicKey) (*AuthorizedKeys, error) {
	a := &AuthorizedKeys{names: make(map[string]string, len(keys))}
	for name, key := range keys {
		if err := checkUsable(name, key); err != nil {
			return nil, err
		}
		if err := a.add(name, key); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Caller returns the name of the caller whom a key belongs to, or false.
func (a *AuthorizedKeys) Caller(key ssh.PublicKey) (name string, ok bool) {
	if a == nil || key == nil {
		return "", false
	}
	name, ok = a.names[string(key.Marshal())]
	return name, ok
}

// Len returns the number of different keys.
func (a *AuthorizedKeys) Len() int {
	if a == nil {
		return 0
	}
	return len(a.names)
}

func (a *AuthorizedKeys) add(name string, key ssh.PublicKey) error {
	if !validName(name) {
		return fmt.Errorf("%q is not a name for a caller: letters, digits and ._@+- after a letter or digit", name)
	}
	blob := string(key.Marshal())
	if other, ok := a.names[blob]; ok && other != name {
		return fmt.Errorf("%q and %q have the same key: %s", other, name, Fingerprint(key))
	}
	a.names[blob] = name
	return nil
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		alphanumeric := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if !alphanumeric && (i == 0 || strings.IndexByte("._@+-", c) < 0) {
			return false
		}
	}
	return name != ""
}

func parseAuthorizedKeys(path, data string) (*AuthorizedKeys, error) {
	a := &AuthorizedKeys{names: make(map[string]string)}
	err := eachLine(path, data, func(_ int, line string) error {
		key, name, err := parseAuthorizedKey(line)
		if err != nil {
			return err
		}
		return a.add(name, key)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// parseAuthorizedKey is ssh.ParseAuthorizedKey without its tolerance.
func parseAuthorizedKey(line string) (key ssh.PublicKey, comment string, err error) {
	keyType, rest := cutField(line)
	encoded, comment := cutField(rest)
	switch {
	case usableType(keyType):
	case unusableReason(keyType) != "":
		return nil, "", &UnusableKeyError{Source: comment, Type: keyType, Reason: unusableReason(keyType)}
	case hasKeyType(rest):
		return nil, "", fmt.Errorf("options before a key are not supported: %.40q", keyType)
	default:
		return nil, "", fmt.Errorf("it does not begin with the type of a key: %.40q", keyType)
	}
	if encoded == "" {
		return nil, "", fmt.Errorf("no key after %q", keyType)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, "", fmt.Errorf("the key is damaged: %w", err)
	}
	key, err = ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, "", fmt.Errorf("the key is damaged: %w", err)
	}
	// The same key in two forms would pass for two keys.
	if key.Type() != keyType || string(key.Marshal()) != string(blob) {
		return nil, "", fmt.Errorf("the key is damaged: it is not of type %q", keyType)
	}
	if comment == "" {
		return nil, "", errors.New("no name after the key: write the name of the caller there")
	}
	return key, comment, nil
}

// hasKeyType reports whether a word of the line names a type of key.
func hasKeyType(line string) bool {
	for _, word := range strings.Fields(line) {
		if usableType(word) || unusableReason(word) != "" {
			return true
		}
	}
	return false
}
