package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"time"

	"rpipe/remote/identity"
	"rpipe/remote/wire"
)

// What a configuration that does not mention the key gets.
const (
	DefaultListen         = ":7747"
	DefaultHostKey        = "host_key"
	DefaultAuthorizedKeys = "authorized_keys"
	DefaultMaxSessions    = 256
	DefaultDrain          = 30 * time.Second
	DefaultDeadTimeout    = wire.DefaultDeadTimeout
)

// LeastDeadTimeout is the shortest dead_timeout: below, a busy machine would look
// dead.
const LeastDeadTimeout = time.Second

// maxConfigSize bounds what Load reads, in bytes.
const maxConfigSize = 1 << 20

// Config is what an rpiped.toml says, checked and with every default filled in.
// docs/rpiped.md is its reference. A Config is not written to after Load, so it
// may be shared.
type Config struct {
	// File is the file it was loaded from, as it was named to Load.
	File string

	// Listen holds the TCP addresses to listen on, "host:port", at least one.
	// An empty host is every address of the machine; port 0 is any free port.
	Listen []string

	// HostKey and AuthorizedKeys are absolute paths. Load opens neither file.
	HostKey        string
	AuthorizedKeys string

	// MaxSessions bounds the sessions of all callers together. At least 1.
	MaxSessions int

	// Drain is how long a session may go on after the daemon was told to stop.
	// Zero ends sessions at once.
	Drain time.Duration

	// DeadTimeout is that of Server. At least LeastDeadTimeout.
	DeadTimeout time.Duration

	// Groups maps the name of a group to its members, at least one each. Members
	// are names of callers; groups do not nest.
	Groups map[string][]string

	// Programs maps each exposed name to its program. It is empty if the file
	// names none: Table reports that.
	Programs map[string]*Program

	// Services is what [services] says; nil: nothing is one.
	Services *ServicesConfig

	// HopTo maps names to the daemons that output may be sent to. No two have the
	// same key. It is empty if the file names none.
	HopTo map[string]*HopTarget
}

// A NoProgramsError says that a configuration is valid but exposes nothing.
type NoProgramsError struct {
	File string
}

func (e *NoProgramsError) Error() string {
	return fmt.Sprintf("%q names no program, so nobody could run anything: add a [programs.NAME] table", e.File)
}

// Table returns the configured programs. A configuration without programs is a
// *NoProgramsError: it is an error here and not in Load, because a daemon that
// serves AnyProgram instead needs none.
func (c *Config) Table() (Table, error) {
	if len(c.Programs) == 0 {
		return nil, &NoProgramsError{File: c.File}
	}
	return NewTable(c.Programs), nil
}

// Load reads and checks the configuration file at path. What is wrong in the text of the file comes
// back as ConfigErrors, all of it where the syntax allows to read on, each with
// line and column. A file that cannot be read, or that others could
// write, is an error of another type.
//
// The programs it names must exist now: they are looked up on the PATH of this
// process, and a name that is not found is a ConfigError at its place.
func Load(path string) (*Config, error) {
	src, err := readConfig(path)
	if err != nil {
		return nil, err
	}
	return decodeConfig(path, src, exec.LookPath)
}

// readConfig reads the file, refusing one that others can write and one larger than
// maxConfigSize.
func readConfig(path string) ([]byte, error) {
	src, err := identity.ReadTrusted(path, maxConfigSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no configuration: %w: name one with --config", err)
	case err != nil:
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	return src, nil
}

// configFolder is where relative paths in the file at path start.
func configFolder(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("cannot tell the folder of %q: %w", path, err)
	}
	return filepath.Dir(abs), nil
}
