package pipeline

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// test is bash's: POSIX by the number of its words, up to four, else an expression.
func test(_ context.Context, c *builtinCall) error { return c.condition(c.args) }

// bracket is "[".
func bracket(_ context.Context, c *builtinCall) error {
	if len(c.args) == 0 || c.args[len(c.args)-1] != "]" {
		return c.usage("missing `]'")
	}
	return c.condition(c.args[:len(c.args)-1])
}

func (c *builtinCall) condition(words []string) error {
	t := evaluation{c: c, words: words}
	value := t.all()
	if t.wrong == "" && t.at < len(words) {
		t.wrong = "too many arguments"
	}
	if t.wrong != "" {
		return c.usage("%s", t.wrong)
	}
	if !value {
		return failure(1)
	}
	return nil
}

// An evaluation is an expression of test that is evaluated.
type evaluation struct {
	c     *builtinCall
	words []string
	at    int    // the next word
	wrong string // what is wrong with the expression, or ""
	depth int
}

// maxParentheses bounds how deep "!" and "(" may be nested.
const maxParentheses = 10000

// fail notes the first thing that is wrong, and returns false.
func (t *evaluation) fail(problem string) bool {
	if t.wrong == "" {
		t.wrong = problem
	}
	return false
}

func (t *evaluation) all() bool {
	n := len(t.words)
	switch n {
	case 0:
		return false
	case 1:
		t.at = 1
		return t.words[0] != ""
	case 2:
		t.at = 2
		return t.two(t.words)
	case 3:
		t.at = 3
		return t.three(t.words)
	case 4:
		if t.words[0] == "!" {
			t.at = 4
			return !t.three(t.words[1:])
		}
		if t.words[0] == "(" && t.words[3] == ")" {
			t.at = 4
			return t.two(t.words[1:3])
		}
	}
	return t.or()
}

func (t *evaluation) two(w []string) bool {
	if w[0] == "!" {
		return w[1] == ""
	}
	if isUnary(w[0]) {
		return t.unary(w[0][1], w[1])
	}
	return t.fail(w[0] + ": unary operator expected")
}

func (t *evaluation) three(w []string) bool {
	switch {
	case isBinary(w[1]):
		return t.binary(w[0], w[1], w[2])
	case w[1] == "-a":
		return w[0] != "" && w[2] != ""
	case w[1] == "-o":
		return w[0] != "" || w[2] != ""
	case w[0] == "!":
		return !t.two(w[1:])
	case w[0] == "(" && w[2] == ")":
		return w[1] != ""
	}
	return t.fail(w[1] + ": binary operator expected")
}

func (t *evaluation) or() bool {
	value := t.and()
	for t.wrong == "" && t.next("-o") {
		right := t.and()
		value = value || right
	}
	return value
}

func (t *evaluation) and() bool {
	value := t.term()
	for t.wrong == "" && t.next("-a") {
		right := t.term()
		value = value && right
	}
	return value
}

// next moves over a word, if it is the next one.
func (t *evaluation) next(word string) bool {
	if t.at < len(t.words) && t.words[t.at] == word {
		t.at++
		return true
	}
	return false
}

func (t *evaluation) term() bool {
	if t.depth++; t.depth > maxParentheses {
		return t.fail("the expression is nested too deep")
	}
	defer func() { t.depth-- }()
	if t.at >= len(t.words) {
		return t.fail("argument expected")
	}
	if t.next("!") {
		return !t.term()
	}
	rest := t.words[t.at:]
	switch {
	case rest[0] == "(":
		t.at++
		value := t.or()
		if !t.next(")") {
			return t.fail("`)' expected")
		}
		return value
	case len(rest) >= 3 && isBinary(rest[1]):
		t.at += 3
		return t.binary(rest[0], rest[1], rest[2])
	case isUnary(rest[0]):
		if len(rest) < 2 {
			if rest[0] == "-t" {
				t.at++
				return t.terminal("1")
			}
			t.at++
			return true
		}
		if _, ok := number(rest[1]); rest[0] == "-t" && !ok {
			t.at++
			return false
		}
		t.at += 2
		return t.unary(rest[0][1], rest[1])
	}
	t.at++
	return rest[0] != ""
}

func isUnary(word string) bool {
	return len(word) == 2 && word[0] == '-' && strings.IndexByte("abcdefghknoprstuvwxzGLNORS", word[1]) >= 0
}

func isBinary(word string) bool {
	switch word {
	case "=", "==", "!=", "<", ">", "-nt", "-ot", "-ef", "-eq", "-ne", "-lt", "-le", "-gt", "-ge":
		return true
	}
	return false
}

func (t *evaluation) binary(x, op, y string) bool {
	switch op {
	case "=", "==":
		return x == y
	case "!=":
		return x != y
	case "<":
		return x < y
	case ">":
		return x > y
	case "-nt", "-ot", "-ef":
		return t.files(x, op, y)
	}
	a, ok := number(x)
	if !ok {
		return t.fail(x + ": integer expression expected")
	}
	b, ok := number(y)
	if !ok {
		return t.fail(y + ": integer expression expected")
	}
	switch op {
	case "-eq":
		return a == b
	case "-ne":
		return a != b
	case "-lt":
		return a < b
	case "-le":
		return a <= b
	case "-gt":
		return a > b
	}
	return a >= b
}

// path returns that of a file that is named relative to the shell's directory.
func (c *builtinCall) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return c.hc.Dir + string(filepath.Separator) + name
}

func (t *evaluation) files(x, op, y string) bool {
	a, errA := os.Stat(t.c.path(x))
	b, errB := os.Stat(t.c.path(y))
	switch op {
	case "-nt":
		return errA == nil && (errB != nil || a.ModTime().After(b.ModTime()))
	case "-ot":
		return errB == nil && (errA != nil || a.ModTime().Before(b.ModTime()))
	}
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func (t *evaluation) unary(op byte, word string) bool {
	switch op {
	case 'z':
		return word == ""
	case 'n':
		return word != ""
	case 'v':
		return t.c.isSet(word)
	case 'o':
		return optionOf(runnerOf(t.c.hc), word)
	case 'R':
		v := t.c.hc.Env.Get(word)
		return v.Kind == expand.NameRef && v.IsSet()
	case 't':
		return t.terminal(word)
	case 'r':
		return accessible(t.c.path(word), accessRead)
	case 'w':
		return accessible(t.c.path(word), accessWrite)
	case 'x':
		return accessible(t.c.path(word), accessExecute)
	case 'h', 'L':
		info, err := os.Lstat(t.c.path(word))
		return err == nil && info.Mode()&os.ModeSymlink != 0
	}
	if word == "" {
		return false
	}
	info, err := os.Stat(t.c.path(word))
	if err != nil {
		return false
	}
	mode := info.Mode()
	switch op {
	case 'a', 'e':
		return true
	case 'f':
		return mode.IsRegular()
	case 'd':
		return mode.IsDir()
	case 's':
		return info.Size() > 0
	case 'b':
		return mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0
	case 'c':
		return mode&os.ModeCharDevice != 0
	case 'p':
		return mode&os.ModeNamedPipe != 0
	case 'S':
		return mode&os.ModeSocket != 0
	case 'u':
		return mode&os.ModeSetuid != 0
	case 'g':
		return mode&os.ModeSetgid != 0
	case 'k':
		return mode&os.ModeSticky != 0
	}
	return isOwned(info, op)
}

// terminal reports whether a descriptor of the shell, 0 to 2, is a terminal.
func (t *evaluation) terminal(word string) bool {
	fd, ok := number(word)
	if !ok {
		return false
	}
	var stream any
	switch fd {
	case 0:
		stream = t.c.hc.Stdin
	case 1:
		stream = t.c.hc.Stdout
	case 2:
		stream = t.c.hc.Stderr
	}
	f, is := stream.(*os.File)
	return is && f != nil && isTerminal(f)
}

// isSet reports whether a variable, or an element of an array, has a value.
func (c *builtinCall) isSet(word string) bool {
	name, subscript, element := strings.Cut(word, "[")
	if element {
		if !strings.HasSuffix(subscript, "]") {
			return false
		}
		subscript = subscript[:len(subscript)-1]
	}
	if !syntax.ValidName(name) {
		return false
	}
	v := c.hc.Env.Get(name)
	if _, to := v.Resolve(c.hc.Env); v.Kind == expand.NameRef {
		v = to
	}
	if !v.IsSet() {
		return false
	}
	if !element {
		subscript = "0"
	}
	all := element && (subscript == "@" || subscript == "*")
	switch v.Kind {
	case expand.Indexed:
		if all {
			return len(v.List) > 0
		}
		return hasIndex(v, c.subscript(subscript))
	case expand.Associative:
		_, ok := v.Map[strings.Trim(subscript, `"'`)]
		return ok
	}
	return !element || all || c.subscript(subscript) == 0
}

// hasIndex reports whether an indexed array has an element; those that are negative
// count from its end.
func hasIndex(v expand.Variable, index int) bool {
	last := len(v.List) - 1
	if n := len(v.Indexes); n > 0 {
		last = v.Indexes[n-1]
	}
	if index < 0 {
		index += last + 1
	}
	if v.Indexes == nil {
		return index >= 0 && index <= last
	}
	for _, i := range v.Indexes {
		if i == index {
			return true
		}
	}
	return false
}

// subscript returns the value of a subscript: a number, or a variable that holds one.
// It is that of no element for all else.
func (c *builtinCall) subscript(text string) int {
	for range 8 {
		text = strings.TrimPrefix(strings.TrimSpace(text), "$")
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
		if !syntax.ValidName(text) {
			break
		}
		if text = c.hc.Env.Get(text).String(); text == "" {
			return 0
		}
	}
	return math.MinInt
}
