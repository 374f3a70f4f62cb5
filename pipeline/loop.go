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
//
// Where nobody can see it (plain), the status is kept by assignments, which cost a
// tenth of marks.
func looped(sc *script, plain bool) {
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
		plain := plain && !clause.Until && !startsWithStatus(clause.Cond)
		keep := func(status syntax.WordPart) *syntax.Stmt {
			if plain {
				return &syntax.Stmt{Position: pos, Cmd: &syntax.CallExpr{Assigns: []*syntax.Assign{{
					Name: &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: name}, Value: &syntax.Word{Parts: []syntax.WordPart{status}},
				}}}}
			}
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

// startsWithStatus reports whether the condition of a loop may look at the status of
// the command before it, which is not the one that was written there.
func startsWithStatus(cond []*syntax.Stmt) bool {
	if len(cond) == 0 || mayBeFunction(cond[0].Cmd) {
		return true
	}
	return holds(cond[:1], func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			return n.Param != nil && n.Param.Value == "?"
		case *syntax.CallExpr:
			return len(n.Args) > 0 && (n.Args[0].Lit() == "" || runsText(n.Args[0].Lit()))
		case *syntax.CmdSubst, *syntax.BinaryCmd, *syntax.Subshell, *syntax.Block:
			return true
		}
		return false
	})
}

// loopName returns the name of the variable of a loop.
func loopName(script, loop int) string {
	name := "_rpipe_loop"
	if script > 0 {
		name += strconv.Itoa(script) + "_"
	}
	return name + strconv.Itoa(loop)
}
