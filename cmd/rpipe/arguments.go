package main

import (
	"fmt"
	"reflect"
	"strings"

	"rpipe/cmd/internal/commandline"
)

// setFlags are the options of the "set" builtin that the command line takes as sh does
// (POSIX, sh, OPTIONS). Not among them are -f, which here means a file, -v, which tells
// how stages ended, and -h; they have names for -o: noglob, verbose, hashall.
const setFlags = "abekmnptuxBCEHPT"

// arguments is a command line, taken apart. What follows the first operand belongs to
// the script, options too.
type arguments struct {
	command, file, stdin, verbose bool     // -c, -f, -s, -v
	set                           []string // options for the "set" builtin, in order
	shopt                         []string // as words for the "shopt" builtin: "-s", NAME, "-u", NAME...
	check                         bool     // -n: nothing is run
	long                          []string // flags that begin with "--", with their values
	words                         []string // the script and its parameters
}

// takeApart reads a command line. Options of one letter may be joined, as in -euo
// pipefail.
func takeApart(args []string) (*arguments, error) {
	a := &arguments{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			a.words = args[i+1:]
			return a, nil
		case strings.HasPrefix(arg, "--"):
			name, value, given := strings.Cut(arg, "=")
			if takesValue(name) {
				if !given && i+1 < len(args) {
					i++
					value = args[i]
				}
				if value == "" {
					return nil, usageError(name + " needs a value")
				}
				arg = name + "=" + value
			}
			a.long = append(a.long, arg)
		case len(arg) > 1 && (arg[0] == '-' || arg[0] == '+' && isSetFlags(arg[1:])):
			for _, letter := range arg[1:] {
				value := ""
				if letter == 'o' || letter == 'O' {
					if i+1 == len(args) {
						return nil, usageError(fmt.Sprintf("%c%c needs the name of an option", arg[0], letter))
					}
					i++
					value = args[i]
				}
				if err := a.short(arg[0], letter, value); err != nil {
					return nil, err
				}
			}
		default:
			a.words = args[i:]
			return a, nil
		}
	}
	return a, nil
}

// short takes one option of one letter, behind - or +.
func (a *arguments) short(sign byte, letter rune, value string) error {
	on := sign == '-'
	switch {
	case letter == 'o':
		a.set = append(a.set, string(sign)+"o", value)
		if value == "noexec" {
			a.check = on
		}
	case letter == 'O' && on:
		a.shopt = append(a.shopt, "-s", value)
	case letter == 'O':
		a.shopt = append(a.shopt, "-u", value)
	case letter == 'n':
		a.check = on
	case strings.ContainsRune(setFlags, letter):
		a.set = append(a.set, string(sign)+string(letter))
	case letter == 'c':
		a.command = true
	case letter == 'f':
		a.file = true
	case letter == 's':
		a.stdin = true
	case letter == 'v':
		a.verbose = true
	case letter == 'h':
		a.long = append(a.long, "--help")
	case letter == 'i', letter == 'l', letter == 'r':
		return usageError(fmt.Sprintf("-%c: rpipe runs scripts; it is no interactive, login or restricted shell", letter))
	default:
		return usageError(fmt.Sprintf("unknown flag -%c", letter))
	}
	return nil
}

// isSetFlags reports whether s is letters that may stand behind a "+".
func isSetFlags(s string) bool {
	return strings.Trim(s, setFlags+"oO") == ""
}

// takesValue reports whether a long flag, with its dashes, has a value.
func takesValue(name string) bool {
	t := reflect.TypeFor[grammar]()
	for i := range t.NumField() {
		f := t.Field(i)
		if _, operand := f.Tag.Lookup("arg"); !operand && "--"+dashed(f.Name) == name {
			return f.Type.Kind() != reflect.Bool
		}
	}
	return false
}

// dashed returns the flag for the name of a field: ConnectTimeout is connect-timeout.
func dashed(name string) string {
	var b strings.Builder
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			if i > 0 {
				b.WriteByte('-')
			}
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}

// parse fills in g. It returns false where there is nothing more to do, with the status
// to exit with. The library that knows the long flags is asked only where there is one:
// to make its model takes as long as to run a short script.
func (g *grammar) parse(args []string, c *command) (ok bool, status int) {
	a, err := takeApart(args)
	if err != nil {
		commandline.Report(c.stderr, "rpipe", err)
		return false, commandline.ExitUsage
	}
	if len(a.long) > 0 {
		parsed, status := commandline.Parse(g, "rpipe", description, a.long, c.stdout, c.stderr, nil)
		if parsed == nil {
			return false, status
		}
	}
	g.Command, g.File, g.Words = g.Command || a.command, g.File || a.file, a.words
	g.Verbose, g.Stdin = g.Verbose || a.verbose, g.Stdin || a.stdin
	g.arguments = a
	return true, 0
}
