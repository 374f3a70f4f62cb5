package pipeline

import (
	"context"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rpipe/pipeline/format"
)

const (
	readSynopsis = "read [-ers] [-a array] [-d delim] [-i text] [-n nchars] [-N nchars] [-p prompt] [-t timeout] [-u fd] [name ...]"

	statusAlarm = statusSignal + 14 // of a read whose time is over
)

// A reading is what a call of read wants.
type reading struct {
	raw, silent bool
	array       string
	delimiter   int // a byte; -1 for none
	limit       int // of characters; -1 for none
	exact       bool
	prompt      string
	timeout     time.Duration // negative is none
	fd          int

	utf8 bool
}

// read is bash's. -e has no line editing: a terminal is read as it is.
func read(ctx context.Context, c *builtinCall) error {
	r := reading{delimiter: '\n', limit: -1, timeout: -1, utf8: isUTF8(c.hc.Env)}
	names, err := c.options("ersa:d:i:n:p:t:u:N:", readSynopsis, func(letter byte, word string) error {
		switch letter {
		case 'r':
			r.raw = true
		case 's':
			r.silent = true
		case 'a':
			r.array = word
		case 'd':
			r.delimiter = 0
			if word != "" {
				r.delimiter = int(word[0])
			}
		case 'n', 'N':
			n, ok := number(word)
			if !ok || n < 0 || n > math.MaxInt32 {
				return c.fails("%s: invalid number", word)
			}
			r.limit, r.exact = int(n), letter == 'N'
		case 'p':
			r.prompt = word
		case 't':
			d, ok := duration(word)
			if !ok {
				return c.fails("%s: invalid timeout specification", word)
			}
			r.timeout = d
		case 'u':
			n, ok := number(word)
			if !ok || n < 0 || n > math.MaxInt32 {
				return c.fails("%s: invalid file descriptor specification", word)
			}
			r.fd = int(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.exact {
		r.delimiter = -1
	}
	f, err := inputOf(c.hc, r.fd)
	if err != nil {
		return c.fails("%d: invalid file descriptor: %s", r.fd, reason(err))
	}
	if r.timeout == 0 {
		if !readyNow(f) {
			return failure(1)
		}
		return nil
	}
	if len(names) > 0 && r.array == "" && !isVariable(names[0]) {
		return c.fails("`%s': not a valid identifier", names[0])
	}
	line, status, err := r.line(ctx, c, f)
	if err != nil {
		return err
	}
	if err := r.assign(ctx, c, line, names); err != nil {
		return err
	}
	return failure(status)
}

// line reads what is to be assigned. An err is the end of the builtin.
func (r *reading) line(ctx context.Context, c *builtinCall, f *os.File) (line format.Line, status int, err error) {
	in := newInput(ctx, f)
	defer in.giveBack()
	if r.timeout > 0 {
		in.deadline = time.Now().Add(r.timeout)
	}
	if !in.seekable && (r.prompt != "" || r.silent || r.limit >= 0) && isTerminal(f) {
		if r.prompt != "" {
			_, _ = io.WriteString(c.hc.Stderr, r.prompt)
		}
		if r.silent || r.limit >= 0 {
			defer quiet(f, !r.silent, r.limit < 0)()
		}
	}
	if r.limit == 0 {
		return line, 0, nil
	}
	var buf [128]byte
	line.Text = buf[:0]
	first := true
	escaped, characters := false, 0
	for {
		b, err := in.readByte()
		if first || err != nil {
			first = false
			if err := c.over(ctx, err); err != nil {
				return line, 0, err
			}
			if err == nil && !in.seekable {
				if err := c.lost(); err != nil {
					return line, 0, err
				}
			}
		}
		switch {
		case err == errTimeout:
			return owned(line), statusAlarm, nil
		case err == io.EOF:
			return owned(line), 1, nil
		case err != nil:
			return line, 0, c.fails("read error: %d: %s", r.fd, reason(err))
		}
		switch {
		case escaped && b == '\n':
			escaped = false
			continue
		case escaped:
		case b == '\\' && !r.raw:
			escaped = true
			continue
		case int(b) == r.delimiter:
			return owned(line), 0, nil
		case b == 0:
			continue // no variable can hold it
		}
		line.Text = append(line.Text, b)
		if escaped && line.Escaped == nil {
			line.Escaped = make([]bool, len(line.Text)-1, 64)
		}
		if line.Escaped != nil {
			line.Escaped = append(line.Escaped, escaped)
		}
		escaped = false
		if r.limit < 0 {
			continue
		}
		if r.utf8 && b >= utf8.RuneSelf && !r.complete(line.Text) {
			continue
		}
		if characters++; characters == r.limit {
			return owned(line), 0, nil
		}
	}
}

// owned returns a line that does not share the buffer that it was read to.
func owned(line format.Line) format.Line {
	line.Text = append([]byte(nil), line.Text...)
	return line
}

// complete reports whether text does not end in the middle of a character of UTF-8.
func (r *reading) complete(text []byte) bool {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			return utf8.FullRune(text[i:])
		}
	}
	return true
}

// assign gives the variables what was read.
func (r *reading) assign(ctx context.Context, c *builtinCall, line format.Line, names []string) error {
	separators := format.DefaultSeparators
	if ifs := c.hc.Env.Get("IFS"); ifs.IsSet() {
		separators = ifs.String()
	}
	if r.exact {
		separators = ""
	}
	if r.array != "" {
		if !isVariable(r.array) {
			return c.fails("`%s': not a valid identifier", r.array)
		}
		name, v, err := c.array(r.array)
		if err != nil {
			return err
		}
		return c.setArray(name, v, line.Fields(separators), nil)
	}
	if len(names) == 0 {
		return c.assign(ctx, "REPLY", line.String())
	}
	var values []string
	if r.exact {
		values = make([]string, len(names))
		values[0] = string(line.Text)
	} else {
		values = line.Split(separators, len(names))
	}
	for i, name := range names {
		if !isVariable(name) {
			return c.fails("`%s': not a valid identifier", name)
		}
		if err := c.assign(ctx, name, values[i]); err != nil {
			return failure(1)
		}
	}
	return nil
}

// number reads a decimal number as bash's builtins take it: with white space around.
func number(word string) (int64, bool) {
	n, err := strconv.ParseInt(strings.Trim(word, " \t\n\v\f\r"), 10, 64)
	return n, err == nil && !strings.Contains(word, "_")
}

// duration reads a number of seconds with decimals.
func duration(word string) (time.Duration, bool) {
	for i, c := range []byte(word) {
		if (c < '0' || c > '9') && c != '.' && (i > 0 || c != '+') {
			return 0, false
		}
	}
	if word == "" || word == "." {
		return 0, word == ""
	}
	seconds, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return 0, false
	}
	return time.Duration(min(seconds, 1e9) * float64(time.Second)), true
}
