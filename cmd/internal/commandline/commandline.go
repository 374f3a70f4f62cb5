// Package commandline is what the commands share: how their arguments are
// parsed, what a usage error looks like, and where their files are.
//
// A usage error exits with 2, as a shell's does, and --help and --version with 0;
// the library's own status for either is never seen.
package commandline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// ExitUsage is the exit status for arguments that make no sense.
const ExitUsage = 2

// Parse fills in grammar, a pointer to a struct with kong's tags that may use
// vars, from args. It
// returns a nil context where the program has nothing more to do, with the
// status to exit with: 0 after --help and --version, which go to stdout, and
// ExitUsage after an error, which goes to stderr.
func Parse(grammar any, name, description string, args []string, stdout, stderr io.Writer, vars kong.Vars) (*kong.Context, int) {
	exited := false
	k, err := kong.New(grammar,
		kong.Name(name),
		kong.Description(description),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 80}),
		vars.CloneWith(kong.Vars{"version": name + " " + Version()}),
	)
	if err != nil { // a mistake in grammar
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return nil, ExitUsage
	}
	ctx, err := k.Parse(args)
	if exited {
		return nil, 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s\n%s: %s --help tells more\n", name, Harmless(err.Error()), name, name)
		return nil, ExitUsage
	}
	return ctx, 0
}

// Version returns the version of the module that this program was built from,
// "devel" where that is not known.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Folder returns rpipe's own folder among the user's configuration:
// $XDG_CONFIG_HOME/rpipe, where that variable is an absolute path, as the XDG
// Base Directory Specification asks for, else ~/.config/rpipe, and on Windows
// %AppData%\rpipe. The folder may not exist. It is an error where the environment
// does not say where the user's files are.
func Folder() (string, error) {
	base := os.Getenv("XDG_CONFIG_HOME")
	if filepath.IsAbs(base) {
		return filepath.Join(base, "rpipe"), nil
	}
	if runtime.GOOS == "windows" {
		dir, err := os.UserConfigDir()
		return filepath.Join(dir, "rpipe"), err
	}
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return "", errors.New("HOME is not set to an absolute path, so there is no place for your files")
	}
	return filepath.Join(home, ".config", "rpipe"), nil
}

// Report writes err to w as the command's own message, with the next step on a
// line of its own where the error has a method Hint. Control characters, which
// came from elsewhere, are escaped.
func Report(w io.Writer, name string, err error) {
	fmt.Fprintf(w, "%s: %s\n", name, Harmless(err.Error()))
	var hinter interface{ Hint() string }
	if errors.As(err, &hinter) && hinter.Hint() != "" {
		fmt.Fprintf(w, "%s: %s\n", name, Harmless(hinter.Hint()))
	}
}

// Harmless escapes what could act on a terminal, but for the line breaks and tabs
// of a message that shows a source.
func Harmless(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n', r == '\t', unicode.IsPrint(r):
			b.WriteString(s[i : i+size])
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}
