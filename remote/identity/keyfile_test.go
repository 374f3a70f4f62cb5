package identity_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

func loadKey(tb testing.TB, path string) *identity.Key {
	tb.Helper()
	key, err := identity.LoadKey(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { key.Close() })
	return key
}

// writeFile writes a file that only its user can use, and returns its path.
func writeFile(tb testing.TB, path, text string) string {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestKeyFilesIdentifyBothEnds(t *testing.T) {
	formats := map[string][]string{
		"openssh": nil,
		"pkcs8":   {"-m", "PKCS8"},
		"pem":     {"-m", "PEM"},
	}
	for typeName, typeArgs := range keyTypes {
		for formatName, formatArgs := range formats {
			t.Run(typeName+"/"+formatName, func(t *testing.T) {
				path := sshKeygen(t, "", append(formatArgs, typeArgs...)...)
				key, err := identity.LoadKey(path, func(string) ([]byte, error) {
					t.Error("asked for a passphrase")
					return nil, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				checkKeyWorks(t, key, path)
			})
		}
	}
}

func checkKeyWorks(tb testing.TB, key *identity.Key, path string) {
	tb.Helper()
	want := readPublic(tb, path+".pub")
	if !sameKey(key.PublicKey(), want) {
		tb.Fatal("another public key than ssh-keygen's")
	}
	if printed := runTool(tb, nil, "ssh-keygen", "-l", "-f", path+".pub"); !strings.Contains(printed, " "+key.Fingerprint()+" ") {
		tb.Errorf("fingerprint %s; ssh-keygen prints %s", key.Fingerprint(), printed)
	}
	c, s := connected(tb, clientConfig(tb, key, acceptAll), serverConfig(tb, key))
	for _, side := range []end{c, s} {
		if got, err := identity.PeerKey(side.state); err != nil || !sameKey(got, want) {
			tb.Errorf("got %s, %v", identity.Fingerprint(got), err)
		}
	}
}

func TestAProtectedKeyFileOpensWithItsPassphraseOnly(t *testing.T) {
	tests := map[string][]string{"ecdsa-256/pem": {"-t", "ecdsa", "-m", "PEM"}}
	for name, args := range keyTypes {
		tests[name] = args
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			path := sshKeygen(t, "right", append(args, "-a", "1")...)
			given := []byte("right")
			calls := 0
			key, err := identity.LoadKey(path, func(asked string) ([]byte, error) {
				calls++
				if asked != path {
					t.Errorf("asked for the passphrase of %q", asked)
				}
				return given, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if calls != 1 {
				t.Errorf("asked %d times", calls)
			}
			if !bytes.Equal(given, make([]byte, len(given))) {
				t.Error("the passphrase is still in memory")
			}
			checkKeyWorks(t, key, path)

			for _, wrong := range []string{"wrong", ""} {
				_, err = identity.LoadKey(path, func(string) ([]byte, error) { return []byte(wrong), nil })
				var failed *identity.WrongPassphraseError
				if !errors.As(err, &failed) || failed.Path != path {
					t.Errorf("passphrase %q: got %v, want *WrongPassphraseError", wrong, err)
				} else {
					checkMessages(t, failed, "ssh-keygen")
				}
			}

			_, err = identity.LoadKey(path, nil)
			var protected *identity.ProtectedKeyError
			if !errors.As(err, &protected) || protected.Path != path {
				t.Errorf("got %v, want *ProtectedKeyError", err)
			} else {
				checkMessages(t, protected, "ssh-add "+path)
			}

			refusal := errors.New("no terminal")
			if _, err = identity.LoadKey(path, func(string) ([]byte, error) { return nil, refusal }); !errors.Is(err, refusal) {
				t.Errorf("got %v, want the callback's error", err)
			}
		})
	}
}

func TestKeyFilesThatTLSCannotUseAreRefusedUnasked(t *testing.T) {
	paths := map[string]string{
		ssh.KeyAlgoRSA:                   sshKeygen(t, "", "-t", "rsa", "-b", "1024"),
		ssh.KeyAlgoRSA + " PEM":          sshKeygen(t, "", "-t", "rsa", "-b", "1024", "-m", "PEM"),
		ssh.KeyAlgoRSA + " PKCS8":        sshKeygen(t, "", "-t", "rsa", "-b", "1024", "-m", "PKCS8"),
		ssh.KeyAlgoRSA + " protected":    sshKeygen(t, "secret", "-t", "rsa", "-b", "1024", "-a", "1"),
		ssh.KeyAlgoRSA + " PEM, secret":  sshKeygen(t, "secret", "-t", "rsa", "-b", "1024", "-m", "PEM"),
		ssh.KeyAlgoSKED25519 + " (FIDO)": fidoFile(t),
		"ssh-dss PEM": writeFile(t, filepath.Join(t.TempDir(), "id"),
			"-----BEGIN DSA PRIVATE KEY-----\nMAA=\n-----END DSA PRIVATE KEY-----\n"),
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			_, err := identity.LoadKey(path, func(string) ([]byte, error) {
				t.Error("asked for a passphrase")
				return nil, nil
			})
			keyType, _, _ := strings.Cut(name, " ")
			checkUnusable(t, err, keyType)
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("%q does not name the file", err)
			}
		})
	}
}

// fidoFile writes a key file as ssh-keygen -t ed25519-sk does, but that no token knows the key.
func fidoFile(tb testing.TB) string {
	tb.Helper()
	blob := fidoBlob(tb)
	body := ssh.Marshal(struct {
		Cipher, KDF, Options string
		Keys                 uint32
		Public, Private      []byte
	}{"none", "none", "", 1, blob, make([]byte, 64)})
	block := &pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: append([]byte("openssh-key-v1\x00"), body...)}
	return writeFile(tb, filepath.Join(tb.TempDir(), "id"), string(pem.EncodeToMemory(block)))
}

func TestFilesWithoutAPrivateKeyAreErrorsThatSayWhatToDo(t *testing.T) {
	path := sshKeygen(t, "", "-t", "ed25519")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) string { return writeFile(t, filepath.Join(t.TempDir(), "id"), text) }
	for name, test := range map[string]struct{ path, hint string }{
		"missing":        {filepath.Join(t.TempDir(), "id"), "rpipe --keygen"},
		"no name":        {"", "rpipe --keygen"},
		"empty":          {write(""), "rpipe --keygen"},
		"a folder":       {t.TempDir(), "rpipe --keygen"},
		"public":         {write(string(public)), "private key"},
		"cut":            {write(string(whole[:len(whole)/2])), "rpipe --keygen"},
		"damaged":        {write(strings.Replace(string(whole), "b3BlbnNzaC1rZXktdjE", "b3BlbnNzaC1rZXktdjI", 1)), "rpipe --keygen"},
		"too large":      {write(strings.Repeat("x", 1<<20+1)), "rpipe --keygen"},
		"encrypted pkcs": {write("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"), "ssh-keygen -p"},
		"key agreement":  {write(x25519PEM(t)), "rpipe --keygen"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := identity.LoadKey(test.path, nil)
			var failed *identity.KeyFileError
			if !errors.As(err, &failed) || failed.Path != test.path {
				t.Fatalf("got %v, want *KeyFileError", err)
			}
			checkMessages(t, failed, test.hint)
			if missing := name == "missing" || name == "no name"; errors.Is(err, fs.ErrNotExist) != missing {
				t.Errorf("fs.ErrNotExist: %v", err)
			}
			if strings.Count(err.Error(), test.path) > 1 && test.path != "" {
				t.Errorf("%q names the file twice", err)
			}
		})
	}
}

func TestAGeneratedKeyIsOneThatOpenSSHReads(t *testing.T) {
	key := generate(t)
	path := filepath.Join(t.TempDir(), "made", "for", "it", "identity")
	if err := key.WriteFile(path, "alice@laptop"); err != nil {
		t.Fatal(err)
	}
	checkKeyWorks(t, loadKey(t, path), path)
	derived := runTool(t, nil, "ssh-keygen", "-y", "-f", path)
	written, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != derived || !strings.HasSuffix(derived, " alice@laptop\n") {
		t.Errorf("wrote %q, ssh-keygen derives %q", written, derived)
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{path: 0o600, path + ".pub": 0o644, filepath.Dir(path): 0o700} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.Mode().Perm(); got != want {
				t.Errorf("%s: mode %o, want %o", name, got, want)
			}
		}
	}
	checkNoOthers(t, filepath.Dir(path), "identity", "identity.pub")
}

// checkNoOthers fails the test if a folder holds anything but the names.
func checkNoOthers(tb testing.TB, folder string, names ...string) {
	tb.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		tb.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		tb.Errorf("the folder holds %q, want %q", got, names)
	}
}

func TestAGeneratedKeyCanBeProtected(t *testing.T) {
	key := generate(t)
	path := filepath.Join(t.TempDir(), "identity")
	passphrase := []byte("correct horse")
	if err := key.WriteProtectedFile(path, "", nil); err == nil {
		t.Fatal("an empty passphrase was accepted")
	}
	if err := key.WriteProtectedFile(path, "", passphrase); err != nil {
		t.Fatal(err)
	}
	if string(passphrase) != "correct horse" {
		t.Error("the caller's passphrase was changed")
	}
	loaded, err := identity.LoadKey(path, func(string) ([]byte, error) { return passphrase, nil })
	if err != nil {
		t.Fatal(err)
	}
	checkKeyWorks(t, loaded, path)
	runTool(t, nil, "ssh-keygen", "-q", "-p", "-P", "correct horse", "-N", "", "-f", path)
	checkKeyWorks(t, loadKey(t, path), path)
}

func TestWriteFileNeverOverwrites(t *testing.T) {
	for _, taken := range []string{"identity", "identity.pub"} {
		t.Run(taken, func(t *testing.T) {
			folder := t.TempDir()
			old := writeFile(t, filepath.Join(folder, taken), "old\n")
			err := generate(t).WriteFile(filepath.Join(folder, "identity"), "")
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), old) {
				t.Errorf("got %v", err)
			}
			if data, err := os.ReadFile(old); err != nil || string(data) != "old\n" {
				t.Errorf("the old file: %q, %v", data, err)
			}
			checkNoOthers(t, folder, taken)
		})
	}
	t.Run("link to nothing", func(t *testing.T) {
		folder := t.TempDir()
		if err := os.Symlink(filepath.Join(folder, "elsewhere"), filepath.Join(folder, "identity")); err != nil {
			t.Skipf("no symbolic links: %v", err)
		}
		if err := generate(t).WriteFile(filepath.Join(folder, "identity"), ""); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
		checkNoOthers(t, folder, "identity")
	})
}

func TestOfWritersOfOneNameExactlyOneSucceeds(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "identity")
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		key := generate(t)
		wg.Go(func() { errs[i] = key.WriteFile(path, "") })
	}
	wg.Wait()
	written := 0
	for _, err := range errs {
		if err == nil {
			written++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if written != 1 {
		t.Errorf("%d wrote it", written)
	}
	checkKeyWorks(t, loadKey(t, path), path)
	checkNoOthers(t, folder, "identity", "identity.pub")
}

func TestWriteFileRefusesCommentsThatWouldBeLines(t *testing.T) {
	folder := t.TempDir()
	if err := generate(t).WriteFile(filepath.Join(folder, "identity"), "a\nssh-ed25519 AAAA"); err == nil {
		t.Error("no error")
	}
	checkNoOthers(t, folder)
}

func TestAClosedKeyCannotBeWritten(t *testing.T) {
	key := generate(t)
	key.Close()
	if err := key.WriteFile(filepath.Join(t.TempDir(), "identity"), ""); !errors.Is(err, identity.ErrKeyClosed) {
		t.Errorf("got %v", err)
	}
}

func TestFingerprintOfACertificateIsThatOfItsKey(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := identity.Fingerprint(&ssh.Certificate{Key: key}), identity.Fingerprint(key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := identity.Fingerprint(nil); got != "" {
		t.Errorf("of nil: %q", got)
	}
}

// x25519PEM returns a private key that cannot sign.
func x25519PEM(tb testing.TB) string {
	tb.Helper()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
