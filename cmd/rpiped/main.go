// Command rpiped lets authorised callers run named programs on this host.
// docs/rpiped.md is its manual.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"rpipe/cmd/internal/commandline"
	"rpipe/remote/serve/reaper"
)

const description = `Lets authorised callers run named programs on this host, and nothing else.

rpiped keygen makes the host key. authorized_keys, beside the configuration, has a line for each caller's key; rpiped.toml names the programs.`

// grammar is the command line.
type grammar struct {
	Config configFile `placeholder:"FILE" help:"The configuration. Default: ${defaultConfig}."`

	Serve       serveCommand       `cmd:"" default:"withargs" help:"Serve until SIGTERM (the default)."`
	ServeOne    serveOneCommand    `cmd:"" help:"Serve one program as a service, without a configuration."`
	Check       checkCommand       `cmd:"" help:"Say what is wrong with the configuration."`
	Zone        zoneCommand        `cmd:"" help:"Print the zone of the services, for another name server."`
	Keygen      keygenCommand      `cmd:"" help:"Make a host key."`
	Fingerprint fingerprintCommand `cmd:"" help:"Print the fingerprint of the host key."`

	Version kong.VersionFlag `help:"Print the version."`
}

func main() {
	if reaper.Asked() {
		os.Exit(reaper.Main())
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run does what the arguments say and returns the exit status: 0, 1 where that
// failed, 2 for arguments that make no sense.
func run(args []string, stdout, stderr io.Writer) int {
	var g grammar
	ctx, status := commandline.Parse(&g, "rpiped", description, args, stdout, stderr, kong.Vars{
		"defaultConfig": systemConfig + " if there is one, else rpiped.toml in ~/.config/rpipe",
		"anyListen":     anyListen,
	})
	if ctx == nil {
		return status
	}
	if err := ctx.Run(&output{stdout, stderr}, g.Config); err != nil {
		commandline.Report(stderr, "rpiped", err)
		return 1
	}
	return 0
}

// output is where commands write.
type output struct {
	stdout, stderr io.Writer
}

func (o *output) printf(format string, args ...any) { fmt.Fprintf(o.stdout, format, args...) }
