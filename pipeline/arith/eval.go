package arith

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDepth bounds how deep values may name each other, as in bash.
const maxDepth = 1024

// maxNesting bounds parentheses and operators that nest to the right.
const maxNesting = 10000

// A Ref names a variable, or an element of an array.
type Ref struct {
	Name    string
	Element bool   // else the variable itself
	Index   int64  // of an element of an indexed array; negative counts from the end
	Key     string // of an element of an associative array
}

// Vars is where an expression finds its variables. Errors of its methods end the
// evaluation, and are returned as they are.
type Vars interface {
	// Load returns the value of a variable; "" is worth 0.
	Load(Ref) (string, error)
	Store(Ref, string) error
	// Associative reports whether the subscripts of an array are keys.
	Associative(name string) bool
}

// An Error is an expression that has no value. Its text is that of bash.
type Error struct {
	Expr  string // what was evaluated
	What  string
	Token string // where it went wrong: the rest of Expr from there
}

func (e *Error) Error() string {
	if e.Token == "" {
		return fmt.Sprintf("%s: %s", e.Expr, e.What)
	}
	return fmt.Sprintf("%s: %s (error token is %q)", e.Expr, e.What, e.Token)
}

// Eval returns the value of an expression; that of an empty one is 0. Its side effects
// are done even where an error comes after them. An error is an *Error, or one of vars.
func Eval(expr string, vars Vars) (int64, error) { return eval(expr, vars, 0) }

func eval(expr string, vars Vars, depth int) (n int64, err error) {
	text := strings.TrimLeft(expr, blanks)
	if text == "" {
		return 0, nil
	}
	e := &evaluation{text: text, vars: vars, depth: depth}
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(failed)
			if !ok {
				panic(p)
			}
			n, err = 0, f.err
		}
	}()
	if depth > maxDepth {
		e.fail("expression recursion level exceeded", text)
	}
	n = e.comma()
	e.blank()
	if e.at < len(e.text) {
		e.fail("syntax error in expression", e.text[e.at:])
	}
	return n, nil
}

const blanks = " \t\n\r"

// failed is what an evaluation panics with; eval recovers it.
type failed struct{ err error }

// An evaluation goes once through a text, and evaluates what it reads.
type evaluation struct {
	text    string
	at      int
	vars    Vars
	depth   int
	nesting int
	skip    int // above 0 nothing has an effect: the operand is not needed
}

func (e *evaluation) fail(what, token string) {
	panic(failed{&Error{Expr: strings.TrimRight(e.text, blanks), What: what, Token: token}})
}

func (e *evaluation) blank() {
	for e.at < len(e.text) && strings.IndexByte(blanks, e.text[e.at]) >= 0 {
		e.at++
	}
}

// rest returns what was not read, without leading blanks.
func (e *evaluation) rest() string {
	e.blank()
	return e.text[e.at:]
}

// take reads an operator if it stands here, and none of longer is what stands here.
func (e *evaluation) take(op string, longer ...string) bool {
	rest := e.rest()
	if !strings.HasPrefix(rest, op) {
		return false
	}
	for _, l := range longer {
		if strings.HasPrefix(rest, l) {
			return false
		}
	}
	e.at += len(op)
	return true
}

func (e *evaluation) comma() int64 {
	n := e.assignment()
	for e.take(",") {
		n = e.assignment()
	}
	return n
}

var assignments = []string{"<<=", ">>=", "*=", "/=", "%=", "+=", "-=", "&=", "^=", "|=", "="}

// assignOp reads an operator of assignment, or nothing and returns "".
func (e *evaluation) assignOp() string {
	for _, op := range assignments {
		if e.take(op, "==") {
			return op
		}
	}
	return ""
}

func (e *evaluation) assignment() int64 {
	e.nesting++
	defer func() { e.nesting-- }()
	if e.nesting > maxNesting {
		e.fail("expression recursion level exceeded", e.rest())
	}
	begin := e.at
	if name, sub, element := e.reference(); name != "" {
		if op := e.assignOp(); op != "" {
			ref := e.resolve(name, sub, element)
			if op == "=" {
				return e.store(ref, e.assignment())
			}
			old := e.load(ref)
			token := e.rest()
			return e.store(ref, e.binary(op[:len(op)-1], old, e.assignment(), token))
		}
		e.at = begin
	}
	n := e.ternary()
	if rest := e.rest(); e.assignOp() != "" {
		e.fail("attempted assignment to non-variable", rest)
	}
	return n
}

func (e *evaluation) ternary() int64 {
	cond := e.or()
	if !e.take("?") {
		return cond
	}
	if e.rest() == "" || e.rest()[0] == ':' {
		e.fail("expression expected", e.rest())
	}
	yes := e.unless(cond == 0, e.comma)
	if !e.take(":") {
		e.fail("`:' expected for conditional expression", e.rest())
	}
	if e.rest() == "" {
		e.fail("expression expected", e.rest())
	}
	no := e.unless(cond != 0, e.alternative)
	if cond != 0 {
		return yes
	}
	return no
}

// alternative reads what stands behind the ":".
func (e *evaluation) alternative() int64 {
	e.nesting++
	defer func() { e.nesting-- }()
	if e.nesting > maxNesting {
		e.fail("expression recursion level exceeded", e.rest())
	}
	return e.ternary()
}

// unless reads an operand, without effect if skip is true.
func (e *evaluation) unless(skip bool, operand func() int64) int64 {
	if skip {
		e.skip++
		defer func() { e.skip-- }()
	}
	return operand()
}

func (e *evaluation) or() int64 {
	n := e.and()
	for e.take("||") {
		right := e.unless(n != 0, e.and)
		n = truth(n != 0 || right != 0)
	}
	return n
}

func (e *evaluation) and() int64 {
	n := e.level(0)
	for e.take("&&") {
		right := e.unless(n == 0, func() int64 { return e.level(0) })
		n = truth(n != 0 && right != 0)
	}
	return n
}

// An operator is a binary one, which is none where one of not stands.
type operator struct {
	op  string
	not []string
}

// levels are the binary operators between && and **, by rising precedence.
var levels = [][]operator{
	{{"|", []string{"||", "|="}}},
	{{"^", []string{"^="}}},
	{{"&", []string{"&&", "&="}}},
	{{"==", nil}, {"!=", nil}},
	{{"<=", nil}, {">=", nil}, {"<", []string{"<<"}}, {">", []string{">>"}}},
	{{"<<", []string{"<<="}}, {">>", []string{">>="}}},
	{{"+", []string{"+="}}, {"-", []string{"-="}}},
	{{"*", []string{"**", "*="}}, {"/", []string{"/="}}, {"%", []string{"%="}}},
}

func (e *evaluation) level(i int) int64 {
	if i == len(levels) {
		return e.power()
	}
	n := e.level(i + 1)
	for {
		op := ""
		for _, o := range levels[i] {
			if e.take(o.op, o.not...) {
				op = o.op
				break
			}
		}
		if op == "" {
			return n
		}
		token := e.rest()
		n = e.binary(op, n, e.level(i+1), token)
	}
}

func (e *evaluation) power() int64 {
	n := e.unary()
	if !e.take("**") {
		return n
	}
	token := e.rest()
	e.nesting++
	defer func() { e.nesting-- }()
	if e.nesting > maxNesting {
		e.fail("expression recursion level exceeded", token)
	}
	return e.binary("**", n, e.power(), token)
}

func (e *evaluation) binary(op string, x, y int64, token string) int64 {
	switch op {
	case "|":
		return x | y
	case "^":
		return x ^ y
	case "&":
		return x & y
	case "==":
		return truth(x == y)
	case "!=":
		return truth(x != y)
	case "<=":
		return truth(x <= y)
	case ">=":
		return truth(x >= y)
	case "<":
		return truth(x < y)
	case ">":
		return truth(x > y)
	case "<<":
		return x << (uint64(y) & 63)
	case ">>":
		return x >> (uint64(y) & 63)
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/", "%":
		if y == 0 {
			if e.skip > 0 {
				return 0
			}
			e.fail("division by 0", token)
		}
		if op == "/" {
			return x / y
		}
		return x % y
	}
	if y < 0 { // "**"
		if e.skip > 0 {
			return 0
		}
		e.fail("exponent less than 0", token)
	}
	n := int64(1)
	for ; y > 0; y >>= 1 {
		if y&1 == 1 {
			n *= x
		}
		x *= x
	}
	return n
}

func (e *evaluation) unary() int64 {
	e.nesting++
	defer func() { e.nesting-- }()
	if e.nesting > maxNesting {
		e.fail("expression recursion level exceeded", e.rest())
	}
	for _, op := range []string{"++", "--"} {
		begin := e.at
		if !e.take(op) {
			continue
		}
		if name, sub, element := e.reference(); name != "" {
			ref := e.resolve(name, sub, element)
			step := int64(1)
			if op == "--" {
				step = -1
			}
			return e.store(ref, e.load(ref)+step)
		}
		e.at = begin // it is a sign, twice
		break
	}
	switch {
	case e.take("!", "!="):
		return truth(e.unary() == 0)
	case e.take("~"):
		return ^e.unary()
	case e.take("-"):
		return -e.unary()
	case e.take("+"):
		return e.unary()
	}
	return e.primary()
}

func (e *evaluation) primary() int64 {
	if name, sub, element := e.reference(); name != "" {
		ref := e.resolve(name, sub, element)
		begin := e.at
		for _, op := range []string{"++", "--"} {
			if !e.take(op) {
				continue
			}
			if rest := e.rest(); rest != "" && (isNameByte(rest[0], 0) || rest[0] == '(') {
				e.at = begin // "x++y" is x + +y
				break
			}
			old, step := e.load(ref), int64(1)
			if op == "--" {
				step = -1
			}
			e.store(ref, old+step)
			return old
		}
		return e.load(ref)
	}
	rest := e.rest()
	switch {
	case e.take("("):
		n := e.comma()
		if !e.take(")") {
			e.fail("missing `)'", e.rest())
		}
		return n
	case rest != "" && rest[0] >= '0' && rest[0] <= '9':
		return e.number()
	case rest == "":
		e.fail("syntax error: operand expected", lastToken(e.text))
	}
	e.fail("syntax error: operand expected", rest)
	return 0
}

// lastToken returns what an expression that ended too early ends with.
func lastToken(text string) string {
	trimmed := strings.TrimRight(text, blanks)
	if trimmed == "" {
		return text
	}
	return text[len(trimmed)-1:]
}

func isNameByte(b byte, i int) bool {
	return b == '_' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || i > 0 && b >= '0' && b <= '9'
}

// reference reads a name, with its subscript if there is one. It reads nothing if
// there is no name.
func (e *evaluation) reference() (name, sub string, element bool) {
	rest := e.rest()
	i := 0
	for i < len(rest) && isNameByte(rest[i], i) {
		i++
	}
	if i == 0 {
		return "", "", false
	}
	name = rest[:i]
	e.at += i
	if i == len(rest) || rest[i] != '[' {
		return name, "", false
	}
	depth := 0
	for j := i; j < len(rest); j++ {
		switch rest[j] {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth == 0 {
			e.at += j + 1 - i
			return name, rest[i+1 : j], true
		}
	}
	e.fail("bad array subscript", rest)
	return "", "", false
}

// resolve evaluates the subscript of a reference.
func (e *evaluation) resolve(name, sub string, element bool) Ref {
	ref := Ref{Name: name, Element: element}
	switch {
	case e.skip > 0 || !element:
	case e.vars.Associative(name):
		ref.Key = sub
	default:
		if strings.Trim(sub, blanks) == "" {
			panic(failed{&Error{Expr: name + "[" + sub + "]", What: "bad array subscript"}})
		}
		n, err := eval(sub, e.vars, e.depth+1)
		if err != nil {
			panic(failed{err})
		}
		ref.Index = n
	}
	return ref
}

func (e *evaluation) load(ref Ref) int64 {
	if e.skip > 0 {
		return 0
	}
	value, err := e.vars.Load(ref)
	if err != nil {
		panic(failed{err})
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && (value[0] != '0' || len(value) == 1) && value[0] != '-' && value[0] != '+' {
		return n
	}
	n, err := eval(value, e.vars, e.depth+1)
	if err != nil {
		panic(failed{err})
	}
	return n
}

func (e *evaluation) store(ref Ref, n int64) int64 {
	if e.skip > 0 {
		return n
	}
	if err := e.vars.Store(ref, strconv.FormatInt(n, 10)); err != nil {
		panic(failed{err})
	}
	return n
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
