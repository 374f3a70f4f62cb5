// Package identity lets OpenSSH keys identify both ends of a connection of rpipe/1.
//
// What goes in: private keys in OpenSSH format or in an ssh-agent, and two files of trust in OpenSSH format:
// known_hosts (which key a host has) and authorized_keys (which caller has a key). What comes out: a
// *tls.Config for either end, and a verdict about the key of the other end. The package opens no connection
// but those to an agent, prints nothing and asks nothing.
//
// # How an OpenSSH key becomes a TLS identity
//
// TLS 1.3 wants a certificate. Each configuration makes one that holds the public key and nothing else of
// meaning: no name, no term, and a signature by a key that is thrown away at once. Nobody checks that
// signature. The private key itself signs the CertificateVerify message of the handshake (RFC 8446, section
// 4.4.3) and nothing else, so an agent is asked once per connection, and never before the host has passed.
// The signed text begins with 64 spaces and the name of its use, so it is not a text that SSH ever signs.
//
// The signatures that TLS 1.3 asks for are the ones that OpenSSH makes for the same key (RFC 8709 and RFC 5656,
// section 6.2.1), but for the encoding: Ed25519 over the message, and ECDSA over SHA-256, SHA-384 or SHA-512
// as the curve is P-256, P-384 or P-521. An agent hashes the message itself, so the signer given to
// crypto/tls is a crypto.MessageSigner. Other keys cannot be used, and are refused with *UnusableKeyError:
// RSA (TLS 1.3 wants RSA-PSS, ssh-agent makes PKCS #1 v1.5), DSA, FIDO keys (they sign a text of their own
// form), OpenSSH certificates, and agent keys that are bound to destinations.
//
// # Who decides what
//
// The client decides about the host during the handshake, before its own key signs. The server only demands
// that the client possess some key of a supported type. Who that is, the caller of this package asks
// afterwards, with PeerKey and AuthorizedKeys: only then can a refusal be told in words, with the
// fingerprint, inside the protocol; a TLS alert says no more than "bad certificate". It follows that a client's
// handshake succeeds even when the server will refuse it.
//
// Session tickets are off, so that every connection proves possession of the key anew, and a key that
// was taken out of a file is out with the next connection after the file was loaded again.
//
// # Files
//
// All files are read strictly: a line that does not parse, or that says something unknown, refuses the whole
// file, with its line number. On Unix, a private key that others can read, a file that others can
// write, and a file below a folder in which others can replace it, are refused with *PermissionError. On
// Windows access control lists are not examined.
//
// # Errors
//
// Every exported error type has ExitStatus, which is 77 (identity refused), and Hint, the next step for
// the user in one line, or "". Whatever comes from a file, an agent or a peer is quoted in their texts.
package identity
