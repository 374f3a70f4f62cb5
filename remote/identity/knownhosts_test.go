package identity_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

// publicLine returns the type and the key as all files have them, and the end of the line.
func publicLine(key *identity.Key) string { return string(ssh.MarshalAuthorizedKey(key.PublicKey())) }

func loadHosts(tb testing.TB, text string) *identity.KnownHosts {
	tb.Helper()
	hosts, err := identity.LoadKnownHosts(writeFile(tb, filepath.Join(tb.TempDir(), "known_hosts"), text))
	if err != nil {
		tb.Fatal(err)
	}
	return hosts
}

func newHosts(tb testing.TB, keys map[string]ssh.PublicKey) *identity.KnownHosts {
	tb.Helper()
	hosts, err := identity.NewKnownHosts(keys)
	if err != nil {
		tb.Fatal(err)
	}
	return hosts
}

func TestAHostWithoutAnEntryIsUnknown(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none", "known_hosts")
	hosts, err := identity.LoadKnownHosts(missing)
	if err != nil {
		t.Fatalf("a missing file: %v", err)
	}
	key := generate(t)
	for hostport, trust := range map[string]string{
		"b:7747":             "--trust b ",
		"b:8000":             "--trust b:8000 ",
		"[2001:db8::1]:7747": "--trust '[2001:db8::1]' ",
	} {
		err = hosts.Check(hostport, key.PublicKey())
		var unknown *identity.UnknownHostError
		if !errors.As(err, &unknown) {
			t.Fatalf("got %v, want *UnknownHostError", err)
		}
		if unknown.HostPort != hostport || unknown.Got != key.Fingerprint() || unknown.File != missing {
			t.Errorf("got %+v", unknown)
		}
		checkMessages(t, unknown, trust+key.Fingerprint(), "rpiped fingerprint")
	}
	if _, err := os.Lstat(filepath.Dir(missing)); err == nil {
		t.Error("loading made the folder")
	}
}

func TestAHostWithAnotherKeyIsChanged(t *testing.T) {
	first, second, offered := generate(t), generate(t), generate(t)
	path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"),
		"# hosts\n[a]:7747 "+publicLine(first)+"[b]:7747 "+publicLine(offered)+"\n[a]:7747 "+publicLine(second))
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	err = hosts.Check("a:7747", offered.PublicKey())
	var changed *identity.ChangedHostError
	if !errors.As(err, &changed) {
		t.Fatalf("got %v, want *ChangedHostError", err)
	}
	if changed.HostPort != "a:7747" || changed.Got != offered.Fingerprint() || changed.File != path {
		t.Errorf("got %+v", changed)
	}
	if want := first.Fingerprint() + " " + second.Fingerprint(); strings.Join(changed.Want, " ") != want {
		t.Errorf("want %q, got %q", want, changed.Want)
	}
	if len(changed.Lines) != 2 || changed.Lines[0] != 2 || changed.Lines[1] != 5 {
		t.Errorf("lines %d, want 2 and 5", changed.Lines)
	}
	checkMessages(t, changed, "rpiped fingerprint", "line 2, 5 of "+path, "rpipe --trust a "+offered.Fingerprint())

	// Each of several keys is good.
	for _, key := range []*identity.Key{first, second} {
		if err := hosts.Check("a:7747", key.PublicKey()); err != nil {
			t.Error(err)
		}
	}
}

func TestARevokedKeyIsGoodForNoHost(t *testing.T) {
	key, other := generate(t), generate(t)
	for _, text := range []string{
		"[a]:7747 " + publicLine(key) + "@revoked [a]:7747 " + publicLine(key),
		"@revoked * " + publicLine(key) + "[a]:7747 " + publicLine(key),
		"@revoked elsewhere " + publicLine(key) + "[a]:7747 " + publicLine(key),
	} {
		hosts := loadHosts(t, text+"[a]:7747 "+publicLine(other))
		err := hosts.Check("a:7747", key.PublicKey())
		var revoked *identity.RevokedHostError
		if !errors.As(err, &revoked) {
			t.Fatalf("got %v, want *RevokedHostError", err)
		}
		if line := strings.Count(text[:strings.Index(text, "@")], "\n") + 1; revoked.Line != line {
			t.Errorf("line %d, want %d", revoked.Line, line)
		}
		checkMessages(t, revoked, "rpiped keygen")
		if err := hosts.Add("b:7747", key.PublicKey()); !errors.As(err, &revoked) {
			t.Errorf("Add: got %v, want *RevokedHostError", err)
		}
		if err := hosts.Check("a:7747", other.PublicKey()); err != nil {
			t.Errorf("the host's other key: %v", err)
		}
	}
}

func TestALineThatIsNotUnderstoodRefusesKnownHosts(t *testing.T) {
	key := generate(t)
	line := publicLine(key)
	rsaLine := string(ssh.MarshalAuthorizedKey(readPublic(t, sshKeygen(t, "", "-t", "rsa", "-b", "1024")+".pub")))
	for name, text := range map[string]string{
		"one field":           "garbage\n",
		"no key":              "[a]:7747 ssh-ed25519\n",
		"damaged key":         "[a]:7747 " + strings.Replace(line, "AAAA", "AAAB", 1),
		"cut key":             "[a]:7747 " + line[:len(line)-5] + "\n",
		"wrong type":          "[a]:7747 " + strings.Replace(line, "ssh-ed25519", "ssh-rsa", 1),
		"rsa":                 "[a]:7747 " + rsaLine,
		"certificate":         "@cert-authority * " + line,
		"unknown marker":      "@trusted * " + line,
		"two markers":         "@revoked @revoked * " + line,
		"no pattern":          ", " + line,
		"empty pattern":       "a,,b " + line,
		"negation of nothing": "a,! " + line,
		"hash in a list":      "a,|1|" + strings.Repeat("A", 27) + "=|" + strings.Repeat("A", 27) + "= " + line,
		"short hash":          "|1|AAAA|AAAA " + line,
		"unknown hash":        "|2|" + strings.Repeat("A", 27) + "=|" + strings.Repeat("A", 27) + "= " + line,
		"NUL":                 "[a]:7747\x00 " + line,
		"CR inside":           "[a]:7747 " + strings.Replace(line, "AAAA", "AA\rAA", 1),
		"too long":            "[a]:7747 " + strings.TrimSpace(line) + " " + strings.Repeat("x", 16<<10) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), "# first\n[good]:7747 "+line+text)
			_, err := identity.LoadKnownHosts(path)
			checkLine(t, err, path, 3)
		})
	}
	t.Run("byte order mark", func(t *testing.T) {
		path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), "\ufeff[a]:7747 "+line)
		_, err := identity.LoadKnownHosts(path)
		checkLine(t, err, path, 1)
	})
	if _, err := identity.LoadKnownHosts(""); err == nil {
		t.Error("no path: no error")
	}
}

func checkLine(tb testing.TB, err error, path string, line int) {
	tb.Helper()
	var failed *identity.LineError
	if !errors.As(err, &failed) {
		tb.Fatalf("got %v, want *LineError", err)
	}
	if failed.Path != path || failed.Line != line {
		tb.Errorf("got %s:%d, want %s:%d", failed.Path, failed.Line, path, line)
	}
	checkMessages(tb, failed, "line")
	for _, c := range []byte(failed.Error()) {
		if c < ' ' {
			tb.Errorf("control character in %q", failed.Error())
		}
	}
}

func TestKnownHostsTakesBlanksCommentsAndCRLF(t *testing.T) {
	key := generate(t)
	line := strings.TrimSpace(publicLine(key))
	hosts := loadHosts(t, "\r\n# comment\r\n \t\r\n \t[a]:7747 \t"+line+" a comment of words\r\n[b]:7747 "+line)
	for _, host := range []string{"a:7747", "b:7747"} {
		if err := hosts.Check(host, key.PublicKey()); err != nil {
			t.Error(err)
		}
	}
}

func TestNamesAreComparedAsOpenSSHWritesThem(t *testing.T) {
	key := generate(t)
	hosts := loadHosts(t, "Alpha,[Beta]:7747,[2001:db8::1]:7747,2001:db8::2 "+publicLine(key))
	for hostport, known := range map[string]bool{
		"alpha:22":                       true, // SSH's own port is left out
		"ALPHA:022":                      true,
		"alpha:7747":                     false,
		"beta:7747":                      true,
		"BETA:7747":                      true,
		"beta:22":                        false,
		"beta:7748":                      false,
		"[2001:DB8:0:0:0:0:0:1]:7747":    true,
		"[2001:db8::2]:22":               true,
		"[2001:db8::2]:7747":             false,
		"notbeta:7747":                   false,
		"beta.:7747":                     false,
		"[beta]:7747":                    true,
		"beta:07747":                     true,
		"xn--bcher-kva.example.org:7747": false,
	} {
		if err := hosts.Check(hostport, key.PublicKey()); (err == nil) != known {
			t.Errorf("%s: %v", hostport, err)
		}
	}
}

func TestNamesThatAreNotAHostAndPortAreErrors(t *testing.T) {
	hosts := newHosts(t, nil)
	key := generate(t).PublicKey()
	for _, hostport := range []string{
		"", "a", "a:", ":7747", "a:0", "a:65536", "a:http", "a:-1", "a:+1", "a b:1", "a,b:1", "*:1", "a?:1", "!a:1", "|1|:1",
		"@a:1", "#a:1", "a\n:1", "a\x00:1", "[[a]]:1", "2001:db8::1:7747", "[2001:db8:::1]:1", `"a":1`,
	} {
		for _, err := range []error{hosts.Check(hostport, key), hosts.Add(hostport, key)} {
			var unknown *identity.UnknownHostError
			if err == nil || errors.As(err, &unknown) {
				t.Errorf("%q: %v", hostport, err)
			}
		}
	}
	if hosts.Check("a:1", nil) == nil || hosts.Add("a:1", nil) == nil {
		t.Error("no key: no error")
	}
	rsa := readPublic(t, sshKeygen(t, "", "-t", "rsa", "-b", "1024")+".pub")
	var unusable *identity.UnusableKeyError
	if err := hosts.Add("a:1", rsa); !errors.As(err, &unusable) {
		t.Errorf("RSA: %v", err)
	}
}

func TestWhatAddWritesIsReadByOpenSSH(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rpipe", "known_hosts")
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	key := generate(t)
	names := map[string]string{
		"b.example.org:7747": "[b.example.org]:7747",
		"Upper:7747":         "[upper]:7747",
		"[2001:db8::1]:7747": "[2001:db8::1]:7747",
		"plain:22":           "plain",
		"10.0.0.1:80":        "[10.0.0.1]:80",
	}
	for hostport := range names {
		if err := hosts.Add(hostport, key.PublicKey()); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
		}
	}
	checkNoOthers(t, filepath.Dir(path), "known_hosts")
	find := func() {
		t.Helper()
		for _, name := range names {
			found := runTool(t, nil, "ssh-keygen", "-F", name, "-f", path)
			if !strings.Contains(found, strings.TrimSpace(publicLine(key))) {
				t.Errorf("%s: ssh-keygen finds %q", name, found)
			}
		}
		again, err := identity.LoadKnownHosts(path)
		if err != nil {
			t.Fatal(err)
		}
		for hostport := range names {
			if err := again.Check(hostport, key.PublicKey()); err != nil {
				t.Error(err)
			}
		}
	}
	find()
	runTool(t, nil, "ssh-keygen", "-H", "-f", path)
	if err := os.Remove(path + ".old"); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "example") {
		t.Fatalf("not hashed: %q, %v", data, err)
	}
	find()
	runTool(t, nil, "ssh-keygen", "-R", "[upper]:7747", "-f", path)
	again, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *identity.UnknownHostError
	if err := again.Check("upper:7747", key.PublicKey()); !errors.As(err, &unknown) {
		t.Errorf("after ssh-keygen -R: %v", err)
	}
}

func TestAddChangesNothingThatIsThere(t *testing.T) {
	key, other := generate(t), generate(t)
	// The last line has no end.
	before := "# mine\r\n\n[a]:7747 " + strings.TrimSpace(publicLine(key)) + " comment"
	path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), before)
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	content := func() string {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if err := hosts.Add("a:7747", key.PublicKey()); err != nil || content() != before {
		t.Errorf("the same again: %q, %v", content(), err)
	}
	var changed *identity.ChangedHostError
	if err := hosts.Add("a:7747", other.PublicKey()); !errors.As(err, &changed) || content() != before {
		t.Errorf("another key: %q, %v", content(), err)
	}
	if err := hosts.Add("b:7747", other.PublicKey()); err != nil {
		t.Fatal(err)
	}
	if want := before + "\n[b]:7747 " + publicLine(other); content() != want {
		t.Errorf("got %q, want %q", content(), want)
	}
	if err := hosts.Check("b:7747", key.PublicKey()); !errors.As(err, &changed) || changed.Lines[0] != 4 {
		t.Errorf("the line that was added: %v", err)
	}
	checkNoOthers(t, filepath.Dir(path), "known_hosts")
}

func TestAddBesideKeepsTheKeysThatAreThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	inFile, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, hosts := range []*identity.KnownHosts{inFile, new(identity.KnownHosts)} {
		first, second := generate(t).PublicKey(), generate(t).PublicKey()
		for _, key := range []ssh.PublicKey{first, second, first} {
			if err := hosts.AddBeside("a:7747", key); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(hosts.Check("a:7747", first), hosts.Check("a:7747", second)); err != nil {
			t.Error(err)
		}
		var changed *identity.ChangedHostError
		if err := hosts.Check("a:7747", generate(t).PublicKey()); !errors.As(err, &changed) || len(changed.Want) != 2 {
			t.Errorf("a third key: %v, want one that is none of the two", err)
		}
	}
}

func TestAddBesideDoesNotRecordARevokedKey(t *testing.T) {
	key := generate(t)
	path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), "@revoked * "+publicLine(key)+"\n")
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	var revoked *identity.RevokedHostError
	if err := hosts.AddBeside("a:7747", key.PublicKey()); !errors.As(err, &revoked) {
		t.Errorf("got %v, want *RevokedHostError", err)
	}
}

func TestAddSeesWhatOthersAddedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	first, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	key := generate(t).PublicKey()
	if err := first.Add("a:7747", key); err != nil {
		t.Fatal(err)
	}
	var changed *identity.ChangedHostError
	if err := second.Add("a:7747", generate(t).PublicKey()); !errors.As(err, &changed) {
		t.Errorf("got %v, want *ChangedHostError", err)
	}
	writeFile(t, path, "broken\n")
	err = second.Add("b:7747", key)
	checkLine(t, err, path, 1)
}

func TestNoneOfManyWritersIsLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	names := []string{"a:7747", "b:7747", "c:7747", "d:7747"}
	key := generate(t).PublicKey()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			hosts, err := identity.LoadKnownHosts(path)
			if err == nil {
				err = hosts.Add(name, key)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := hosts.Check(name, key); err != nil {
			t.Error(err)
		}
	}
	checkNoOthers(t, filepath.Dir(path), "known_hosts")
}

func TestAddDoesNotWaitForEverForALockLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	lock := writeFile(t, path+".lock", "")
	hosts, err := identity.LoadKnownHosts(path)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { // so that waiting takes no time
		err := hosts.Add("a:7747", generate(t).PublicKey())
		if err == nil || !strings.Contains(err.Error(), lock) {
			t.Errorf("got %v", err)
		}
	})
	if _, err := os.Lstat(lock); err != nil {
		t.Errorf("the lock of another was removed: %v", err)
	}
}

func TestKnownHostsInMemoryKeepsNoFile(t *testing.T) {
	key, other := generate(t).PublicKey(), generate(t).PublicKey()
	var zero identity.KnownHosts
	for _, hosts := range []*identity.KnownHosts{&zero, newHosts(t, map[string]ssh.PublicKey{"a:7747": key})} {
		if err := errors.Join(hosts.Add("a:7747", key), hosts.Check("A:7747", key)); err != nil {
			t.Error(err)
		}
		err := hosts.Check("a:7747", other)
		var changed *identity.ChangedHostError
		if !errors.As(err, &changed) || changed.File != "" {
			t.Fatalf("got %v, want *ChangedHostError", err)
		}
		checkMessages(t, changed, "rpiped fingerprint")
		if strings.Contains(changed.Hint()+changed.Error(), "line") {
			t.Errorf("speaks of lines: %q, %q", changed, changed.Hint())
		}
	}
	if _, err := identity.NewKnownHosts(map[string]ssh.PublicKey{"a": key}); err == nil {
		t.Error("a name without a port: no error")
	}
}
