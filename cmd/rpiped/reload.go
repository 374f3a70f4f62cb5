package main

import (
	"log/slog"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/serve"
)

// access is who may come in and what they may run: what a reload replaces. It
// implements serve.Callers and serve.Table with what holds at the time of a call.
type access struct {
	current atomic.Pointer[rules]
}

type rules struct {
	callers  *identity.AuthorizedKeys
	programs serve.Table
}

// Caller implements serve.Callers.
func (a *access) Caller(key ssh.PublicKey) (string, bool) {
	return a.current.Load().callers.Caller(key)
}

// Lookup implements serve.Table.
func (a *access) Lookup(caller, name string) (*serve.Program, error) {
	return a.current.Load().programs.Lookup(caller, name)
}

// List implements serve.Table.
func (a *access) List(caller string) []*serve.Program {
	return a.current.Load().programs.List(caller)
}

// load reads the files that say who may do what.
func (c *serveCommand) load(config *serve.Config) (*rules, error) {
	var programs serve.Table = serve.AnyProgram{}
	if !c.Any {
		var err error
		if programs, err = config.Table(); err != nil {
			return nil, err
		}
	}
	authorized, err := callers(config)
	if err != nil {
		return nil, err
	}
	return &rules{callers: authorized, programs: programs}, nil
}

// reload replaces the rules by those of the files as they are now, for requests
// that come from now on; where they cannot be used, the old ones stay.
func (c *serveCommand) reload(file configFile, a *access, log *slog.Logger) {
	config, err := file.load(c.Any)
	if err == nil {
		var r *rules
		if r, err = c.load(config); err == nil {
			a.current.Store(r)
			log.Info("reloaded", "programs", len(config.Programs), "keys", r.callers.Len())
			return
		}
	}
	log.Error("reload failed, the old configuration stays", "error", err)
}
