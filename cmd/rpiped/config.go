package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rpipe/cmd/internal/commandline"
	"rpipe/remote/identity"
	"rpipe/remote/serve"
)

// systemConfig is where a daemon of the whole machine has its configuration.
const systemConfig = "/etc/rpipe/rpiped.toml"

// anyListen is where --any listens without a configuration: for development, on
// this machine.
const anyListen = "127.0.0.1:7747"

// configFile is what --config names; "" stands for the usual places.
type configFile string

// path returns the file that was named, else systemConfig if it exists, else
// rpiped.toml in the user's folder.
func (c configFile) path() (string, error) {
	if c != "" {
		return string(c), nil
	}
	if _, err := os.Stat(systemConfig); err == nil {
		return systemConfig, nil
	}
	folder, err := commandline.Folder()
	if err != nil {
		return "", fmt.Errorf("%w: name a file with --config", err)
	}
	return filepath.Join(folder, "rpiped.toml"), nil
}

// load reads the configuration. Where there is none and none was named, it is
// that of --any: its keys beside where it would be.
func (c configFile) load(any bool) (*serve.Config, error) {
	path, err := c.path()
	if err != nil {
		return nil, err
	}
	config, err := serve.Load(path)
	switch {
	case any && c == "" && errors.Is(err, fs.ErrNotExist):
		return defaultConfig(path), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, &missing{
			err:  fmt.Errorf("no configuration: there is no %s", path),
			hint: "write one with a [programs.NAME] table, name another with --config, or try rpiped --any",
		}
	}
	return config, err
}

func defaultConfig(path string) *serve.Config {
	folder := filepath.Dir(path)
	return &serve.Config{
		File:           path,
		Listen:         []string{anyListen},
		HostKey:        filepath.Join(folder, serve.DefaultHostKey),
		AuthorizedKeys: filepath.Join(folder, serve.DefaultAuthorizedKeys),
		MaxSessions:    serve.DefaultMaxSessions,
		Drain:          serve.DefaultDrain,
		DeadTimeout:    serve.DefaultDeadTimeout,
	}
}

// missing is a file without which nothing is served, and how to make it.
type missing struct {
	err  error
	hint string
}

func (m *missing) Error() string { return m.err.Error() }
func (m *missing) Unwrap() error { return m.err }
func (m *missing) Hint() string  { return m.hint }

// hostKey loads the host key.
func hostKey(config *serve.Config) (*identity.Key, error) {
	key, err := identity.LoadKey(config.HostKey, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &missing{
			err:  fmt.Errorf("no host key: %w", err),
			hint: "make one with: rpiped keygen --config " + config.File,
		}
	}
	return key, err
}

// callers loads those who may come in. Nobody at all is an error.
func callers(config *serve.Config) (*identity.AuthorizedKeys, error) {
	keys, err := identity.LoadAuthorizedKeys(config.AuthorizedKeys)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if keys.Len() == 0 {
		return nil, &missing{
			err:  fmt.Errorf("nobody could come in: %s has no key", config.AuthorizedKeys),
			hint: "add the line that rpipe --keygen prints on the caller's machine",
		}
	}
	return keys, nil
}
