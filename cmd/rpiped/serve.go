package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
)

// serveCommand serves until it is told to stop.
type serveCommand struct {
	Any       bool     `help:"Serve every program on PATH, with any arguments, to every authorised key: for development. Without a configuration, on ${anyListen}."`
	Listen    []string `placeholder:"ADDRESS" help:"Listen there, HOST:PORT, and not where the configuration says. Again for more."`
	Anyip     bool     `name:"anyip" help:"Add the local route of the prefix of services where it is missing: takes CAP_NET_ADMIN."`
	LogFormat string   `enum:"text,json" default:"text" help:"The form of the log on standard error: ${enum}."`
}

// Run implements the command. It blocks until a signal, and returns nil after a
// drain, or why it could not serve.
func (c *serveCommand) Run(o *output, file configFile) error {
	config, err := file.load(c.Any)
	if err != nil {
		return err
	}
	if len(c.Listen) > 0 {
		config.Listen = c.Listen
	}
	r, err := c.load(config)
	if err != nil {
		return err
	}
	rules := new(access)
	rules.current.Store(r)
	key, err := hostKey(config)
	if err != nil {
		return err
	}
	defer key.Close()
	listeners, err := listen(config.Listen)
	if err != nil {
		return err
	}
	reapers := reaper.NewPool(reaper.Options{Alone: true})
	defer reapers.Close()
	log := newLogger(o.stderr, c.LogFormat)
	served := newServed(log, config.Services, reapers)
	defer served.close()
	server := &serve.Server{
		Key:         key,
		Callers:     rules,
		Programs:    rules,
		Hops:        rules,
		Log:         log,
		MaxSessions: config.MaxSessions,
		DeadTimeout: config.DeadTimeout,
		Reapers:     reapers,
	}
	// Before the first line of the log, which tells a supervisor that it may
	// send signals.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	if err := c.serveServices(served, config); err != nil {
		for _, ln := range listeners {
			ln.Close()
		}
		return err
	}
	d := &daemon{
		Server:  server,
		served:  served,
		drain:   config.Drain,
		signals: signals,
		hangups: hangups,
		reload:  func() { c.reload(file, rules, served, log) },
	}
	return d.serve(listeners)
}

// listen opens all listeners, or none.
func listen(addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			for _, ln := range listeners {
				ln.Close()
			}
			return nil, fmt.Errorf("cannot listen on %q: %w", address, listenProblem(err))
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// listenProblem leaves out of net's error what repeats the address.
func listenProblem(err error) error {
	var dns *net.DNSError
	var address *net.AddrError
	var sys *os.SyscallError
	switch {
	case errors.As(err, &sys):
		return sys.Err
	case errors.As(err, &address), errors.As(err, &dns):
		return errors.New("an address is HOST:PORT, or :PORT for all of this machine's")
	}
	return err
}

// daemon is a server that obeys signals.
type daemon struct {
	*serve.Server
	served  *served
	drain   time.Duration
	signals <-chan os.Signal // the first one drains, a second one ends what is left
	hangups <-chan os.Signal // reload
	reload  func()
}

// serve serves until a signal ends it, or a listener fails.
func (d *daemon) serve(listeners []net.Listener) error {
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, ln := range listeners {
		d.Log.Info("listening", "address", ln.Addr().String(), "key", d.Key.Fingerprint())
		serving.Go(func() { failed <- d.Serve(ln) })
	}
	err := d.obey(failed)
	serving.Wait()
	d.Log.Info("stopped")
	return err
}

// obey returns when nothing is served any more.
func (d *daemon) obey(failed <-chan error) error {
	for {
		select {
		case <-d.hangups:
			d.reload()
		case sig := <-d.signals:
			d.Log.Info("draining", "signal", sig.String(), "limit", d.drain.String())
			shutdown(d.drain, d.signals, d.Log, "sessions were ended", d.Shutdown, d.served.shutdown)
			return nil
		case err := <-failed:
			d.Close()
			d.served.close()
			return err
		}
	}
}
