package identity_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"rpipe/remote/identity"
)

func TestHostPatternsMatchWhatOpenSSHMatches(t *testing.T) {
	ssh := needTool(t, "ssh-keygen")
	key := generate(t)
	names := map[string]string{ // as ssh-keygen -F takes them, and as Check does
		"[web1.example.org]:7747": "web1.example.org:7747",
		"[web2.example.org]:7747": "web2.example.org:7747",
		"[web1.example.org]:8000": "web1.example.org:8000",
		"[example.org]:7747":      "example.org:7747",
		"web1.example.org":        "web1.example.org:22",
		"[2001:db8::1]:7747":      "[2001:db8::1]:7747",
	}
	for _, pattern := range []string{
		"*", "[*]:7747", "[*]:*", "*:7747", "[web?.example.org]:7747", "[*.example.org]:7747", "*.example.org", "web1.example.org",
		"[web1.example.org]:7747", "[WEB1.Example.ORG]:7747", "[web1*]:7747", "[web*.example.org]:*", "!web1.example.org,*",
		"![web1.example.org]:7747,[*.example.org]:7747", "[*.example.org]:7747,![web1.example.org]:7747", "![*]:*,*", "[2001:*]:7747", "[*::1]:7747",
		"?web*", "*e*e*e*", "***", "[w*b*.*.*]:77?7", "a,b,[example.org]:7747", "![*]:7747",
	} {
		text := pattern + " " + publicLine(key)
		path := writeFile(t, filepath.Join(t.TempDir(), "known_hosts"), text)
		hosts, err := identity.LoadKnownHosts(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, hostport := range names {
			// ssh-keygen -F exits with 1 if it finds nothing.
			want := exec.Command(ssh, "-F", name, "-f", path).Run() == nil
			if got := hosts.Check(hostport, key.PublicKey()) == nil; got != want {
				t.Errorf("pattern %q, name %q: got %v, OpenSSH says %v", pattern, name, got, want)
			}
		}
	}
}
