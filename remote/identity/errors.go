package identity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// exitStatus is the exit status of rpipe for every failure of this package.
const exitStatus = 77

const keygenHint = "make an Ed25519 key with rpipe --keygen (on a host: rpiped keygen)"

// UnusableKeyError says that a key cannot sign TLS 1.3 handshakes, now or ever.
type UnusableKeyError struct {
	Source string // the path of a file, a host, a name, or ""
	Type   string // OpenSSH's name of the key type, such as "ssh-rsa"
	Reason string
}

func (e *UnusableKeyError) Error() string {
	source := ""
	if e.Source != "" {
		source = fmt.Sprintf(" %q", e.Source)
	}
	return fmt.Sprintf("unusable key%s: %s: %s", source, printable(e.Type), e.Reason)
}

func (e *UnusableKeyError) ExitStatus() int { return exitStatus }

func (e *UnusableKeyError) Hint() string {
	return keygenHint + ", or let ssh carry the stream: ssh HOST PROGRAM"
}

// KeyFileError says that a private key could not be taken from a file.
type KeyFileError struct {
	Path   string
	Err    error
	Advice string // what Hint returns, "" for the general advice
}

func (e *KeyFileError) Error() string {
	return fmt.Sprintf("private key %q: %s", e.Path, printable(e.Err.Error()))
}
func (e *KeyFileError) Unwrap() error   { return e.Err }
func (e *KeyFileError) ExitStatus() int { return exitStatus }

func (e *KeyFileError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return keygenHint
}

// ProtectedKeyError says that a private key is protected by a passphrase and that there is no way to ask for it.
type ProtectedKeyError struct{ Path string }

func (e *ProtectedKeyError) Error() string {
	return fmt.Sprintf("private key %q: it is protected by a passphrase, and nobody can be asked for it", e.Path)
}

func (e *ProtectedKeyError) ExitStatus() int { return exitStatus }

func (e *ProtectedKeyError) Hint() string {
	return "load it into an agent with ssh-add " + shellWord(e.Path) + " and name the agent's key, or use a key without a passphrase"
}

// WrongPassphraseError says that a passphrase does not open a private key. Asking again may help.
type WrongPassphraseError struct{ Path string }

func (e *WrongPassphraseError) Error() string {
	return fmt.Sprintf("private key %q: wrong passphrase", e.Path)
}

func (e *WrongPassphraseError) ExitStatus() int { return exitStatus }

func (e *WrongPassphraseError) Hint() string {
	return "try it with: ssh-keygen -y -f " + shellWord(e.Path)
}

// AgentError says that an ssh-agent could not be reached, or does not hold the key that was asked for.
type AgentError struct {
	Socket string
	Err    error
	Advice string // what Hint returns
}

func (e *AgentError) Error() string {
	return fmt.Sprintf("ssh-agent %q: %s", e.Socket, printable(e.Err.Error()))
}
func (e *AgentError) Unwrap() error   { return e.Err }
func (e *AgentError) ExitStatus() int { return exitStatus }
func (e *AgentError) Hint() string    { return e.Advice }

// PermissionError says that a file is not safe, because others than its user and root can read or replace it.
type PermissionError struct {
	Path    string // the file, or the folder above it, that is at fault
	Problem string
	Command string // the shell command that mends it
}

func (e *PermissionError) Error() string   { return fmt.Sprintf("%q is not safe: %s", e.Path, e.Problem) }
func (e *PermissionError) ExitStatus() int { return exitStatus }
func (e *PermissionError) Hint() string    { return "mend it with: " + e.Command }

// LineError says which line of a file of trust is at fault. The whole file is refused.
type LineError struct {
	Path string
	Line int // from 1
	Err  error
}

func (e *LineError) Error() string {
	return fmt.Sprintf("%q, line %d: %s", e.Path, e.Line, printable(e.Err.Error()))
}
func (e *LineError) Unwrap() error   { return e.Err }
func (e *LineError) ExitStatus() int { return exitStatus }

func (e *LineError) Hint() string {
	var unusable *UnusableKeyError
	if errors.As(e.Err, &unusable) {
		return "replace the key in that line: " + keygenHint
	}
	return "correct or remove the line: until then the whole file is refused"
}

// UnknownHostError says that known_hosts has no key for a host.
type UnknownHostError struct {
	HostPort string // as it was asked for
	Type     string // of the key that the host offers
	Got      string // its fingerprint
	File     string // "" if the known hosts are in memory only
}

func (e *UnknownHostError) Error() string {
	return fmt.Sprintf("unknown host key: %s has no entry for %q, which offers %s %s", fileName(e.File), e.HostPort, e.Type, e.Got)
}

func (e *UnknownHostError) ExitStatus() int { return exitStatus }

func (e *UnknownHostError) Hint() string {
	return fmt.Sprintf("if rpiped fingerprint prints the same on that host, run: rpipe --trust %s %s", shellWord(trustWord(e.HostPort)), e.Got)
}

// ChangedHostError says that known_hosts has other keys for a host than the one it offers: the host was set
// up anew, or somebody stands between.
type ChangedHostError struct {
	HostPort string   // as it was asked for
	Type     string   // of the key that the host offers
	Got      string   // its fingerprint
	Want     []string // the fingerprints of all keys recorded for the host
	File     string   // "" if the known hosts are in memory only
	Lines    []int    // where each of Want stands in File
}

func (e *ChangedHostError) Error() string {
	return fmt.Sprintf("changed host key: %q offers %s %s, but %s has %s%s",
		e.HostPort, e.Type, e.Got, fileName(e.File), strings.Join(e.Want, ", "), e.lines(" in line "))
}

func (e *ChangedHostError) ExitStatus() int { return exitStatus }

func (e *ChangedHostError) Hint() string {
	const warn = "somebody may be listening in; only if rpiped fingerprint prints the new key on that host"
	if e.File == "" {
		return warn + ", record it"
	}
	return fmt.Sprintf("%s, remove line %s of %s and run: rpipe --trust %s %s",
		warn, e.lines(""), shellWord(e.File), shellWord(trustWord(e.HostPort)), e.Got)
}

// lines returns the prefix and the line numbers, or "" if there are none.
func (e *ChangedHostError) lines(prefix string) string {
	if e.File == "" || len(e.Lines) == 0 {
		return ""
	}
	words := make([]string, len(e.Lines))
	for i, n := range e.Lines {
		words[i] = fmt.Sprint(n)
	}
	return prefix + strings.Join(words, ", ")
}

// RevokedHostError says that a host offers a key that known_hosts marks with @revoked.
type RevokedHostError struct {
	HostPort string
	Type     string
	Got      string // the fingerprint of the key
	File     string
	Line     int
}

func (e *RevokedHostError) Error() string {
	return fmt.Sprintf("revoked host key: %q offers %s %s, which %s revokes in line %d", e.HostPort, e.Type, e.Got, fileName(e.File), e.Line)
}

func (e *RevokedHostError) ExitStatus() int { return exitStatus }

func (e *RevokedHostError) Hint() string {
	return "somebody may be using a stolen key: give the host a new one with rpiped keygen"
}

func fileName(path string) string {
	if path == "" {
		return "the list of known hosts"
	}
	return fmt.Sprintf("%q", path)
}

// trustWord returns a HOST:PORT as it is written after rpipe --trust: without the default port.
func trustWord(hostport string) string {
	return strings.TrimSuffix(hostport, ":"+defaultPort)
}

// printable writes what is not printable text as an escape of Go's, because it would act on a terminal. The texts of
// other packages' errors may hold what a file or a peer sent.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[size:]
	}
	return b.String()
}

// shellWord quotes a path so that a POSIX shell reads it as one word. What would act on a terminal is written as
// $'\ooo', which bash, ksh, zsh and POSIX.1-2024 understand.
func shellWord(path string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-@%:,="
	if path != "" && strings.Trim(path, safe) == "" {
		return path
	}
	var quoted strings.Builder
	if printable(path) == path {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	quoted.WriteString("$'")
	for i := range len(path) {
		switch c := path[i]; {
		case c == '\'' || c == '\\':
			quoted.WriteByte('\\')
			quoted.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&quoted, `\%03o`, c)
		default:
			quoted.WriteByte(c)
		}
	}
	quoted.WriteByte('\'')
	return quoted.String()
}
