package identity_test

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

func loadAuthorized(tb testing.TB, text string) (*identity.AuthorizedKeys, string, error) {
	tb.Helper()
	path := writeFile(tb, filepath.Join(tb.TempDir(), "authorized_keys"), text)
	keys, err := identity.LoadAuthorizedKeys(path)
	return keys, path, err
}

// keyField returns the type and the key without the end of the line.
func keyField(key *identity.Key) string { return strings.TrimSpace(publicLine(key)) }

func TestACallerHasTheNameAfterTheKey(t *testing.T) {
	laptop, desk, bob, stranger := generate(t), generate(t), generate(t), generate(t)
	keys, _, err := loadAuthorized(t, "# ours\r\n\r\n"+keyField(laptop)+" alice\r\n \t"+keyField(desk)+"\t alice \t\n"+
		keyField(bob)+" bob.2@b+c-d_e\n"+keyField(desk)+" alice")
	if err != nil {
		t.Fatal(err)
	}
	if keys.Len() != 3 {
		t.Errorf("%d keys, want 3", keys.Len())
	}
	for key, want := range map[*identity.Key]string{laptop: "alice", desk: "alice", bob: "bob.2@b+c-d_e"} {
		if name, ok := keys.Caller(key.PublicKey()); !ok || name != want {
			t.Errorf("got %q, %v; want %q", name, ok, want)
		}
	}
	if name, ok := keys.Caller(stranger.PublicKey()); ok || name != "" {
		t.Errorf("a stranger is %q", name)
	}
	if _, ok := keys.Caller(nil); ok {
		t.Error("no key is somebody")
	}
}

func TestKeysThatSSHKeygenMadeAreTakenAsTheyAre(t *testing.T) {
	for name, args := range keyTypes {
		t.Run(name, func(t *testing.T) {
			path := sshKeygen(t, "", args...)
			keys, err := identity.LoadAuthorizedKeys(path + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			if caller, ok := keys.Caller(readPublic(t, path+".pub")); !ok || caller != "test@example" {
				t.Errorf("got %q, %v", caller, ok)
			}
		})
	}
}

func TestALineThatIsNotUnderstoodRefusesAuthorizedKeys(t *testing.T) {
	good, key := generate(t), generate(t)
	field := keyField(key)
	_, encoded, _ := strings.Cut(field, " ")
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	longer := base64.StdEncoding.EncodeToString(append(blob, 0, 0, 0))
	rsaLine := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(readPublic(t, sshKeygen(t, "", "-t", "rsa", "-b", "1024")+".pub"))))
	fido := ssh.KeyAlgoSKED25519 + " " + base64.StdEncoding.EncodeToString(fidoBlob(t))
	for name, text := range map[string]string{
		"option":              "restrict " + field + " alice",
		"command":             `command="echo hello",no-pty ` + field + " alice",
		"option with a quote": `command="say \"hi\" ssh-ed25519" ` + field + " alice",
		"unknown option":      "x " + field + " alice",
		"no name":             field,
		"name of two words":   field + " alice laptop",
		"name with a slash":   field + " alice/laptop",
		"name from a dot":     field + " .alice",
		"name from a dash":    field + " -alice",
		"name in Unicode":     field + " älice",
		"key of another name": keyField(good) + " mallory",
		"rsa":                 rsaLine + " alice",
		"fido":                fido + " alice",
		"dss":                 "ssh-dss AAAA alice",
		"certificate":         ssh.CertAlgoED25519v01 + " " + encoded + " alice",
		"type only":           "ssh-ed25519",
		"garbage":             "garbage",
		"no base64":           "ssh-ed25519 !!!! alice",
		"base64 with rest":    looseBase64(t) + " alice",
		"unpadded":            "ssh-ed25519 " + encoded + "= alice",
		"key of another type": "ecdsa-sha2-nistp256 " + encoded + " alice",
		"bytes after the key": "ssh-ed25519 " + longer + " alice",
		"short key":           "ssh-ed25519 " + encoded[:len(encoded)-8] + " alice",
		"NUL":                 field + " ali\x00ce",
		"escape":              field + " \x1b[2Jalice",
		"two lines by CR":     field + " alice\r" + field + " bob",
		"too long":            field + " " + strings.Repeat("a", 16<<10),
		"private key":         "-----BEGIN OPENSSH PRIVATE KEY-----",
	} {
		t.Run(name, func(t *testing.T) {
			keys, path, err := loadAuthorized(t, keyField(good)+" good\n"+text+"\n"+keyField(key)+" last\n")
			checkLine(t, err, path, 2)
			if keys != nil {
				t.Error("keys beside an error")
			}
			if name == "rsa" || name == "fido" || name == "dss" || name == "certificate" {
				var unusable *identity.UnusableKeyError
				if !errors.As(err, &unusable) {
					t.Errorf("%v does not wrap *UnusableKeyError", err)
				}
			}
		})
	}
	for name, mark := range map[string]string{"utf-8": "\ufeff", "utf-16": "\xff\xfe"} {
		t.Run("byte order mark "+name, func(t *testing.T) {
			_, path, err := loadAuthorized(t, mark+keyField(good)+" good\n")
			checkLine(t, err, path, 1)
		})
	}
}

func TestAnEmptyListKnowsNobody(t *testing.T) {
	key := generate(t).PublicKey()
	empty, _, err := loadAuthorized(t, "# nobody yet\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*identity.AuthorizedKeys{nil, new(identity.AuthorizedKeys), empty} {
		if _, ok := keys.Caller(key); ok || keys.Len() != 0 {
			t.Errorf("%v knows somebody", keys)
		}
	}
	if _, err := identity.LoadAuthorizedKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestCallersInMemoryFollowTheSameRules(t *testing.T) {
	key := generate(t).PublicKey()
	keys, err := identity.NewAuthorizedKeys(map[string]ssh.PublicKey{"alice": key})
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := keys.Caller(key); !ok || name != "alice" {
		t.Errorf("got %q, %v", name, ok)
	}
	rsa := readPublic(t, sshKeygen(t, "", "-t", "rsa", "-b", "1024")+".pub")
	for name, wrong := range map[string]map[string]ssh.PublicKey{
		"name":      {"alice smith": key},
		"no name":   {"": key},
		"no key":    {"alice": nil},
		"rsa":       {"alice": rsa},
		"two names": {"alice": key, "bob": key},
	} {
		if _, err := identity.NewAuthorizedKeys(wrong); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// looseBase64 returns a key whose base64 has bits that belong to no byte.
func looseBase64(tb testing.TB) string {
	tb.Helper()
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(readPublic(tb, sshKeygen(tb, "", "-t", "ecdsa", "-b", "256")+".pub"))))
	body, ok := strings.CutSuffix(line, "=") // 104 bytes: two bits of the last character are not used
	if !ok {
		tb.Fatalf("unexpected length of %q", line)
	}
	return body[:len(body)-1] + string(body[len(body)-1]+1) + "="
}
