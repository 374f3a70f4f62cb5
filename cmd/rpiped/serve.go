package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"rpipe/remote/serve"
)

// serveCommand serves until it is told to stop.
type serveCommand struct {
	configFlag
	Any       bool     `help:"Serve every program on PATH, with any arguments, to every authorised key: for development. Without a configuration, on ${anyListen}."`
	Listen    []string `placeholder:"ADDRESS" help:"Listen there, HOST:PORT, and not where the configuration says. Again for more."`
	LogFormat string   `enum:"text,json" default:"text" help:"The form of the log on standard error: ${enum}."`
}

// Run implements the command. It blocks until a signal, and returns nil after a
// drain, or why it could not serve.
func (c *serveCommand) Run(o *output) error {
	config, err := c.load(c.Any)
	if err != nil {
		return err
	}
	if len(c.Listen) > 0 {
		config.Listen = c.Listen
	}
	server, err := c.server(config, o)
	if err != nil {
		return err
	}
	defer server.Key.Close()
	listeners, err := listen(config.Listen)
	if err != nil {
		return err
	}
	// Before the first line of the log, which tells a supervisor that it may
	// send signals.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	return serveAll(server, listeners, config, signals)
}

// server makes the server, and fails where nobody could use it.
func (c *serveCommand) server(config *serve.Config, o *output) (*serve.Server, error) {
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
	key, err := hostKey(config)
	if err != nil {
		return nil, err
	}
	var handler slog.Handler = slog.NewTextHandler(o.stderr, nil)
	if c.LogFormat == "json" {
		handler = slog.NewJSONHandler(o.stderr, nil)
	}
	return &serve.Server{
		Key:         key,
		Callers:     authorized,
		Programs:    programs,
		Log:         slog.New(handler),
		MaxSessions: config.MaxSessions,
	}, nil
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
			var op *net.OpError
			if errors.As(err, &op) {
				err = op.Err // without the address, which we tell
			}
			return nil, fmt.Errorf("cannot listen on %s: %w", address, err)
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}

// serveAll serves until a listener fails or a signal comes: the first one drains,
// a second one ends what is left.
func serveAll(server *serve.Server, listeners []net.Listener, config *serve.Config, signals <-chan os.Signal) error {
	failed := make(chan error, len(listeners))
	var serving sync.WaitGroup
	for _, ln := range listeners {
		server.Log.Info("listening", "address", ln.Addr().String(), "key", server.Key.Fingerprint())
		serving.Go(func() { failed <- server.Serve(ln) })
	}
	var result error
	select {
	case sig := <-signals:
		server.Log.Info("draining", "signal", sig.String(), "limit", config.Drain.String())
		ctx, cancel := context.WithTimeout(context.Background(), config.Drain)
		var again sync.WaitGroup
		again.Go(func() {
			select {
			case sig := <-signals:
				server.Log.Info("ending", "signal", sig.String())
				cancel()
			case <-ctx.Done():
			}
		})
		if err := server.Shutdown(ctx); err != nil {
			server.Log.Warn("sessions were ended", "error", err)
		}
		cancel()
		again.Wait()
	case result = <-failed:
		server.Close()
	}
	serving.Wait()
	server.Log.Info("stopped")
	return result
}
