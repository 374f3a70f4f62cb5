package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	cdSynopsis    = "cd [-L|[-P [-e]] [-@]] [dir]"
	pushdSynopsis = "pushd [-n] [+N | -N | dir]"
	popdSynopsis  = "popd [-n] [+N | -N]"
	dirsSynopsis  = "dirs [-clpv] [+N] [-N]"
)

// pwd prints the working directory as the shell knows it (-L), or without symbolic
// links (-P): POSIX, pwd. PWD has no say in it.
func pwd(ctx context.Context, c *builtinCall) error {
	physical := optionPhysical(c)
	_, err := c.options("LP", "pwd [-LP]", func(letter byte, _ string) error {
		physical = letter == 'P'
		return nil
	})
	if err != nil {
		return err
	}
	dir := c.hc.Dir
	if physical {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return c.fails("%s", reason(err))
		}
	}
	return c.writeString(ctx, dir+"\n")
}

// optionPhysical reports whether "set -P" is on.
func optionPhysical(c *builtinCall) bool { return optionOf(runnerOf(c.hc), "physical") }

// cd is bash's, with CDPATH.
func cd(ctx context.Context, c *builtinCall) error {
	physical := optionPhysical(c)
	args, err := c.options("LPe", cdSynopsis, func(letter byte, _ string) error {
		if letter != 'e' {
			physical = letter == 'P'
		}
		return nil
	})
	if err != nil {
		return err
	}
	prints, dir := false, ""
	switch {
	case len(args) > 1:
		return c.fails("too many arguments")
	case len(args) == 0:
		home := c.hc.Env.Get("HOME")
		if !home.IsSet() {
			return c.fails("HOME not set")
		}
		dir = home.String()
	case args[0] == "-":
		old := c.hc.Env.Get("OLDPWD")
		if !old.IsSet() {
			return c.fails("OLDPWD not set")
		}
		dir, prints = old.String(), true
	default:
		dir = args[0]
		for _, folder := range c.searched(dir) {
			if to, err := c.resolve(filepath.Join(folder, dir), physical); err == nil {
				if err := c.enter(ctx, to); err != nil || folder == "" {
					return err
				}
				return c.writeString(ctx, to+"\n")
			}
		}
	}
	to, err := c.resolve(dir, physical)
	if err != nil {
		return c.fails("%s: %s", dir, reason(err))
	}
	if err := c.enter(ctx, to); err != nil || !prints {
		return err
	}
	return c.writeString(ctx, to+"\n")
}

// searched returns where cd looks for a directory: the folders of CDPATH, where it is
// no path from the root, or from here.
func (c *builtinCall) searched(dir string) []string {
	first, _, _ := strings.Cut(dir, "/")
	path := c.hc.Env.Get("CDPATH").String()
	if path == "" || dir == "" || first == "" || first == "." || first == ".." || filepath.IsAbs(dir) {
		return nil
	}
	return filepath.SplitList(path)
}

// resolve returns the absolute path of a directory that can be entered. Without
// physical, ".." takes away what stands before it, which must be a directory.
func (c *builtinCall) resolve(dir string, physical bool) (string, error) {
	path := dir
	if !filepath.IsAbs(path) {
		path = c.hc.Dir + string(filepath.Separator) + dir
	}
	if physical {
		to, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", err
		}
		return to, enterable(to)
	}
	for i := 0; ; {
		up := strings.Index(path[i:], "/..")
		if up < 0 {
			break
		}
		i += up
		if end := i + 3; end == len(path) || path[end] == '/' {
			if info, err := os.Stat(path[:i] + "/"); err != nil {
				return "", err
			} else if !info.IsDir() {
				return "", syscall.ENOTDIR
			}
		}
		i += 3
	}
	to := filepath.Clean(path)
	if strings.HasPrefix(dir, "//") && !strings.HasPrefix(dir, "///") && filepath.Separator == '/' {
		to = "/" + to // POSIX leaves it its meaning
	}
	return to, enterable(to)
}

// enterable returns why a directory cannot be the working directory.
func enterable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return syscall.ENOTDIR
	case !accessible(dir, accessExecute):
		return syscall.EACCES
	}
	return nil
}

// enter makes a directory the working directory of the shell.
func (c *builtinCall) enter(ctx context.Context, dir string) error {
	runner := runnerOf(c.hc)
	old := c.hc.Env.Get("PWD").String()
	runner.Dir, c.hc.Dir = dir, dir
	stack := slices.Clone(*directoriesOf(runner))
	*directoriesOf(runner) = append([]string{dir}, stack[min(1, len(stack)):]...)
	err := c.assign(ctx, "OLDPWD", old)
	if err == nil {
		err = c.assign(ctx, "PWD", dir)
	}
	if err != nil {
		return failure(1)
	}
	return nil
}

// stack returns the directories: the working directory, and those below it.
func (c *builtinCall) stack() []string {
	stack := slices.Clone(*directoriesOf(runnerOf(c.hc)))
	if len(stack) == 0 {
		stack = []string{""}
	}
	stack[0] = c.hc.Dir
	return stack
}

// A stackIndex is a place in the stack of directories that a word names: +N from the
// top, -N from the bottom.
type stackIndex struct {
	index int
	given bool
}

// indexed reads the words of pushd and popd before their operand.
func (c *builtinCall) indexed(stack []string, synopsis string) (at stackIndex, keep bool, rest []string, err error) {
	for rest = c.args; len(rest) > 0; rest = rest[1:] {
		word := rest[0]
		switch {
		case word == "-n":
			keep = true
		case word == "--":
			return at, keep, rest[1:], nil
		case word == "-" || word == "" || word[0] != '-' && word[0] != '+':
			return at, keep, rest, nil
		default:
			n, ok := number(word[1:])
			if !ok {
				return at, keep, nil, c.usageOf(synopsis, "%s: invalid number", word)
			}
			if word[0] == '-' {
				n = int64(len(stack)) - 1 - n
			}
			if n < 0 || n >= int64(len(stack)) || len(stack) == 1 {
				if len(stack) == 1 {
					return at, keep, nil, c.fails("directory stack empty")
				}
				return at, keep, nil, c.fails("%s: directory stack index out of range", word)
			}
			at = stackIndex{int(n), true}
		}
	}
	return at, keep, nil, nil
}

// pushDirectory is pushd and popd.
func pushDirectory(ctx context.Context, c *builtinCall) error {
	stack := c.stack()
	if c.name == "popd" {
		return c.popd(ctx, stack)
	}
	at, keep, rest, err := c.indexed(stack, pushdSynopsis)
	switch {
	case err != nil:
		return err
	case at.given:
		if at.index > 0 {
			stack = append(slices.Clone(stack[at.index:]), stack[:at.index]...)
		}
	case len(rest) > 1:
		return c.fails("too many arguments")
	case len(rest) == 0:
		if keep {
			return nil
		}
		if len(stack) < 2 {
			return c.fails("no other directory")
		}
		stack[0], stack[1] = stack[1], stack[0]
	default:
		if keep {
			stack = slices.Insert(stack, 1, rest[0])
			break
		}
		dir := rest[0]
		if dir == "-" {
			old := c.hc.Env.Get("OLDPWD")
			if !old.IsSet() {
				return c.fails("OLDPWD not set")
			}
			dir = old.String()
		}
		stack = slices.Insert(stack, 0, dir)
	}
	return c.restack(ctx, stack, keep)
}

func (c *builtinCall) popd(ctx context.Context, stack []string) error {
	at, keep, rest, err := c.indexed(stack, popdSynopsis)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return c.usageOf(popdSynopsis, "%s: invalid argument", rest[0])
	}
	if len(stack) < 2 {
		return c.fails("directory stack empty")
	}
	if at.index == 0 && keep {
		at.index = 1
	}
	keep = keep || at.index > 0
	return c.restack(ctx, slices.Delete(stack, at.index, at.index+1), keep)
}

// restack gives the shell another stack, enters the directory at its top unless that is
// to be kept, and prints it.
func (c *builtinCall) restack(ctx context.Context, stack []string, keep bool) error {
	runner := runnerOf(c.hc)
	if !keep {
		to, err := c.resolve(stack[0], optionPhysical(c))
		if err != nil {
			return c.fails("%s: %s", stack[0], reason(err))
		}
		if err := c.enter(ctx, to); err != nil {
			return err
		}
	}
	stack[0] = runner.Dir
	*directoriesOf(runner) = stack
	return c.writeString(ctx, strings.Join(c.shown(stack, false), " ")+"\n")
}

// shown returns directories as dirs prints them: with ~ for HOME, unless long.
func (c *builtinCall) shown(stack []string, long bool) []string {
	home := c.hc.Env.Get("HOME").String()
	if long || home == "" || home == "/" {
		return stack
	}
	shown := slices.Clone(stack)
	for i, dir := range shown {
		if rest, ok := strings.CutPrefix(dir, home); ok && (rest == "" || rest[0] == '/') {
			shown[i] = "~" + rest
		}
	}
	return shown
}

// dirs is bash's.
func dirs(ctx context.Context, c *builtinCall) error {
	stack := c.stack()
	long, lines, numbered, one := false, false, false, -1
	for _, word := range c.args {
		switch {
		case word == "-c":
			*directoriesOf(runnerOf(c.hc)) = stack[:1]
			return nil
		case word == "-l":
			long = true
		case word == "-p":
			lines = true
		case word == "-v":
			lines, numbered = true, true
		case word == "--":
		case strings.HasPrefix(word, "+") || strings.HasPrefix(word, "-"):
			n, ok := number(word[1:])
			if !ok {
				if letters := strings.Trim(word[1:], "clpv"); letters == "" && word[0] == '-' && len(word) > 1 {
					return c.usageOf(dirsSynopsis, "%s: write options as words of their own", word)
				}
				return c.usageOf(dirsSynopsis, "%s: invalid number", word)
			}
			one = int(min(n, int64(len(stack))))
			if word[0] == '-' {
				one = len(stack) - 1 - one
			}
			if n < 0 || one < 0 || one >= len(stack) {
				return c.fails("%s: directory stack index out of range", word[1:])
			}
		default:
			return c.usageOf(dirsSynopsis, "%s: invalid option", word)
		}
	}
	var b strings.Builder
	for i, dir := range c.shown(stack, long) {
		if one >= 0 && i != one {
			continue
		}
		if numbered {
			fmt.Fprintf(&b, "%2d  ", i)
		} else if !lines && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(dir)
		if lines {
			b.WriteByte('\n')
		}
	}
	if !lines {
		b.WriteByte('\n')
	}
	return c.writeString(ctx, b.String())
}
