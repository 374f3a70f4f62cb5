package pipeline

import (
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

// looped gives the "while" and "until" loops of a tree the status that POSIX has
// for them: that of the body's last run, or 0 if there was none; the interpreter
// has 0 for all. Each keeps the status in a variable of the shell that it runs in,
// so that loops in subshells do not meet. A function that calls itself in the
// condition of its own loop spoils it.
func looped(sc *script) {
	var loops []*syntax.Stmt
	syntax.Walk(sc.file, func(n syntax.Node) bool {
		if s, ok := n.(*syntax.Stmt); ok {
			if _, ok := s.Cmd.(*syntax.WhileClause); ok {
				loops = append(loops, s)
			}
		}
		return true
	})
	for i, s := range loops {
		clause := s.Cmd.(*syntax.WhileClause)
		pos, name := s.Position, loopName(sc.id, i+1)
		keep := func(status syntax.WordPart) *syntax.Stmt {
			return quietly(withWord(mark(pos, markStatus), &syntax.ArithmExp{
				Left: pos, Right: pos,
				X: &syntax.BinaryArithm{
					OpPos: pos, Op: syntax.Assgn,
					X: literal(pos, name), Y: &syntax.Word{Parts: []syntax.WordPart{status}},
				},
			}))
		}
		none := &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: "0"}
		// "break" and "continue" give 0, so each run begins with it.
		body := append([]*syntax.Stmt{keep(none)}, clause.Do...)
		clause.Do = append(body, keep(expansion(pos, "?")))
		sc.changed = true
		s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: []*syntax.Stmt{
			keep(none),
			{Position: pos, Cmd: clause},
			withWord(mark(pos, markLoop), expansion(pos, name)),
		}}
	}
}

// loopName returns the name of the variable of a loop.
func loopName(script, loop int) string {
	name := "_rpipe_loop"
	if script > 0 {
		name += strconv.Itoa(script) + "_"
	}
	return name + strconv.Itoa(loop)
}
