package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rpipe/remote/serve"
	"rpipe/remote/serve/reaper"
)

// serveOneCommand serves one program as a service, without a configuration.
type serveOneCommand struct {
	Port           uint16        `default:"9999" help:"The port; 0: a free one for each address."`
	Listen         []string      `placeholder:"ADDRESS" help:"An IP address, or unix:/PATH. Again for more. Default: 127.0.0.1 and ::1."`
	From           []string      `placeholder:"NETWORK" help:"A network that may connect, such as 192.0.2.0/24. Again for more. Default: this machine."`
	Public         bool          `help:"All that is read and written is public: required, with --from, where --listen is not loopback."`
	Stdio          string        `enum:"pipe,socket" default:"pipe" help:"What the program's standard input and output are: ${enum}."`
	OnFailure      string        `enum:"fin,reset" default:"fin" help:"How a status other than 0 ends the connection: ${enum}."`
	Browsers       bool          `help:"Accept first bytes that look like HTTP or TLS."`
	MaxConnections int           `default:"64" help:"The most connections at one time."`
	MaxTime        time.Duration `help:"The most time for one connection, such as 10m."`
	Drain          time.Duration `default:"30s" help:"How long connections may go on after SIGTERM."`
	LogFormat      string        `enum:"text,json" default:"text" help:"The form of the log on standard error: ${enum}."`

	Command []string `arg:"" passthrough:"" placeholder:"PROGRAM" help:"The program and its arguments, after --."`
}

// Help implements kong.HelpProvider.
func (*serveOneCommand) Help() string {
	return "Connecting is calling: rpiped serve-one --port 9999 -- tr a-z A-Z, and then nc -N ::1 9999 <file.\n\n" +
		"The program runs in an empty folder, with the environment of this process."
}

// Run implements the command. It blocks until a signal, and returns nil after a
// drain, or why it could not serve.
func (c *serveOneCommand) Run(o *output) error {
	template, err := c.service()
	if err != nil {
		return err
	}
	services, err := c.services(template)
	if err != nil {
		return err
	}
	log := newLogger(o.stderr, c.LogFormat)
	reapers := reaper.NewPool(reaper.Options{Alone: true})
	defer reapers.Close()
	server := &serve.Services{Log: log, MaxConnections: c.MaxConnections, Reapers: reapers}
	defer server.Close()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)
	if err := c.set(server, services); err != nil {
		return err
	}
	logServices(log, server, nil)
	sig := <-signals
	log.Info("draining", "signal", sig.String(), "limit", c.Drain.String())
	shutdown(c.Drain, signals, log, "connections were ended", server.Shutdown)
	log.Info("stopped")
	return nil
}

// service returns what every address has.
func (c *serveOneCommand) service() (*serve.Service, error) {
	command := c.Command
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		return nil, errors.New("no program: write it behind --, as in rpiped serve-one --port 9999 -- tr a-z A-Z")
	}
	path, err := exec.LookPath(command[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, &missing{
			err:  fmt.Errorf("cannot run %q: %w", command[0], lookProblem(err)),
			hint: "name a program on PATH, or its path, behind --",
		}
	}
	if c.MaxConnections < 1 || c.MaxTime < 0 || c.Drain < 0 {
		return nil, errors.New("--max-connections is at least 1, and --max-time and --drain are not negative")
	}
	s := &serve.Service{
		Program: &serve.Program{
			Name:    filepath.Base(command[0]),
			Run:     append([]string{path}, command[1:]...),
			Environ: os.Environ(),
		},
		Network:        "tcp",
		Socket:         c.Stdio == "socket",
		ResetOnFailure: c.OnFailure == "reset",
		Browsers:       c.Browsers,
		MaxTime:        c.MaxTime,
	}
	for _, text := range c.From {
		network, err := serve.ParseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("--from %w", err)
		}
		s.From = append(s.From, network)
	}
	return s, nil
}

// lookProblem leaves out of os/exec's error what repeats the name.
func lookProblem(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	return err
}

// services returns the service at each address.
func (c *serveOneCommand) services(template *serve.Service) ([]*serve.Service, error) {
	listen := c.Listen
	if len(listen) == 0 {
		listen = []string{"127.0.0.1", "::1"}
	}
	var services []*serve.Service
	for _, text := range listen {
		s := *template
		if path, ok := strings.CutPrefix(text, "unix:"); ok {
			abs, err := filepath.Abs(path)
			if err != nil || path == "" {
				return nil, fmt.Errorf("--listen %q has no path", text)
			}
			s.Network, s.Address = "unix", abs
		} else {
			addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
			if err != nil {
				return nil, fmt.Errorf("--listen %q is no IP address, and no unix:/path; the port is --port's", text)
			}
			if !addr.Unmap().IsLoopback() && !(c.Public && len(c.From) > 0) {
				return nil, &missing{
					err:  fmt.Errorf("--listen %s is not only this machine's, and a service knows neither its callers nor a secret", addr),
					hint: "say so with --public, and who may connect with --from NETWORK",
				}
			}
			s.Address = net.JoinHostPort(addr.String(), strconv.Itoa(int(c.Port)))
		}
		services = append(services, &s)
	}
	return services, nil
}

// set listens. Of the default addresses one must do: a machine may have no IPv6.
func (c *serveOneCommand) set(server *serve.Services, services []*serve.Service) error {
	err := server.Set(services)
	if err == nil || len(c.Listen) > 0 || !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EAFNOSUPPORT) {
		return err
	}
	for _, one := range services {
		if server.Set([]*serve.Service{one}) == nil {
			return nil
		}
	}
	return err
}

// logServices tells where services listen, but for what was told, and returns what is
// told by now.
func logServices(log *slog.Logger, server *serve.Services, told map[string]bool) map[string]bool {
	now := make(map[string]bool)
	for _, a := range server.Addrs() {
		address := a.Addr.String()
		if !told[address] {
			log.Info("serving", "program", a.Service.Name(), "address", address)
		}
		now[address] = true
	}
	return now
}

func newLogger(w io.Writer, format string) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// shutdown drains all; a signal meanwhile ends what is left.
func shutdown(limit time.Duration, signals <-chan os.Signal, log *slog.Logger, ended string, all ...func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	done := make(chan struct{})
	again := make(chan struct{})
	go func() {
		defer close(again)
		select {
		case sig := <-signals:
			log.Info("ending", "signal", sig.String())
			cancel()
		case <-done:
		}
	}()
	errs := make(chan error, len(all))
	for _, one := range all {
		go func() { errs <- one(ctx) }()
	}
	for range all {
		if err := <-errs; err != nil {
			log.Warn(ended, "error", err)
		}
	}
	close(done)
	<-again
	cancel()
}
