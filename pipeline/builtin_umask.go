package pipeline

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const allPermissions os.FileMode = 0o777

// setAttributes changes what the shell hands on.
func (c *builtinCall) setAttributes(ctx context.Context, change func(*attributes)) {
	t := tableOf(veiled(c.hc), nil)
	if t.frame == nil {
		t.frame = shellOf(ctx).ownFrame(&c.x.ownership)
	}
	change(&t.attrs)
	t.frame.noteAttributes(t.attrs)
	c.hc.Stderr = t
	streamsOf{c.hc.Stdin, c.hc.Stdout, t}.give(runnerOf(c.hc))
}

// umask prints the mask of files, or sets it for this shell: POSIX, umask; -p and -S as
// bash has them.
func umask(ctx context.Context, c *builtinCall) error {
	args, symbolic, reusable := c.args, false, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		for _, flag := range args[0][1:] {
			switch flag {
			case 'S':
				symbolic = true
			case 'p':
				reusable = true
			default:
				return c.usage("-%c: invalid option; it knows -p and -S", flag)
			}
		}
		args = args[1:]
	}
	mask := processMask()
	if m := attributesOf(c.hc).mask; m != nil {
		mask = *m
	}
	if len(args) > 0 {
		var err error
		if mask, err = parseMask(args[0], mask); err != nil {
			c.errorf("%s: %v", args[0], err)
			return failure(1)
		}
		c.setAttributes(ctx, func(a *attributes) { a.mask = &mask })
		if !symbolic {
			return nil
		}
		return c.writeString(ctx, symbolicMask(mask)+"\n")
	}
	out := fmt.Sprintf("%04o\n", uint32(mask))
	switch {
	case symbolic && reusable:
		out = "umask -S " + symbolicMask(mask) + "\n"
	case symbolic:
		out = symbolicMask(mask) + "\n"
	case reusable:
		out = "umask " + out
	}
	return c.writeString(ctx, out)
}

// symbolicMask returns what a mask permits.
func symbolicMask(mask os.FileMode) string {
	var parts []string
	for i, who := range "ugo" {
		part := string(who) + "="
		for j, permission := range "rwx" {
			if mask&(1<<(8-3*i-j)) == 0 {
				part += string(permission)
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ",")
}

// parseMask reads a mask, which may change the one that is given.
func parseMask(text string, mask os.FileMode) (os.FileMode, error) {
	if text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.ParseUint(text, 8, 32)
		if err != nil || n > 0o7777 {
			return 0, fmt.Errorf("octal number out of range; it ends at 777")
		}
		return os.FileMode(n) & allPermissions, nil
	}
	permitted := allPermissions &^ mask
	for _, clause := range strings.Split(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 {
			return 0, fmt.Errorf("invalid symbolic mode; write it as u=rwx,g-w")
		}
		var who os.FileMode
		for _, w := range clause[:at] {
			switch w {
			case 'u':
				who |= 0o700
			case 'g':
				who |= 0o070
			case 'o':
				who |= 0o007
			case 'a':
				who |= allPermissions
			default:
				return 0, fmt.Errorf("`%c': invalid symbolic mode operator; it is +, - or =", w)
			}
		}
		if at == 0 {
			who = allPermissions
		}
		var bits os.FileMode
		for _, permission := range clause[at+1:] {
			switch permission {
			case 'r':
				bits |= 0o444
			case 'w':
				bits |= 0o222
			case 'x':
				bits |= 0o111
			default:
				return 0, fmt.Errorf("`%c': invalid symbolic mode character; they are r, w and x", permission)
			}
		}
		switch clause[at] {
		case '+':
			permitted |= who & bits
		case '-':
			permitted &^= who & bits
		case '=':
			permitted = permitted&^who | who&bits
		}
	}
	return allPermissions &^ permitted, nil
}
