package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rpipe/parser"
	"rpipe/pipeline"
	"rpipe/remote"
	"rpipe/remote/discovery"
	"rpipe/remote/identity"
)

// dialer makes connections as the flags say.
func (c *command) dialer() *remote.Dialer {
	d := &remote.Dialer{Identify: c.identify, Resolve: c.resolver()}
	c.setUp(d)
	return d
}

// setUp makes d as patient as the flags say, and ask the name server that they name.
func (c *command) setUp(d *remote.Dialer) {
	d.Resolver = c.nameServer()
	d.ConnectTimeout = time.Duration(c.ConnectTimeout)
	d.AwaitHost = c.ConnectTimeout > 0
	d.DeadTimeout = time.Duration(c.DeadTimeout)
	if c.Verbose {
		d.Waiting = func(host string, why error) {
			fmt.Fprintf(c.stderr, "rpipe: waiting for %s: %s\n", host, harmless(why.Error()))
		}
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

// list prints the programs that the user may run on a host, or the services of a zone.
func (c *command) list(ctx context.Context) error {
	host, err := hostFlag("--list", c.List)
	if err != nil {
		return err
	}
	d := c.dialer()
	defer d.Close()
	if zone, err := c.isZone(ctx, d, host); err != nil || zone {
		if err == nil {
			err = c.listZone(ctx, host.Host)
		}
		return err
	}
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

// isZone reports whether @NAME is one whose services are to be listed: a name of the DNS, which
// no host of config.toml has.
func (c *command) isZone(ctx context.Context, d *remote.Dialer, name parser.Address) (bool, error) {
	if !strings.HasPrefix(c.List, "@") || name.Port != 0 || name.Host == "localhost" {
		return false, nil
	}
	if _, err := netip.ParseAddr(name.Host); err == nil {
		return false, nil
	}
	addresses, err := d.Resolve(ctx, name.Host)
	return err == nil && len(addresses) == 0, err
}

// listZone prints the services of a zone, as they are written in a script.
func (c *command) listZone(ctx context.Context, zone string) error {
	var client discovery.Client
	if c.Resolver != "" {
		client.Servers = []string{string(c.Resolver)}
	}
	client.Timeout = time.Duration(c.ConnectTimeout)
	services, err := client.Services(ctx, zone)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	for _, s := range services {
		line := "@" + harmless(s.Host)
		if s.Port != pipeline.DefaultServicePort {
			line += fmt.Sprintf(":%d", s.Port)
		}
		if s.Summary != "" {
			line += "\t" + harmless(s.Summary)
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

// trust records the keys of a host: that of each of its addresses, or where a
// fingerprint is given, that one.
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
	found, missing := d.HostKeys(ctx, host.Host, host.Port)
	if want != "" && len(found) > 0 {
		i := slices.IndexFunc(found, func(k remote.HostKey) bool { return identity.Fingerprint(k.Key) == want })
		if i < 0 && missing == nil {
			return &wrongFingerprint{host: c.Trust, got: identity.Fingerprint(found[0].Key), want: want}
		}
		found = slices.DeleteFunc(found, func(k remote.HostKey) bool { return identity.Fingerprint(k.Key) != want })
		if i >= 0 {
			missing = nil // it has what was asked for
		}
	}
	if err := c.record(hosts, found, want != ""); err != nil {
		return err
	}
	return missing
}

// record records keys, all or none where one of them is not what it should be.
func (c *command) record(hosts *identity.KnownHosts, keys []remote.HostKey, proven bool) error {
	news := false
	for _, k := range keys {
		err := hosts.Check(k.KnownAs, k.Key)
		var unknown *identity.UnknownHostError
		var changed *identity.ChangedHostError
		switch {
		case err == nil:
		case errors.As(err, &unknown), errors.As(err, &changed) && proven && isShared(k):
			news = true
		default:
			return err
		}
	}
	for _, k := range keys {
		add := hosts.Add
		if isShared(k) {
			add = hosts.AddBeside
		}
		if err := add(k.KnownAs, k.Key); err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s %s\n", k.KnownAs, identity.Fingerprint(k.Key))
	}
	if news && !proven {
		fmt.Fprintf(c.stderr, "rpipe: recorded without proof: compare it with what rpiped fingerprint prints on the host\n")
	}
	return nil
}

// isShared reports whether the key is of one of several hosts that a name may
// stand for, each with its own.
func isShared(k remote.HostKey) bool { return k.KnownAs != k.Address }
