package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// KnownHosts says which keys a host has. Its methods may be called concurrently. The zero value knows no host
// and keeps what is added in memory.
type KnownHosts struct {
	path string // "" if in memory only

	mu    sync.RWMutex
	lines []hostLine
}

// hostLine is a line of known_hosts.
type hostLine struct {
	number  int // 0 if in memory only
	revoked bool
	hosts   hostMatcher
	blob    []byte // the key in SSH's wire format
	key     ssh.PublicKey
}

// LoadKnownHosts reads a file in OpenSSH's known_hosts format. A file that does not exist is empty, but path must
// not be.
//
// Hashed names, wildcards and negation are read as OpenSSH reads them (sshd(8)); a name matches together with its
// port, as in "[host]:7747". A host may have several keys. A key that a line marks with @revoked is revoked for
// all hosts, whatever names are on that line: OpenSSH heeds the names.
//
// Lines with @cert-authority, lines with keys that no host of ours can have, and all that do not parse,
// refuse the whole file with a *LineError. (knownhosts.New of x/crypto reads a file by its name, after any check
// of the file, and takes lines that this package refuses, so only its Normalize serves here.) A file that
// others can write is a *PermissionError.
func LoadKnownHosts(path string) (*KnownHosts, error) {
	if path == "" {
		return nil, errors.New("known hosts: no file was named")
	}
	data, err := readTrusted(path, publicFile, maxTrustFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("known hosts: %w", err)
	}
	lines, err := parseKnownHosts(path, string(data))
	if err != nil {
		return nil, err
	}
	return &KnownHosts{path: path, lines: lines}, nil
}

// NewKnownHosts returns known hosts in memory, with one key for each HOST:PORT.
func NewKnownHosts(keys map[string]ssh.PublicKey) (*KnownHosts, error) {
	k := new(KnownHosts)
	for hostport, key := range keys {
		if err := k.Add(hostport, key); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Check returns nil if the key is one that is recorded for hostport, which is HOST:PORT, with brackets around an IPv6
// address. Else it returns an *UnknownHostError, *ChangedHostError or *RevokedHostError, or an error that says
// why the question makes no sense. It does not look at the file again.
func (k *KnownHosts) Check(hostport string, key ssh.PublicKey) error {
	name, err := checkEntry(hostport, key)
	if err != nil {
		return err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return check(k.path, k.lines, hostport, name, key)
}

// Add records a key for hostport. If the key is recorded already, it does nothing; if the host has other
// keys, it returns a *ChangedHostError, and if the key is revoked, a *RevokedHostError.
//
// The file is read anew, so that what others added is kept, and replaced as a whole: it is whole at every
// moment, on disk when Add returns, and only for the user (0600) if it is new, as are folders that were missing
// (0700). Meanwhile the new file stands beside it with ".lock" at the end of its name, which keeps others from
// doing the same: Add waits for them up to five seconds.
func (k *KnownHosts) Add(hostport string, key ssh.PublicKey) error {
	return k.add(hostport, key, false)
}

// AddBeside is Add, but that other keys of the host are no error: the new one stands beside them. It is for a name
// that several hosts share.
func (k *KnownHosts) AddBeside(hostport string, key ssh.PublicKey) error {
	return k.add(hostport, key, true)
}

func (k *KnownHosts) add(hostport string, key ssh.PublicKey, beside bool) error {
	name, err := checkEntry(hostport, key)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.path == "" {
		lines, err := addLine("", k.lines, hostport, name, key, beside)
		k.lines = lines
		return err
	}
	return k.addToFile(hostport, name, key, beside)
}

func (k *KnownHosts) addToFile(hostport, name string, key ssh.PublicKey, beside bool) error {
	if _, err := makeFolder(filepath.Dir(k.path)); err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	real, err := locate(k.path)
	if err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	next, err := createLock(real + ".lock")
	if err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	replaced := false
	defer func() {
		next.Close()
		if !replaced { // else the name may be the lock of another by now
			os.Remove(next.Name())
		}
	}()

	mode := fs.FileMode(0o600)
	if info, err := os.Stat(real); err == nil {
		mode = info.Mode().Perm()
	}
	data, err := readTrusted(real, publicFile, maxTrustFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("known hosts: %w", err)
	}
	lines, err := parseKnownHosts(k.path, string(data))
	if err != nil {
		return err
	}
	recorded := len(lines)
	lines, err = addLine(k.path, lines, hostport, name, key, beside)
	if err != nil {
		return err
	}
	if len(lines) > recorded {
		if len(data) > 0 && data[len(data)-1] != '\n' {
			data = append(data, '\n')
		}
		lines[recorded].number = bytes.Count(data, []byte("\n")) + 1
		data = append(data, name+" "+string(ssh.MarshalAuthorizedKey(key))...)
		if err := fill(next, data, mode); err != nil {
			return fmt.Errorf("known hosts: %w", err)
		}
		if err := os.Rename(next.Name(), real); err != nil {
			return fmt.Errorf("known hosts: %w", err)
		}
		replaced = true
		if err := syncFolder(filepath.Dir(real)); err != nil {
			return fmt.Errorf("known hosts: %w", err)
		}
	}
	k.lines = lines
	return nil
}

// createLock makes a file that must not exist, or waits for the one who has made it.
func createLock(path string) (*os.File, error) {
	const pause, patience = 20 * time.Millisecond, 5 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("another rpipe is writing, or was killed while it wrote: try again, and if none runs, remove %q", path)
		}
	}
}

// checkEntry returns the form of hostport in known_hosts.
func checkEntry(hostport string, key ssh.PublicKey) (name string, err error) {
	if err := checkUsable(hostport, key); err != nil {
		return "", err
	}
	return entryName(hostport)
}

// addLine returns lines with one more, or unchanged if the key is there.
func addLine(path string, lines []hostLine, hostport, name string, key ssh.PublicKey, beside bool) ([]hostLine, error) {
	err := check(path, lines, hostport, name, key)
	var unknown *UnknownHostError
	var changed *ChangedHostError
	if !errors.As(err, &unknown) && !(beside && errors.As(err, &changed)) {
		return lines, err
	}
	return append(lines, hostLine{
		hosts: hostPatterns{{text: name}},
		blob:  key.Marshal(),
		key:   key,
	}), nil
}

func check(path string, lines []hostLine, hostport, name string, key ssh.PublicKey) error {
	blob, keyType, fingerprint := key.Marshal(), key.Type(), Fingerprint(key)
	changed := &ChangedHostError{HostPort: hostport, Type: keyType, Got: fingerprint, File: path}
	found := false
	for _, line := range lines {
		same := bytes.Equal(line.blob, blob)
		switch {
		case line.revoked && same:
			return &RevokedHostError{HostPort: hostport, Type: keyType, Got: fingerprint, File: path, Line: line.number}
		case line.revoked || !line.hosts.match(name):
		case same:
			found = true
		default:
			changed.Want = append(changed.Want, Fingerprint(line.key))
			changed.Lines = append(changed.Lines, line.number)
		}
	}
	switch {
	case found:
		return nil
	case len(changed.Want) > 0:
		return changed
	}
	return &UnknownHostError{HostPort: hostport, Type: keyType, Got: fingerprint, File: path}
}

func parseKnownHosts(path, data string) ([]hostLine, error) {
	var lines []hostLine
	err := eachLine(path, data, func(number int, text string) error {
		line, err := parseHostLine(text)
		if err != nil {
			return err
		}
		line.number = number
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func parseHostLine(text string) (hostLine, error) {
	marker, hosts, key, _, _, err := ssh.ParseKnownHosts([]byte(text))
	if err == io.EOF { // its word for a line of one field
		return hostLine{}, errors.New("not of the form HOSTS TYPE KEY")
	}
	if err != nil {
		return hostLine{}, fmt.Errorf("not of the form HOSTS TYPE KEY: %w", err)
	}
	switch marker {
	case "", "revoked":
	case "cert-authority":
		return hostLine{}, errors.New("@cert-authority is not supported: TLS does not know OpenSSH certificates")
	default:
		return hostLine{}, fmt.Errorf("unknown marker %.40q", "@"+marker)
	}
	if err := checkUsable(strings.Join(hosts, ","), key); err != nil {
		return hostLine{}, err
	}
	matcher, err := parseHosts(hosts)
	if err != nil {
		return hostLine{}, err
	}
	return hostLine{revoked: marker == "revoked", hosts: matcher, blob: key.Marshal(), key: key}, nil
}
