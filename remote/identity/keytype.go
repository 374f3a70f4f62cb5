package identity

import (
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// typeDSA is the type that x/crypto calls insecure by name, so that its use is noticed: here it is refused.
const typeDSA = "ssh-dss"

// usableType reports whether keys of an OpenSSH key type can identify somebody here.
func usableType(keyType string) bool {
	switch keyType {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
		return true
	}
	return false
}

// unusableReason says why keys of a type cannot. For a word that is no key type of OpenSSH it returns "".
func unusableReason(keyType string) string {
	switch {
	case strings.Contains(keyType, "-cert-v0"):
		return "TLS does not know OpenSSH certificates; the plain key can be used"
	case strings.HasPrefix(keyType, "sk-"), strings.HasPrefix(keyType, "webauthn-sk-"):
		return "a FIDO key signs a text of its own form, which TLS 1.3 does not accept"
	case keyType == ssh.KeyAlgoRSA, keyType == ssh.KeyAlgoRSASHA256, keyType == ssh.KeyAlgoRSASHA512:
		return "TLS 1.3 needs RSA-PSS signatures, which OpenSSH does not make"
	case keyType == typeDSA:
		return "TLS 1.3 does not know DSA"
	case strings.HasPrefix(keyType, "ssh-"), strings.HasPrefix(keyType, "ecdsa-sha2-"):
		return "only Ed25519 and ECDSA on P-256, P-384 and P-521 are supported"
	}
	return ""
}

// checkUsable returns nil or an *UnusableKeyError that names the source. A nil key is an error too.
func checkUsable(source string, key ssh.PublicKey) error {
	if key == nil {
		return errors.New("no public key")
	}
	if usableType(key.Type()) {
		return nil
	}
	reason := unusableReason(key.Type())
	if reason == "" {
		reason = "only Ed25519 and ECDSA on P-256, P-384 and P-521 are supported"
	}
	return &UnusableKeyError{Source: source, Type: key.Type(), Reason: reason}
}
