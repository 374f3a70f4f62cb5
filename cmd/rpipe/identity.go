package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"rpipe/remote"
	"rpipe/remote/identity"
)

// passphraseTries is how often a passphrase is asked for, as ssh does.
const passphraseTries = 3

// noIdentity is a user who has no key.
type noIdentity struct {
	path string
}

func (e *noIdentity) Error() string   { return "you have no key: there is no " + e.path }
func (e *noIdentity) ExitStatus() int { return 77 }
func (e *noIdentity) Hint() string {
	return "make one with rpipe --keygen, or name another with --identity"
}

// identify is remote.Dialer.Identify.
func (c *command) identify(ctx context.Context) (*identity.Key, remote.HostKeys, error) {
	hosts, err := c.hosts()
	if err != nil {
		return nil, nil, err
	}
	key, err := c.key(ctx)
	if err != nil {
		return nil, nil, err
	}
	return key, hosts, nil
}

// hosts loads the host keys that are trusted.
func (c *command) hosts() (*identity.KnownHosts, error) {
	file, err := inFolder(c.KnownHosts, "known_hosts")
	if err != nil {
		return nil, err
	}
	return identity.LoadKnownHosts(file)
}

// key loads the user's key.
func (c *command) key(ctx context.Context) (*identity.Key, error) {
	if selector, ok := agentSelector(c.Identity); ok {
		return identity.AgentKey(ctx, os.Getenv("SSH_AUTH_SOCK"), selector)
	}
	file, err := inFolder(c.Identity, "identity")
	if err != nil {
		return nil, err
	}
	var ask func(path string) ([]byte, error) // nil: nobody can be asked
	if hasTerminal() {
		ask = func(path string) ([]byte, error) {
			return askPassphrase(ctx, "passphrase for "+path+": ")
		}
	}
	for try := 1; ; try++ {
		key, err := identity.LoadKey(file, ask)
		var wrong *identity.WrongPassphraseError
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &noIdentity{file}
		case errors.As(err, &wrong) && try < passphraseTries:
			continue
		}
		return key, err
	}
}

// agentSelector returns what names a key in ssh-agent, and whether value does.
func agentSelector(value string) (string, bool) {
	if comment, ok := strings.CutPrefix(value, "agent:"); ok {
		return comment, true
	}
	return value, strings.HasPrefix(value, "SHA256:") || strings.HasSuffix(value, ".pub")
}

// askPassphrase asks on the terminal, whatever stdin and stderr are. When ctx is
// done it returns at once, with the terminal as it was.
func askPassphrase(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := os.OpenFile(terminalName, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("no terminal to ask for it on: %w", innermost(err))
	}
	defer tty.Close()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("no terminal to ask for it on: %w", err)
	}
	fmt.Fprint(tty, prompt)
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		fmt.Fprintln(tty)
		return a.text, a.err
	case <-ctx.Done():
		// The read ends with the process, which is about to.
		_ = term.Restore(fd, state)
		fmt.Fprintln(tty)
		return nil, context.Cause(ctx)
	}
}

// keygen makes the user's key.
func (c *command) keygen() error {
	file, err := inFolder(c.Identity, "identity")
	if err != nil {
		return err
	}
	key, err := identity.Generate()
	if err != nil {
		return err
	}
	defer key.Close()
	name := callerName()
	if err := key.WriteFile(file, name); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "rpipe: your key is %s; this line goes into authorized_keys of the hosts:\n", file)
	_, err = fmt.Fprintf(c.stdout, "%s %s\n", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey()))), name)
	return err
}

// notInName is what a caller's name cannot hold.
var notInName = regexp.MustCompile(`[^A-Za-z0-9._@+-]+`)

// callerName is the name that a new key has: user@host, as ssh-keygen's.
func callerName() string {
	name := "user"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil && host != "" {
		name += "@" + host
	}
	name = strings.TrimLeft(notInName.ReplaceAllString(name, "-"), "._@+-")
	if name == "" {
		return "user"
	}
	return name
}
