package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// needSeeds fails a fuzz test whose committed inputs are gone.
func needSeeds(f *testing.F) {
	f.Helper()
	entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", f.Name()))
	if err != nil || len(entries) == 0 {
		f.Fatalf("no seeds for %s: %v", f.Name(), err)
	}
}

// fuzzKey is a key that does not change from run to run.
func fuzzKey(f *testing.F) ssh.PublicKey {
	f.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		f.Fatal(err)
	}
	return key
}

// What is accepted is what x/crypto reads there, every line of it, and nothing more; and it survives being
// written.
func FuzzAuthorizedKeys(f *testing.F) {
	needSeeds(f)
	f.Fuzz(func(t *testing.T, data string) {
		parsed, err := parseAuthorizedKeys("file", data)
		if err != nil {
			var line *LineError
			if !errors.As(err, &line) || line.Line < 1 || line.Line > strings.Count(data, "\n")+1 {
				t.Fatalf("%T: %v", err, err)
			}
			if printable(err.Error()) != err.Error() {
				t.Fatalf("not printable: %q", err.Error())
			}
			return
		}
		entries := make(map[string]string)
		rest := []byte(data)
		for {
			key, comment, options, next, err := ssh.ParseAuthorizedKey(rest)
			if err != nil {
				break
			}
			if len(options) != 0 {
				t.Fatalf("options %q were dropped", options)
			}
			entries[string(key.Marshal())] = comment
			rest = next
		}
		if len(entries) != parsed.Len() {
			t.Fatalf("%d keys, x/crypto finds %d", parsed.Len(), len(entries))
		}
		var written strings.Builder
		for blob, name := range entries {
			key, err := ssh.ParsePublicKey([]byte(blob))
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := parsed.Caller(key); !ok || got != name {
				t.Fatalf("caller %q, %v; x/crypto reads %q", got, ok, name)
			}
			written.WriteString(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + name + "\n")
		}
		again, err := parseAuthorizedKeys("file", written.String())
		if err != nil || again.Len() != parsed.Len() {
			t.Fatalf("written again: %v", err)
		}
	})
}

// What is accepted is what x/crypto reads there, and stays so when a line is added for any name that can be added.
func FuzzKnownHosts(f *testing.F) {
	needSeeds(f)
	key := fuzzKey(f)
	f.Fuzz(func(t *testing.T, data, hostport string) {
		name, nameErr := entryName(hostport)
		lines, err := parseKnownHosts("file", data)
		if err != nil {
			var line *LineError
			if !errors.As(err, &line) || line.Line < 1 || line.Line > strings.Count(data, "\n")+1 {
				t.Fatalf("%T: %v", err, err)
			}
			if printable(err.Error()) != err.Error() {
				t.Fatalf("not printable: %q", err.Error())
			}
			return
		}
		rest := []byte(data)
		for i := range lines {
			marker, _, want, _, next, err := ssh.ParseKnownHosts(rest)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want.Marshal(), lines[i].blob) || lines[i].revoked != (marker == "revoked") {
				t.Fatalf("line %d: another key or marker", lines[i].number)
			}
			rest = next
		}
		if nameErr != nil {
			return
		}
		grown, err := addLine("file", lines, hostport, name, key, false)
		var changed *ChangedHostError
		var revoked *RevokedHostError
		if err != nil && !errors.As(err, &changed) && !errors.As(err, &revoked) {
			t.Fatal(err)
		}
		if err != nil || len(grown) == len(lines) {
			return
		}
		text := name + " " + string(ssh.MarshalAuthorizedKey(key))
		again, err := parseKnownHosts("file", text)
		if err != nil {
			t.Fatalf("cannot read what would be written, %q: %v", text, err)
		}
		if err := check("file", again, hostport, name, key); err != nil {
			t.Fatal(err)
		}
	})
}
