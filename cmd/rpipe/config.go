package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"rpipe/cmd/internal/commandline"
	"rpipe/parser"
	"rpipe/remote/identity"
)

// config is config.toml.
type config struct {
	// Hosts says where a host is that the script calls by this name. A name
	// without an entry goes to the DNS.
	Hosts map[string]host `toml:"hosts"`
}

type host struct {
	Address any `toml:"address"` // a string, or a list of them; after loadConfig a []string, not empty
}

// addresses returns what Address holds, in the form that remote.Dialer.Resolve
// has, or what is wrong with it.
func (h host) addresses() (list []string, problem string) {
	items, ok := h.Address.([]any)
	if !ok {
		items = []any{h.Address}
	}
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			return nil, "its address is a string, or a list of strings: address = \"HOST:PORT\""
		}
		address, err := hostAddress(text)
		if err != nil {
			return nil, fmt.Sprintf("address %q: %v", text, err)
		}
		list = append(list, address)
	}
	if len(list) == 0 {
		return nil, "its list of addresses is empty: name one, or remove the host"
	}
	return list, ""
}

// configError is a configuration that cannot be used.
type configError struct {
	file    string
	problem string
}

func (e *configError) Error() string   { return e.file + ": " + e.problem }
func (e *configError) ExitStatus() int { return commandline.ExitUsage }

// loadConfig reads the configuration. Only a file that was named must exist.
func (c *command) loadConfig() (*config, error) {
	file, err := inFolder(c.Config, "config.toml")
	if err != nil {
		return nil, err
	}
	const limit = 1 << 20
	text, err := identity.ReadTrusted(file, limit)
	var unsafe *identity.PermissionError
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Config == "":
		return &config{}, nil
	case errors.As(err, &unsafe):
		return nil, err
	case err != nil:
		return nil, &configError{file, "cannot read it: " + innermost(err).Error()}
	}
	var cfg config
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&cfg); err != nil {
		return nil, &configError{file, tomlProblem(err)}
	}
	for name, host := range cfg.Hosts {
		addresses, problem := host.addresses()
		if problem != "" {
			return nil, &configError{file, fmt.Sprintf("host %q: %s", name, problem)}
		}
		host.Address = addresses
		cfg.Hosts[name] = host
	}
	return &cfg, nil
}

// hostAddress checks a host, or host:port, and returns it in the form that
// remote.Dialer.Resolve has.
func hostAddress(s string) (string, error) {
	address, err := parser.ParseAddress("@" + s)
	if err != nil || !address.IsService() || address.Host == "" {
		return "", errors.New("it is HOST, HOST:PORT, or [IPV6]:PORT")
	}
	if address.Port == 0 {
		return address.Host, nil
	}
	return net.JoinHostPort(address.Host, strconv.Itoa(address.Port)), nil
}

// resolver returns a remote.Dialer.Resolve that reads the configuration when it is
// first called.
func (c *command) resolver() func(context.Context, string) ([]string, error) {
	load := sync.OnceValues(c.loadConfig)
	return func(_ context.Context, host string) ([]string, error) {
		cfg, err := load()
		if err != nil {
			return nil, err
		}
		addresses, _ := cfg.Hosts[host].Address.([]string)
		return addresses, nil
	}
}

// tomlProblem says what is wrong, and where, with the lines around it.
func tomlProblem(err error) string {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		row, col := unknown.Errors[0].Position()
		return fmt.Sprintf("line %d, column %d: unknown key: a host is [hosts.NAME] with address = \"HOST:PORT\"\n%s", row, col, unknown.Errors[0].String())
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		row, col := wrong.Position()
		if len(wrong.Key()) > 0 { // not of the type that it should have
			return fmt.Sprintf("line %d, column %d: %s has the wrong form: a host is [hosts.NAME] with address = \"HOST:PORT\"",
				row, col, strings.Join(wrong.Key(), "."))
		}
		return fmt.Sprintf("line %d, column %d: %v\n%s", row, col, wrong, wrong.String())
	}
	return err.Error()
}

// inFolder returns named, or where that is empty the file in rpipe's own folder.
func inFolder(named, file string) (string, error) {
	if named != "" {
		return named, nil
	}
	folder, err := commandline.Folder()
	if err != nil {
		return "", fmt.Errorf("%w: set it, or name %s with its flag", err, file)
	}
	return filepath.Join(folder, file), nil
}

// innermost leaves out the path of an error that was told already.
func innermost(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
