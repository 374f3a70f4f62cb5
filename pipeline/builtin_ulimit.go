package pipeline

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"rpipe/pipeline/launcher"
)

// limits are those that a shell hands on, by resource, where they are not those of this
// process. They are not changed when they are made.
type limits map[int]limit

// A limit is one of getrlimit(2).
type limit struct{ soft, hard uint64 }

// unlimited is RLIM_INFINITY.
const unlimited = ^uint64(0)

// A resource is one that "ulimit" knows.
type resource struct {
	flag        byte
	number      int // pipeSize: what is no limit
	description string
	unit        string
	factor      uint64 // bytes, or what it is, in a unit
}

// pipeSize is the "resource" of "ulimit -p", which nobody can set.
const pipeSize = -1

func (l limits) list() (list []launcher.Limit) {
	for number, one := range l {
		list = append(list, launcher.Limit{Resource: number, Soft: one.soft, Hard: one.hard})
	}
	slices.SortFunc(list, func(a, b launcher.Limit) int { return a.Resource - b.Resource })
	return list
}

// of returns the limit of a resource.
func (l limits) of(r resource) (limit, error) {
	if r.number == pipeSize {
		return limit{4096, 4096}, nil
	}
	if one, ok := l[r.number]; ok {
		return one, nil
	}
	return processLimit(r.number)
}

// A limitRequest is one resource in the words of "ulimit".
type limitRequest struct {
	resource
	value string // "" to print it
}

// ulimit prints limits, or sets them for the programs of this shell and what they start:
// POSIX, ulimit; options and units are those of bash. Files that the shell itself
// writes, and what it needs, are not limited.
func ulimit(ctx context.Context, c *builtinCall) error {
	if len(resources) == 0 {
		return c.usage("not supported on this system; set it before rpipe is started")
	}
	var requests []limitRequest
	hard, soft, all := false, false, false
	args := c.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		flags := args[0][1:]
		args = args[1:]
		if flags == "-" {
			break
		}
		for i := range len(flags) {
			switch flag := flags[i]; flag {
			case 'H':
				hard = true
			case 'S':
				soft = true
			case 'a':
				all = true
			default:
				at := slices.IndexFunc(resources, func(r resource) bool { return r.flag == flag })
				if at < 0 {
					return c.usage("-%c: invalid option; \"ulimit -a\" shows those that it knows", flag)
				}
				requests = append(requests, limitRequest{resource: resources[at]})
			}
		}
		if n := len(requests); n > 0 && len(args) > 0 && (args[0] == "" || args[0][0] != '-') {
			requests[n-1].value, args = args[0], args[1:]
		}
	}
	if all {
		requests = nil
		for _, r := range resources {
			requests = append(requests, limitRequest{resource: r})
		}
	}
	if len(requests) == 0 {
		at := slices.IndexFunc(resources, func(r resource) bool { return r.flag == 'f' })
		requests = append(requests, limitRequest{resource: resources[at]})
		if len(args) > 0 {
			requests[0].value = args[0]
		}
	}
	for _, q := range requests {
		if err := c.limit(ctx, q, hard, soft, len(requests) > 1); err != nil {
			return err
		}
	}
	return nil
}

// limit does one request.
func (c *builtinCall) limit(ctx context.Context, q limitRequest, hard, soft, described bool) error {
	current := attributesOf(c.hc).limits
	one, err := current.of(q.resource)
	if err != nil {
		c.errorf("%s: cannot get limit: %s", q.description, reason(err))
		return failure(1)
	}
	if q.value == "" {
		value := one.soft
		if hard && !soft {
			value = one.hard
		}
		out := "unlimited\n"
		if value != unlimited {
			out = strconv.FormatUint(value/q.factor, 10) + "\n"
		}
		if described {
			unit := fmt.Sprintf("(-%c) ", q.flag)
			if q.unit != "" {
				unit = fmt.Sprintf("(%s, -%c) ", q.unit, q.flag)
			}
			out = fmt.Sprintf("%-20s %20s%s", q.description, unit, out)
		}
		return c.writeString(ctx, out)
	}
	var value uint64
	switch q.value {
	case "unlimited":
		value = unlimited
	case "soft":
		value = one.soft
	case "hard":
		value = one.hard
	default:
		n, err := strconv.ParseUint(q.value, 10, 64)
		if err != nil || !isDigits(q.value) {
			c.errorf("%s: invalid number; write a number, soft, hard or unlimited", q.value)
			return failure(1)
		}
		value = n * q.factor
		if n != 0 && value/n != q.factor {
			c.errorf("%s: limit out of range", q.value)
			return failure(1)
		}
	}
	wanted := one
	if soft || !hard {
		wanted.soft = value
	}
	if hard || !soft {
		wanted.hard = value
	}
	problem := ""
	switch {
	case q.number == pipeSize:
		problem = "Invalid argument"
	case wanted.soft > wanted.hard:
		problem = "Invalid argument"
	case wanted.hard > one.hard && os.Geteuid() != 0:
		problem = "Operation not permitted"
	}
	if problem != "" {
		c.errorf("%s: cannot modify limit: %s", strings.TrimSpace(q.description), problem)
		return failure(1)
	}
	c.setAttributes(ctx, func(a *attributes) {
		changed := limits{q.number: wanted}
		for number, l := range a.limits {
			if number != q.number {
				changed[number] = l
			}
		}
		a.limits = changed
	})
	return nil
}
