package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"rpipe/remote/identity"
	"rpipe/remote/serve"
)

// checkCommand says whether serve would start.
type checkCommand struct{}

// Run implements the command.
func (*checkCommand) Run(o *output, file configFile) error {
	config, err := file.load(false)
	if err != nil {
		return err
	}
	if _, err := config.Table(); err != nil {
		return err
	}
	authorized, err := callers(config)
	if err != nil {
		return err
	}
	key, err := hostKey(config)
	if err != nil {
		return err
	}
	defer key.Close()
	o.printf("%s: %s, %s, host key %s\n", config.File,
		count(len(config.Programs), "program"), count(authorized.Len(), "authorised key"), key.Fingerprint())
	for _, name := range slices.Sorted(maps.Keys(config.HopTo)) {
		t := config.HopTo[name]
		o.printf("hop_to %s: %s, host key %s\n", name, t.Address, identity.Fingerprint(t.Key))
	}
	if config.Services != nil {
		for _, service := range config.Services.Services {
			o.printf("service %s: %s\n", service.Name(), service.Address)
		}
		if zone := config.Services.Zone(); zone != "" {
			o.printf("zone %s\n", zone)
		}
		if addr, derived := config.Services.Derived(); derived {
			return serve.CheckRoute(config.Services.Prefix, addr)
		}
	}
	return nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// keygenCommand makes the host key where the configuration wants it, or beside
// where the configuration would be.
type keygenCommand struct{}

// Run implements the command. A key that exists is never overwritten.
func (*keygenCommand) Run(o *output, file configFile) error {
	path, err := file.path()
	if err != nil {
		return err
	}
	config, err := serve.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		config = defaultConfig(path)
	} else if err != nil {
		return err
	}
	key, err := identity.Generate()
	if err != nil {
		return err
	}
	defer key.Close()
	if err := key.WriteFile(config.HostKey, "rpiped"); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return &missing{err: err, hint: "it is kept: rpiped fingerprint prints its fingerprint"}
		}
		return err
	}
	o.printf("host key: %s\nfingerprint: %s\n", config.HostKey, key.Fingerprint())
	fmt.Fprintf(o.stderr, "rpiped: callers record this host with: rpipe --trust HOST %s\n", key.Fingerprint())
	return nil
}

// fingerprintCommand prints what callers compare.
type fingerprintCommand struct{}

// Run implements the command.
func (*fingerprintCommand) Run(o *output, file configFile) error {
	config, err := file.load(true)
	if err != nil {
		return err
	}
	key, err := hostKey(config)
	if err != nil {
		return err
	}
	defer key.Close()
	o.printf("%s\n", key.Fingerprint())
	return nil
}
