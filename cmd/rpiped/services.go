package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"rpipe/remote/serve"
	"rpipe/remote/serve/names"
	"rpipe/remote/serve/reaper"
)

// served is the services of a daemon and the name server of their zone.
type served struct {
	services *serve.Services
	log      *slog.Logger

	told    map[string]bool // the addresses that the log has
	names   *names.Server   // nil until the zone is served
	answers sync.WaitGroup
}

// newServed returns one that serves nothing yet. The bound on connections is that of
// config, which may be nil.
func newServed(log *slog.Logger, config *serve.ServicesConfig, reapers *reaper.Pool) *served {
	s := &served{services: &serve.Services{Log: log, Reapers: reapers}, log: log}
	if config != nil {
		s.services.MaxConnections = config.MaxConnections
	}
	return s
}

// serveServices makes the services and the zone those of the configuration. Where it
// fails, nothing has changed.
func (c *serveCommand) serveServices(s *served, config *serve.Config) error {
	services := config.Services
	if services == nil || c.Any {
		services = &serve.ServicesConfig{}
	}
	if addr, derived := services.Derived(); derived {
		var missing *serve.NoRouteError
		err := serve.CheckRoute(services.Prefix, addr)
		if errors.As(err, &missing) && c.Anyip {
			if err = serve.AddRoute(services.Prefix); err == nil {
				s.log.Info("local route added", "prefix", services.Prefix.String())
			}
		}
		if err != nil {
			return err
		}
	}
	zones, err := s.zones(services)
	if err != nil {
		return err
	}
	if err := s.services.Set(services.Services); err != nil {
		return err
	}
	switch {
	case s.names != nil && zones == nil:
		s.names.Close()
		s.answers.Wait()
		s.names = nil
	case s.names != nil:
		err = s.names.SetZones(zones)
	case zones != nil && len(services.DNSListen) > 0:
		err = s.serveNames(services.DNSListen, zones)
	}
	if err != nil {
		return err
	}
	s.told = logServices(s.log, s.services, s.told)
	return nil
}

// zones returns the next zones, nil if there are none.
func (s *served) zones(services *serve.ServicesConfig) (*names.Zones, error) {
	if services.Zone() == "" {
		return nil, nil
	}
	serial := names.SerialOf(time.Now())
	if s.names != nil {
		if current := s.names.Zones(); current != nil {
			serial = names.NextSerial(current.Serial(), time.Now())
		}
	}
	return services.Zones(serial)
}

// serveNames answers for zones until close.
func (s *served) serveNames(addresses []string, zones *names.Zones) error {
	server := &names.Server{Log: s.log}
	if err := server.SetZones(zones); err != nil {
		return err
	}
	listeners, err := listen(addresses)
	if err != nil {
		return err
	}
	var packets []net.PacketConn
	for _, ln := range listeners {
		// The same port, if it was any.
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			for _, pc := range packets {
				pc.Close()
			}
			for _, ln := range listeners {
				ln.Close()
			}
			return fmt.Errorf("cannot listen on %q: %w", ln.Addr(), listenProblem(err))
		}
		packets = append(packets, pc)
	}
	s.names = server
	for i, ln := range listeners {
		s.log.Info("answering", "zone", zones.All()[0].Origin(), "address", ln.Addr().String())
		s.answer(func() error { return server.Serve(ln) })
		s.answer(func() error { return server.ServePacket(packets[i]) })
	}
	return nil
}

func (s *served) answer(serve func() error) {
	s.answers.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, names.ErrServerClosed) {
			s.log.Error("the name server has lost a socket", "error", err)
		}
	})
}

// shutdown drains: names are answered as long as connections go on.
func (s *served) shutdown(ctx context.Context) error {
	err := s.services.Shutdown(ctx)
	s.close()
	return err
}

// close ends everything. It may be called again.
func (s *served) close() {
	s.services.Close()
	if s.names != nil {
		s.names.Close()
	}
	s.answers.Wait()
}

// zoneCommand prints a zone.
type zoneCommand struct {
	Origin string `arg:"" optional:"" help:"Which zone. Default: that of the configuration, and not a reverse one."`
}

// Run implements the command. The serial is the time. Without an origin the names of
// the others follow on standard error.
func (c *zoneCommand) Run(o *output, file configFile) error {
	config, err := file.load(false)
	if err != nil {
		return err
	}
	if config.Services == nil || config.Services.Zone() == "" {
		return &missing{
			err:  fmt.Errorf("%s names no zone", config.File),
			hint: "add zone and name_servers under [services], and service = true to a program",
		}
	}
	zones, err := config.Services.Zones(names.SerialOf(time.Now()))
	if err != nil {
		return err
	}
	var origins []string
	for i, zone := range zones.All() {
		if c.Origin == "" && i > 0 {
			fmt.Fprintf(o.stderr, "rpiped: the reverse zone: rpiped zone %s\n", zone.Origin())
			continue
		}
		if c.Origin == "" || absolute(c.Origin) == absolute(zone.Origin()) {
			if _, err := zone.WriteTo(o.stdout); err != nil || c.Origin != "" {
				return err
			}
		}
		origins = append(origins, zone.Origin())
	}
	if c.Origin == "" {
		return nil
	}
	return fmt.Errorf("there is no zone %q: there are %s", c.Origin, strings.Join(origins, ", "))
}

// absolute is the form in which names are compared (RFC 4343).
func absolute(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
