package pipeline

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline/format"
)

// echo is bash's, whose options may be clustered.
func echo(ctx context.Context, c *builtinCall) error {
	var buf [256]byte
	return c.write(ctx, format.Echo(buf[:0], c.args, false, isUTF8(c.hc.Env)))
}

const printfSynopsis = "printf [-v var] format [arguments]"

// printf is bash's: all of it.
func printf(ctx context.Context, c *builtinCall) error {
	target, assigned := "", false
	args, err := c.options("v:", printfSynopsis, func(_ byte, word string) error {
		if !isVariable(word) {
			c.errorf("`%s': not a valid identifier", word)
			return failure(statusUsage)
		}
		target, assigned = word, true
		return nil
	})
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return c.usageOf(printfSynopsis, "")
	}
	p := format.Printf{
		UTF8:    isUTF8(c.hc.Env),
		Now:     func() time.Time { return time.Now().In(zoneOf(c.hc.Env)) },
		Began:   c.x.begun,
		Problem: func(text string) { c.errorf("%s", text) },
		Count: func(name string, n int) bool {
			if !syntax.ValidName(name) {
				c.errorf("`%s': not a valid identifier", name)
				return false
			}
			return c.assign(ctx, name, strconv.Itoa(n)) == nil
		},
	}
	var buf [256]byte
	out, status := p.Format(buf[:0], args[0], args[1:])
	if assigned {
		if err := c.assign(ctx, target, string(out)); err != nil {
			return failure(1)
		}
		return failure(status)
	}
	if err := c.write(ctx, out); err != nil {
		return err
	}
	return failure(status)
}

// isUTF8 reports whether the locale of an environment has characters of several bytes
// (POSIX, environment variables: LC_ALL, then LC_CTYPE, then LANG).
func isUTF8(env expand.Environ) bool {
	for _, name := range [...]string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := env.Get(name).String(); value != "" {
			_, charset, _ := strings.Cut(value, ".")
			charset, _, _ = strings.Cut(charset, "@")
			return strings.EqualFold(charset, "UTF-8") || strings.EqualFold(charset, "UTF8")
		}
	}
	return false
}

// zoneOf returns the time zone of an environment (POSIX, TZ): that of the machine where
// it names none, UTC where nobody knows the one that it names.
func zoneOf(env expand.Environ) *time.Location {
	v := env.Get("TZ")
	if !v.IsSet() {
		if _, ours := os.LookupEnv("TZ"); !ours {
			return time.Local
		}
		v.Str = "localtime"
	}
	name := strings.TrimPrefix(v.String(), ":")
	if name == "" || strings.HasPrefix(name, "UTC") && len(name) == 3 {
		return time.UTC
	}
	if strings.HasPrefix(name, "/") {
		if data, err := os.ReadFile(name); err == nil {
			if zone, err := time.LoadLocationFromTZData("", data); err == nil {
				return zone
			}
		}
		return time.UTC
	}
	if name == "localtime" {
		if data, err := os.ReadFile("/etc/localtime"); err == nil {
			if zone, err := time.LoadLocationFromTZData("Local", data); err == nil {
				return zone
			}
		}
		return time.UTC
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone
	}
	return format.Zone(name)
}
