package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

const mapfileSynopsis = "mapfile [-d delim] [-n count] [-O origin] [-s count] [-t] [-u fd] [-C callback] [-c quantum] [array]"

// A mapping is what a call of mapfile wants.
type mapping struct {
	name      string // of the array
	delimiter byte
	limit     int64 // of lines; 0 is none
	origin    int   // -1: the array is emptied, and begins with 0
	skip      int64
	trim      bool
	fd        int
	callback  string
	quantum   int64
}

// mapfile is bash's, and so is readarray.
func mapfile(ctx context.Context, c *builtinCall) error {
	m := mapping{name: "MAPFILE", delimiter: '\n', origin: -1, quantum: 5000}
	synopsis := strings.Replace(mapfileSynopsis, "mapfile", c.name, 1)
	args, err := c.options("d:u:n:O:tC:c:s:", synopsis, func(letter byte, word string) error {
		n, ok := number(word)
		ok = ok && n >= 0 && n <= math.MaxInt32
		switch letter {
		case 'd':
			m.delimiter = 0
			if word != "" {
				m.delimiter = word[0]
			}
		case 'u':
			if !ok {
				return c.fails("%s: invalid file descriptor specification", word)
			}
			m.fd = int(n)
		case 'n', 's':
			if !ok {
				return c.fails("%s: invalid line count", word)
			}
			if letter == 'n' {
				m.limit = n
			} else {
				m.skip = n
			}
		case 'O':
			if !ok {
				return c.fails("%s: invalid array origin", word)
			}
			m.origin = int(n)
		case 't':
			m.trim = true
		case 'C':
			m.callback = word
		case 'c':
			if !ok || n == 0 {
				return c.fails("%s: invalid callback quantum", word)
			}
			m.quantum = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(args) > 0 {
		m.name = args[0]
	}
	switch {
	case m.name == "":
		return c.usage("empty array variable name")
	case !syntax.ValidName(m.name):
		return c.fails("`%s': not a valid identifier", m.name)
	}
	f, err := inputOf(c.hc, m.fd)
	if err != nil {
		return c.fails("%d: invalid file descriptor: %s", m.fd, reason(err))
	}
	name, v, err := c.array(m.name)
	if err != nil {
		return err
	}
	m.name = name
	return m.run(ctx, c, f, v)
}

// run reads lines into the array, whose variable is v.
func (m *mapping) run(ctx context.Context, c *builtinCall, f *os.File, v expand.Variable) error {
	in := newInput(ctx, f)
	in.greedy = m.limit == 0 && m.callback == ""
	defer in.giveBack()
	a := sparse{}
	if m.origin >= 0 {
		a = sparseOf(v)
	} else {
		m.origin = 0
	}
	for range m.skip {
		line, err := in.line(m.delimiter)
		if failed := c.over(ctx, err); failed != nil {
			return failed
		}
		if line == nil {
			break
		}
	}
	index := m.origin
	for count := int64(1); m.limit == 0 || count <= m.limit; count++ {
		line, err := in.line(m.delimiter)
		if failed := c.over(ctx, err); failed != nil {
			return failed
		}
		if err != nil && err != io.EOF {
			return c.fails("read error: %d: %s", m.fd, reason(err))
		}
		if line == nil {
			break
		}
		if m.trim {
			line = bytes.TrimSuffix(line, []byte{m.delimiter})
		}
		if m.callback != "" && count%m.quantum == 0 {
			if err := a.store(c, m.name, v); err != nil {
				return failure(1)
			}
			quoted, err := quote(string(line))
			if err != nil {
				return err
			}
			_ = c.eval(ctx, fmt.Sprintf("%s %d %s", m.callback, index, quoted))
			_ = c.hc.Builtin(internal(ctx), []string{"true"})
			if v = c.hc.Env.Get(m.name); v.Kind == expand.Indexed {
				a = sparseOf(v)
			}
		}
		a.set(index, string(line))
		index++
	}
	return a.store(c, m.name, v)
}

// line returns the next line with its delimiter, if it has one; nil at the end. The
// line is the caller's.
func (in *input) line(delimiter byte) ([]byte, error) {
	var line []byte
	for {
		if in.at == len(in.buf) {
			if err := in.fill(); err != nil {
				return line, err
			}
		}
		rest := in.buf[in.at:]
		if i := bytes.IndexByte(rest, delimiter); i >= 0 {
			in.at += i + 1
			return append(line, rest[:i+1]...), nil
		}
		in.at = len(in.buf)
		line = append(line, rest...)
	}
}

// A sparse is an indexed array: values, and their indexes where there are gaps.
type sparse struct {
	values  []string
	indexes []int // nil: 0 and following
}

func sparseOf(v expand.Variable) sparse {
	if v.Kind == expand.String && v.IsSet() {
		return sparse{values: []string{v.Str}}
	}
	return sparse{slices.Clone(v.List), slices.Clone(v.Indexes)}
}

func (a *sparse) set(index int, value string) {
	if a.indexes == nil {
		if index < len(a.values) {
			a.values[index] = value
			return
		}
		if index == len(a.values) {
			a.values = append(a.values, value)
			return
		}
		a.indexes = make([]int, len(a.values))
		for i := range a.indexes {
			a.indexes[i] = i
		}
	}
	i, found := slices.BinarySearch(a.indexes, index)
	if found {
		a.values[i] = value
		return
	}
	a.indexes, a.values = slices.Insert(a.indexes, i, index), slices.Insert(a.values, i, value)
}

// store gives the array to the shell as a copy.
func (a *sparse) store(c *builtinCall, name string, v expand.Variable) error {
	values := slices.Clone(a.values)
	if values == nil {
		values = []string{}
	}
	return c.setArray(name, v, values, slices.Clone(a.indexes))
}
