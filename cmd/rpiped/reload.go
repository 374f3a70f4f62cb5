package main

import (
	"log/slog"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/serve"
)

// access is who may come in, what they may run, and where output may be sent: what
// a reload replaces. It implements serve.Callers, serve.Table and serve.Hops with
// what holds at the time of a call.
type access struct {
	current atomic.Pointer[rules]
}

type rules struct {
	callers  *identity.AuthorizedKeys
	programs serve.Table
	hops     serve.Hops
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

// Peer implements serve.Hops.
func (a *access) Peer(caller string, key ssh.PublicKey) (serve.HopPeer, error) {
	return a.current.Load().hops.Peer(caller, key)
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
	return &rules{callers: authorized, programs: programs, hops: serve.NewHops(config.HopTo)}, nil
}

// reload replaces the rules by those of the files as they are now, for requests
// that come from now on; where they cannot be used, the old ones stay.
func (c *serveCommand) reload(file configFile, a *access, services *served, log *slog.Logger) {
	config, err := file.load(c.Any)
	if err == nil {
		var r *rules
		if r, err = c.load(config); err == nil {
			err = c.serveServices(services, config)
		}
		if err == nil {
			a.current.Store(r)
			log.Info("reloaded", "programs", len(config.Programs), "keys", r.callers.Len(), "peers", len(config.HopTo))
			return
		}
	}
	log.Error("reload failed, the old configuration stays", "error", err)
}
