package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"rpipe/parser"
	"rpipe/remote"
	"rpipe/remote/identity"
)

// dialer makes connections as the flags say.
func (c *command) dialer() *remote.Dialer {
	return &remote.Dialer{
		Identify:       c.identify,
		Resolve:        c.resolver(),
		ConnectTimeout: time.Duration(c.ConnectTimeout),
	}
}

// hostFlag parses HOST of a flag: a host, or host:port, with or without the @.
func hostFlag(flag, host string) (parser.Address, error) {
	address, err := parser.ParseAddress("@" + strings.TrimPrefix(host, "@"))
	if err != nil || !address.IsService() || address.Host == "" {
		return address, usageError(fmt.Sprintf("%s takes a host, or host:port, not %q", flag, host))
	}
	return address, nil
}

// list prints the programs that the user may run on a host.
func (c *command) list(ctx context.Context) error {
	host, err := hostFlag("--list", c.List)
	if err != nil {
		return err
	}
	d := c.dialer()
	defer d.Close()
	programs, err := d.List(ctx, host.Host, host.Port)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, p := range programs {
		line := harmless(p.Name)
		if p.Summary != "" {
			line += "\t" + harmless(p.Summary)
		}
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// harmless quotes what a host says if it could do something to a terminal.
func harmless(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

// wrongFingerprint is a host whose key is not the one that was named.
type wrongFingerprint struct {
	host, got, want string
}

func (e *wrongFingerprint) Error() string {
	return fmt.Sprintf("%s has the key %s, not %s: nothing was recorded", e.host, e.got, e.want)
}
func (e *wrongFingerprint) ExitStatus() int { return 77 }
func (e *wrongFingerprint) Hint() string {
	return "ask the host's administrator for what rpiped fingerprint prints there"
}

// fingerprintForm is what ssh-keygen -l and rpiped fingerprint print.
var fingerprintForm = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)

// trust records the key of a host.
func (c *command) trust(ctx context.Context) error {
	host, err := hostFlag("--trust", c.Trust)
	if err != nil {
		return err
	}
	want := ""
	if len(c.Words) > 0 {
		want = c.Words[0]
		if !fingerprintForm.MatchString(want) {
			return usageError(fmt.Sprintf("%q is not a fingerprint: it is SHA256: and 43 characters", want))
		}
	}
	hosts, err := c.hosts()
	if err != nil {
		return err
	}
	d := c.dialer()
	defer d.Close()
	knownAs, key, err := d.HostKey(ctx, host.Host, host.Port)
	if err != nil {
		return err
	}
	fingerprint := identity.Fingerprint(key)
	if want != "" && want != fingerprint {
		return &wrongFingerprint{host: c.Trust, got: fingerprint, want: want}
	}
	known := hosts.Check(knownAs, key) == nil
	if err := hosts.Add(knownAs, key); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%s %s\n", knownAs, fingerprint)
	if want == "" && !known {
		fmt.Fprintf(c.stderr, "rpipe: recorded without proof: compare it with what rpiped fingerprint prints on the host\n")
	}
	return nil
}
