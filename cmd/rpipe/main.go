// Command rpipe runs shell pipelines whose stages may be on other hosts.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"rpipe/cmd/internal/commandline"
	"rpipe/pipeline"
	"rpipe/pipeline/keeper"
	"rpipe/pipeline/launcher"
	"rpipe/remote/serve/reaper"
)

const description = `Runs a shell script whose commands may be on other hosts:

  rpipe 'cat log | @a:grep err | sort | @b:uniq -c'

@HOST:PROGRAM is a program that rpiped exposes on HOST; @HOST:PORT:PROGRAM names its port, 7747 otherwise. @HOST, @HOST:PORT and @unix:/PATH are services: a plain stream, port 9999 otherwise, without identity, encryption or status. Everything else is the shell that you know, with pipefail on.

Exit status: 0 all is well; N of the rightmost stage that failed; 2 usage or syntax; 69 a host could not be reached; 76 a stage was lost; 77 identity refused; 124 --timeout; 126 refused; 127 no such program; 128+N killed by signal N.`

// grammar is the command line.
type grammar struct {
	// Words are the script and its parameters: what follows the script belongs to
	// it, flags too.
	Words []string `arg:"" optional:"" passthrough:"partial" name:"script" help:"The script, and its parameters: $1 and so on; with -c, $0 and then those, as for sh."`

	Command bool     `short:"c" help:"SCRIPT is followed by $0, as for sh -c."`
	File    bool     `short:"f" help:"SCRIPT is the name of a file, - for standard input."`
	Stdin   bool     `short:"s" help:"The script comes from standard input, all words are its parameters. So it is where there is no SCRIPT."`
	Set     []string `short:"o" placeholder:"OPTION" help:"As in sh: options of set by name (-o noglob, +o pipefail) or letter (-e -u -x -n, joined too), -O of shopt."`

	Config         string          `placeholder:"FILE" help:"Addresses of hosts. Default: config.toml in ~/.config/rpipe."`
	Identity       string          `placeholder:"KEY" help:"Who you are: a private key file; for a key in ssh-agent a .pub file, SHA256:..., or agent:COMMENT. Default: identity in ~/.config/rpipe."`
	KnownHosts     string          `placeholder:"FILE" help:"The host keys that you trust. Default: known_hosts in ~/.config/rpipe."`
	Timeout        seconds         `placeholder:"TIME" help:"End everything after this time, as in 90, 1.5s, 10m: status 124."`
	ConnectTimeout seconds         `placeholder:"TIME" help:"Give a host this time to be reached and to accept, also one that is not up yet. Default: 10s, and no time for one that is not up."`
	DeadTimeout    seconds         `placeholder:"TIME" help:"Take a host for dead that is silent for this time, at least 1s. Default: 15s."`
	Resolver       resolverAddress `placeholder:"ADDR" help:"Ask the name server at ADDR, IP or IP:PORT, and not those of the system."`
	RequireStatus  bool            `help:"Refuse services, which tell no status, before anything runs."`
	Loopback       bool            `help:"Play every host in this process, on 127.0.0.1, with the programs on PATH: to try a pipeline. Services are called where they are."`
	Verbose        bool            `short:"v" help:"Tell how each stage ended."`

	List   string `placeholder:"HOST" help:"List the programs that you may run on HOST; with @ZONE, the services of a zone that lists them."`
	Trust  string `placeholder:"HOST" help:"Record the host key of HOST, given its fingerprint (SHA256:...) only that one."`
	Keygen bool   `help:"Make your key, and print the line for authorized_keys of the hosts."`

	Version kong.VersionFlag `help:"Print the version."`

	arguments *arguments // what of it the shell itself takes
}

func main() {
	if reaper.Asked() {
		os.Exit(reaper.Main())
	}
	if keeper.Asked() {
		os.Exit(keeper.Main())
	}
	if launcher.Asked() {
		os.Exit(launcher.Main())
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// gcPercent is how much the heap may grow between two collections, unless GOGC says it.
// Most scripts end before there is anything to collect: at Go's own 100 they would pay
// for it three times while they are read. What streams through takes no heap.
const gcPercent = 400

// run does what the arguments say and returns the exit status.
func run(args []string, stdin, stdout, stderr *os.File) (exit int) {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	g := &c.grammar
	if ok, status := g.parse(args, c); !ok {
		return status
	}
	if err := g.check(stdin); err != nil {
		commandline.Report(stderr, "rpipe", err)
		return commandline.ExitUsage
	}
	var next *pipeline.Replacement
	defer func() { // when all else is over
		if next != nil {
			commandline.Report(stderr, "rpipe", next.Become())
			exit = exitRefused
		}
	}()
	// Signals are not given back: one that comes when all is over must not take the
	// place of the status.
	ctx, signals := untilSignal(context.Background())
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = untilTimeout(ctx, time.Duration(g.Timeout))
		defer cancel()
	}
	c.signals = signals
	if err := c.do(ctx); err != nil {
		if errors.As(err, &next) {
			return 0
		}
		return c.exitStatus(err)
	}
	return 0
}

// exitRefused is the status where a program was found and cannot be run: POSIX.
const exitRefused = 126

// check finds flags that make no sense together.
func (g *grammar) check(stdin *os.File) error {
	modes := 0
	for _, on := range []bool{g.List != "", g.Trust != "", g.Keygen} {
		if on {
			modes++
		}
	}
	switch {
	case modes > 1:
		return usageError("--list, --trust and --keygen are for one at a time")
	case modes > 0 && g.Loopback:
		return usageError("--loopback plays the hosts of a script: --list, --trust and --keygen are about real ones")
	case modes == 0 && len(g.Words) == 0 && (g.Command || g.File || !g.Stdin && isTerminal(stdin)):
		return usageError("a script is missing: rpipe 'cat log | @host:grep err'")
	case g.Trust != "" && len(g.Words) > 1, modes == 1 && g.Trust == "" && len(g.Words) > 0:
		return usageError("too many arguments")
	case g.DeadTimeout > 0 && time.Duration(g.DeadTimeout) < leastDeadTimeout:
		return usageError(fmt.Sprintf("--dead-timeout %v is too short to tell the dead from the slow: it is at least %v",
			time.Duration(g.DeadTimeout), leastDeadTimeout))
	case g.Command && g.File:
		return usageError("-c and -f exclude each other: SCRIPT is a text or a file")
	case g.Stdin && (g.Command || g.File):
		return usageError("-s excludes -c and -f: the script comes from standard input")
	case modes == 0 && !g.Command && !g.File && !g.Stdin && len(g.Words) > 1 && strings.Contains(g.Words[0], "/") && isFile(g.Words):
		return usageError(fmt.Sprintf("%s is a file, and SCRIPT a text: rpipe -f %[1]s runs what is in it, rpipe '%[1]s \"$@\"' calls it", g.Words[0]))
	}
	return nil
}

// isTerminal reports whether f is a terminal: then nobody has piped a script into it.
func isTerminal(f *os.File) bool { return f != nil && term.IsTerminal(int(f.Fd())) }

// leastDeadTimeout is the shortest --dead-timeout: below, a busy machine would
// look dead.
const leastDeadTimeout = time.Second

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string   { return string(e) }
func (e usageError) ExitStatus() int { return commandline.ExitUsage }
func (e usageError) Hint() string    { return "rpipe --help tells more" }

// command is one run of rpipe.
type command struct {
	grammar
	signals               *signals
	stdin, stdout, stderr *os.File
}

// do does what the flags ask for.
func (c *command) do(ctx context.Context) error {
	switch {
	case c.Keygen:
		return c.keygen()
	case c.Trust != "":
		return c.trust(ctx)
	case c.List != "":
		return c.list(ctx)
	}
	return c.script(ctx)
}

// seconds is a time span on the command line: a number of seconds, as timeout(1)
// takes it, or a number with a unit, as Go's.
type seconds time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *seconds) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		d, err = time.ParseDuration(string(text) + "s")
	}
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a time: write 90, 1.5s or 10m", text)
	}
	*s = seconds(d)
	return nil
}

// readAll reads a script of a size that is one.
func readAll(r io.Reader, name string) ([]byte, error) {
	const limit = 64 << 20
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%s: longer than %d bytes: is it a script?", name, limit)
	}
	return b, err
}
