package pipeline

import (
	"slices"
	"strconv"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// controlled gives the "break" and "continue" of a tree the reach that they have in bash.
// The interpreter looks for them only behind the commands of a loop's own list, and counts
// loops outside of the function that they stand in. So what follows a command that may
// leave a loop, in a list inside of the loop, becomes with it the body of a loop of one
// round, which counts; and none leaves more loops than there are.
func controlled(sc *script) {
	c := &controller{script: sc, text: sc.id != 0}
	var around loops
	if c.text {
		around = loops{true} // at least one, or it has no "break" for others
	}
	sc.file.Stmts = c.list(sc.file.Stmts, around, false)
}

// hiddenLoop is the variable of a loop of one round.
const hiddenLoop = "\x00once"

type controller struct {
	script *script
	text   bool // there may be loops around the text, which it does not know
}

// loops are those around a statement, in its function: true is one of the script, false
// one of ours.
type loops []bool

func (l loops) with(written bool) loops { return append(slices.Clone(l), written) }

// operand returns how many loops n of the script are, counted from the inside, at most all,
// and false if there are none. more tells that there may be others around them.
func (l loops) operand(n int, more bool) (int, bool) {
	last := 0
	for i := len(l) - 1; i >= 0 && n > 0; i-- {
		if l[i] {
			last = len(l) - i
			n--
		}
	}
	if more {
		last += n
	}
	return last, last > 0
}

// ours returns how many loops of ours are inside of the innermost one of the script.
func (l loops) ours() int {
	for n := range l {
		if l[len(l)-1-n] {
			return n
		}
	}
	return 0
}

// list rewrites the statements of a list. direct tells that it is the body of a loop.
func (c *controller) list(stmts []*syntax.Stmt, around loops, direct bool) []*syntax.Stmt {
	if direct || len(around) == 0 {
		for _, s := range stmts {
			c.stmt(s, around)
		}
		return stmts
	}
	for i, s := range stmts {
		if i == len(stmts)-1 || !leavesLoop(s, 0) {
			c.stmt(s, around)
			continue
		}
		pos := s.Position
		once := &syntax.ForClause{
			ForPos: pos, DoPos: pos, DonePos: pos,
			Loop: &syntax.WordIter{
				Name:  &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: hiddenLoop},
				InPos: pos, Items: []*syntax.Word{literal(pos, "1")},
			},
			Do: slices.Clone(stmts[i:]),
		}
		c.script.changed = true
		once.Do = c.list(once.Do, around.with(false), true)
		return append(slices.Clone(stmts[:i]), &syntax.Stmt{Position: pos, Cmd: once})
	}
	return stmts
}

func (c *controller) stmt(s *syntax.Stmt, around loops) {
	if s == nil {
		return
	}
	for _, r := range s.Redirs {
		c.words(r)
	}
	if s.Background || s.Coprocess || s.Disown {
		around = nil
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		c.call(cmd, around)
		c.words(cmd)
	case *syntax.Block:
		cmd.Stmts = c.list(cmd.Stmts, around, false)
	case *syntax.Subshell:
		cmd.Stmts = c.list(cmd.Stmts, nil, false)
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll {
			around = nil
		}
		c.stmt(cmd.X, around)
		c.stmt(cmd.Y, around)
	case *syntax.IfClause:
		for branch := cmd; branch != nil; branch = branch.Else {
			branch.Cond = c.list(branch.Cond, around, false)
			branch.Then = c.list(branch.Then, around, false)
		}
	case *syntax.WhileClause:
		cmd.Cond = c.list(cmd.Cond, around, false)
		cmd.Do = c.list(cmd.Do, around.with(true), true)
	case *syntax.ForClause:
		c.words(cmd.Loop)
		cmd.Do = c.list(cmd.Do, around.with(true), true)
	case *syntax.CaseClause:
		c.words(cmd.Word)
		for _, item := range cmd.Items {
			item.Stmts = c.list(item.Stmts, around, false)
		}
	case *syntax.FuncDecl:
		inner := &controller{script: c.script}
		inner.stmt(cmd.Body, nil)
	case *syntax.TimeClause:
		c.stmt(cmd.Stmt, around)
	case *syntax.CoprocClause:
		c.stmt(cmd.Stmt, nil)
	case nil:
	default:
		c.words(cmd)
	}
}

// words goes on into the substitutions of a node.
func (c *controller) words(node syntax.Node) {
	inner := &controller{script: c.script}
	tree.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			n.Stmts = inner.list(n.Stmts, nil, false)
			return false
		case *syntax.ProcSubst:
			n.Stmts = inner.list(n.Stmts, nil, false)
			return false
		}
		return true
	})
}

// call rewrites the operand of a "break" or "continue".
func (c *controller) call(call *syntax.CallExpr, around loops) {
	n, ok := loopsLeft(call)
	if !ok {
		return
	}
	pos := call.Args[0].Pos()
	count, some := around.operand(n, c.text)
	switch {
	case n == 0:
		if ours := around.ours(); ours > 0 && len(call.Args) == 2 {
			call.Args[1] = &syntax.Word{Parts: []syntax.WordPart{&syntax.ArithmExp{Left: pos, Right: pos, X: &syntax.BinaryArithm{
				OpPos: pos, Op: syntax.Add, X: call.Args[1], Y: literal(pos, strconv.Itoa(ours)),
			}}}}
		}
	case !some:
		call.Args = []*syntax.Word{quoted(pos, markNoLoop), call.Args[0]}
		c.script.changed = true
	case count != n:
		call.Args = []*syntax.Word{call.Args[0], literal(pos, strconv.Itoa(count))}
		c.script.changed = true
	}
}

// loopsLeft reports whether a command is a "break" or a "continue", and for how many loops: 0
// if that is not known.
func loopsLeft(call *syntax.CallExpr) (int, bool) {
	if len(call.Args) == 0 {
		return 0, false
	}
	if name := call.Args[0].Lit(); name != "break" && name != "continue" {
		return 0, false
	}
	if len(call.Args) == 1 {
		return 1, true
	}
	n, err := strconv.Atoi(call.Args[1].Lit())
	if len(call.Args) > 2 || err != nil || n < 1 {
		return 0, true
	}
	return n, true
}

// leavesLoop reports whether a statement may leave a loop that it stands in, and that has
// so many loops in it around the statement.
func leavesLoop(s *syntax.Stmt, inner int) bool {
	if s == nil || s.Background || s.Coprocess || s.Disown {
		return false
	}
	any := func(stmts []*syntax.Stmt, inner int) bool {
		return slices.ContainsFunc(stmts, func(s *syntax.Stmt) bool { return leavesLoop(s, inner) })
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		n, ok := loopsLeft(cmd)
		return ok && (n == 0 && inner == 0 || n > inner)
	case *syntax.Block:
		return any(cmd.Stmts, inner)
	case *syntax.BinaryCmd:
		return (cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt) && (leavesLoop(cmd.X, inner) || leavesLoop(cmd.Y, inner))
	case *syntax.IfClause:
		for branch := cmd; branch != nil; branch = branch.Else {
			if any(branch.Cond, inner) || any(branch.Then, inner) {
				return true
			}
		}
	case *syntax.WhileClause:
		return any(cmd.Cond, inner) || any(cmd.Do, inner+1)
	case *syntax.ForClause:
		return any(cmd.Do, inner+1)
	case *syntax.CaseClause:
		return slices.ContainsFunc(cmd.Items, func(item *syntax.CaseItem) bool { return any(item.Stmts, inner) })
	case *syntax.TimeClause:
		return leavesLoop(cmd.Stmt, inner)
	}
	return false
}
