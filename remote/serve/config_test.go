package serve

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

// fakeLook finds every program but "missing" and "dotted", without looking.
func fakeLook(name string) (string, error) {
	switch {
	case name == "missing" || name == "/missing":
		return "", exec.ErrNotFound
	case name == "dotted":
		return "bin/dotted", exec.ErrDot
	case filepath.IsAbs(name):
		return name, nil
	}
	return "/bin/" + name, nil
}

// goldenConfigs returns the archives of testdata/config, and fails if there are
// none.
func goldenConfigs(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/config/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives in testdata/config: %v", err)
	}
	return files
}

// Each archive holds an rpiped.toml and the errors that it must give, to the letter.
func TestWrongConfigurationsAreToldWithPlaceAndNextStep(t *testing.T) {
	for _, file := range goldenConfigs(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Files) != 2 {
				t.Fatalf("%d files, want rpiped.toml and errors", len(archive.Files))
			}
			_, err = decodeConfig("rpiped.toml", archive.Files[0].Data, fakeLook)
			if err == nil {
				t.Fatal("accepted")
			}
			if _, ok := errors.AsType[ConfigErrors](err); !ok {
				t.Fatalf("a %T, want ConfigErrors", err)
			}
			got := err.Error() + "\n"
			if *update {
				archive.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, src string) *Config {
	t.Helper()
	c, err := decodeConfig("/etc/rpiped/rpiped.toml", []byte(src), fakeLook)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnEmptyConfigurationIsTheDefaults(t *testing.T) {
	want := &Config{
		File:           "/etc/rpiped/rpiped.toml",
		Listen:         []string{":7747"},
		HostKey:        "/etc/rpiped/host_key",
		AuthorizedKeys: "/etc/rpiped/authorized_keys",
		MaxSessions:    256,
		Drain:          30 * time.Second,
		DeadTimeout:    15 * time.Second,
		Groups:         map[string][]string{},
		Programs:       map[string]*Program{},
		HopTo:          map[string]*HopTarget{},
	}
	if diff := cmp.Diff(want, decode(t, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	got := decode(t, `
listen = ["127.0.0.1:7747", "[::]:0"]
host_key = "keys/host"
authorized_keys = "/srv/keys"
max_sessions = 12
drain = "1m30s"
dead_timeout = "1m"

[groups]
batch = ["bob", "carol"]

[programs]
inline = { run = ["true"] }
dotted.run = ["false"]
dotted.stdin = true

[programs.upper]
run = ["tr", "a-z", "A-Z"]
args = "any"
allow = ["bob", "alice", "@batch"]
env = ["FOO", "APP_*"]
summary = "turns a into A"

[programs."c++filt"]
run = ["/opt/c++filt", ""]
args = "none"
env = []
stdin = false

[hop_to.b]
address = "b.example.net:7747"
key = "`+hostKeyB+` root@b"
allow = ["@batch", "alice"]

[hop_to."10.0.0.7"]
address = "[2001:db8::7]:7748"
key = "`+hostKeyC+`"
`)
	want := &Config{
		File:           "/etc/rpiped/rpiped.toml",
		Listen:         []string{"127.0.0.1:7747", "[::]:0"},
		HostKey:        "/etc/rpiped/keys/host",
		AuthorizedKeys: "/srv/keys",
		MaxSessions:    12,
		Drain:          90 * time.Second,
		DeadTimeout:    time.Minute,
		Groups:         map[string][]string{"batch": {"bob", "carol"}},
		Programs: map[string]*Program{
			"inline": {Name: "inline", Run: []string{"/bin/true"}, IgnoresInput: true},
			"dotted": {Name: "dotted", Run: []string{"/bin/false"}},
			"upper": {
				Name:    "upper",
				Run:     []string{"/bin/tr", "a-z", "A-Z"},
				Args:    ArgsAny,
				Allow:   []string{"alice", "bob", "carol"},
				Env:     []string{"FOO", "APP_*"},
				Summary: "turns a into A",
			},
			"c++filt": {Name: "c++filt", Run: []string{"/opt/c++filt", ""}, Env: []string{}, IgnoresInput: true},
		},
		HopTo: map[string]*HopTarget{
			"b": {
				HopPeer: HopPeer{Name: "b", Address: "b.example.net:7747"},
				Key:     hostKey(t, hostKeyB),
				Allow:   []string{"alice", "bob", "carol"},
			},
			"10.0.0.7": {
				HopPeer: HopPeer{Name: "10.0.0.7", Address: "[2001:db8::7]:7748"},
				Key:     hostKey(t, hostKeyC),
			},
		},
	}
	if diff := cmp.Diff(want, got, sameKeys); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Two host keys, as their files say.
const (
	hostKeyB = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPhcFl1ImwvmYmM0jdAxDXvur7eX24qGVhy/021rR1g1"
	hostKeyC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIERvT0EA6t2po+i4K2ArD3YM5zEDcoyVilawYIlcnVxs"
)

func hostKey(t testing.TB, text string) ssh.PublicKey {
	t.Helper()
	key, err := parseHostKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var sameKeys = cmp.Comparer(func(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) })

func TestPeersAreFoundByTheirKeyAndOnlyForThoseWhomTheyAllow(t *testing.T) {
	c := decode(t, "[hop_to.b]\naddress = \"b:1\"\nkey = \""+hostKeyB+"\"\nallow = [\"alice\"]\n")
	hops := NewHops(c.HopTo)
	b := hostKey(t, hostKeyB)
	if p, err := hops.Peer("alice", b); err != nil || p != (HopPeer{Name: "b", Address: "b:1"}) {
		t.Errorf("for alice: %+v, %v", p, err)
	}
	for _, test := range []struct {
		caller string
		key    ssh.PublicKey
		want   string
	}{
		{"bob", b, `"b" is not for "bob" (its administrator would add that name to allow)`},
		{"alice", hostKey(t, hostKeyC), "its administrator would list the key " + identity.Fingerprint(hostKey(t, hostKeyC)) + " under hop_to"},
	} {
		p, err := hops.Peer(test.caller, test.key)
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok || refusal.Reason != test.want || p != (HopPeer{}) {
			t.Errorf("for %s: %+v, %v, want %q", test.caller, p, err, test.want)
		}
	}
}

func TestAConfigurationWithoutProgramsHasNoTable(t *testing.T) {
	_, err := decode(t, "").Table()
	if _, ok := errors.AsType[*NoProgramsError](err); !ok {
		t.Errorf("Table: %v, want a *NoProgramsError", err)
	}
}

func TestErrorsOfOneFileAreBounded(t *testing.T) {
	var src strings.Builder
	for i := range 52 {
		fmt.Fprintf(&src, "unknown%d = 1\n", i)
	}
	_, err := decodeConfig("rpiped.toml", []byte(src.String()), fakeLook)
	errs, _ := errors.AsType[ConfigErrors](err)
	if len(errs) != 52 {
		t.Errorf("%d errors are kept, want all 52", len(errs))
	}
	if got := strings.Count(err.Error(), "unknown key"); got != maxConfigErrors {
		t.Errorf("%d errors are shown, want %d", got, maxConfigErrors)
	}
	if !strings.HasSuffix(err.Error(), "rpiped.toml: 32 more errors") {
		t.Errorf("the end does not count the rest: %q", err)
	}
}

func TestLoadFindsProgramsOnThePathOfTheDaemon(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "only-here")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder)
	file := filepath.Join(folder, "rpiped.toml")
	src := "[programs.a]\nrun = [\"only-here\", \"x\"]\n[programs.b]\nrun = [\"not-here\"]\n"
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	errs, _ := errors.AsType[ConfigErrors](err)
	if len(errs) != 1 || errs[0].Line != 4 {
		t.Fatalf("Load: %v, want one error on line 4", err)
	}
	if err := os.WriteFile(file, []byte(src[:strings.Index(src, "[programs.b]")]), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Programs["a"].Run, []string{program, "x"}; !slices.Equal(got, want) {
		t.Errorf("run is %q, want %q", got, want)
	}
}

func TestAFileThatIsNotThereIsNoConfigError(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "rpiped.toml"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load: %v, want one that is fs.ErrNotExist", err)
	}
}

func TestAFileOfAbsurdSizeIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rpiped.toml")
	if err := os.WriteFile(file, make([]byte, maxConfigSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("Load: %v, want a refusal for its size", err)
	}
}

// What decodes keeps every promise that Config and Program make, and is TOML; what
// does not, tells places that are in the file.
func FuzzDecodeConfig(f *testing.F) {
	for _, file := range goldenConfigs(f) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Add([]byte("[hop_to.b]\naddress = \"b:1\"\nkey = \"" + hostKeyB + "\"\nallow = [\"a\"]\n"))
	f.Add([]byte("listen = [\"[::]:0\"]\n[groups]\ng = [\"a\"]\n[programs.p]\nrun = [\"tr\"]\nargs = \"any\"\nallow = [\"@g\"]\nenv = [\"FOO\"]\nsummary = \"s\"\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := decodeConfig("/etc/rpiped.toml", src, fakeLook)
		if err != nil {
			checkPlaces(t, src, err)
			return
		}
		var all map[string]any
		if err := toml.Unmarshal(src, &all); err != nil {
			t.Fatalf("accepted what is no TOML: %v", err)
		}
		checkConfig(t, c)
	})
}

func checkPlaces(t *testing.T, src []byte, err error) {
	t.Helper()
	errs, ok := errors.AsType[ConfigErrors](err)
	if !ok || len(errs) == 0 {
		t.Fatalf("%T %v, want ConfigErrors", err, err)
	}
	lines := strings.Split(string(src), "\n")
	for _, e := range errs {
		if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 || e.Message == "" {
			t.Fatalf("no place in the file: %+v", e)
		}
		for _, line := range strings.Split(e.Error(), "\n") {
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				t.Fatalf("control character in %q", line)
			}
		}
	}
}

func checkConfig(t *testing.T, c *Config) {
	t.Helper()
	if len(c.Listen) == 0 || !filepath.IsAbs(c.HostKey) || !filepath.IsAbs(c.AuthorizedKeys) || c.MaxSessions < 1 || c.Drain < 0 {
		t.Fatalf("accepted %+v", c)
	}
	for name, p := range c.Programs {
		switch {
		case p.Name != name, !programName.MatchString(name), len(p.Run) == 0, !filepath.IsAbs(p.Run[0]),
			p.Allow != nil && len(p.Allow) == 0, slices.Contains(p.Allow, ""), slices.Contains(p.Env, anyEnv):
			t.Fatalf("accepted program %+v", p)
		}
		for _, r := range reservedEnv {
			reserved := strings.TrimSuffix(r.pattern, "*")
			if slices.ContainsFunc(p.Env, func(pattern string) bool { return matchEnv(pattern, reserved) }) {
				t.Fatalf("program %q accepts %q", name, reserved)
			}
		}
	}
	for name, h := range c.HopTo {
		host, port, err := net.SplitHostPort(h.Address)
		if h.Name != name || !peerName.MatchString(name) || err != nil || host == "" || port == "0" || h.Key == nil || h.Allow != nil && len(h.Allow) == 0 {
			t.Fatalf("accepted peer %+v", h)
		}
	}
	for name, members := range c.Groups {
		if len(members) == 0 {
			t.Fatalf("accepted empty group %q", name)
		}
	}
}

func TestAConfigurationThatOthersCanWriteIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of files mean nothing here")
	}
	file := filepath.Join(t.TempDir(), "rpiped.toml")
	if err := os.WriteFile(file, []byte("[programs.true]\nrun = [\"true\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(file); err != nil {
		t.Fatalf("Load of a file of our own: %v", err)
	}
	if err := os.Chmod(file, 0o622); err != nil {
		t.Fatal(err)
	}
	var unsafe *identity.PermissionError
	if _, err := Load(file); !errors.As(err, &unsafe) {
		t.Errorf("Load: %v, want *identity.PermissionError", err)
	}
}
