package pipeline

import (
	"strconv"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// looped gives the "while" and "until" loops of a tree the status that POSIX has
// for them: that of the body's last run, or 0 if there was none; the interpreter
// has 0 for all. Each keeps the status in a variable of the shell that it runs in,
// so that loops in subshells do not meet. A function that calls itself in the
// condition of its own loop spoils it. A "for" that counts is treated in the same way: the
// interpreter ends it when its body fails.
//
// Where nobody can see it (plain), the status is kept by assignments, which cost a
// tenth of marks.
func looped(sc *script, plain bool) {
	var loops []*syntax.Stmt
	tree.Walk(sc.file, func(n syntax.Node) bool {
		if s, ok := n.(*syntax.Stmt); ok {
			switch cmd := s.Cmd.(type) {
			case *syntax.WhileClause:
				loops = append(loops, s)
			case *syntax.ForClause:
				if _, ok := cmd.Loop.(*syntax.CStyleLoop); ok && mayFail(final(cmd.Do)) {
					loops = append(loops, s)
				}
			}
		}
		return true
	})
	for i, s := range loops {
		var body *[]*syntax.Stmt
		counts := false
		switch cmd := s.Cmd.(type) {
		case *syntax.WhileClause:
			body = &cmd.Do
		case *syntax.ForClause:
			body, counts = &cmd.Do, true
		}
		pos, name := s.Position, loopName(sc.id, i+1)
		while, _ := s.Cmd.(*syntax.WhileClause)
		plain := plain && while != nil && !while.Until && !startsWithStatus(while.Cond)
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
		if holds(*body, mayLeaveLoop) {
			// "break" and "continue" give 0, so each run begins with it.
			*body = append([]*syntax.Stmt{keep(none)}, *body...)
		}
		if counts {
			*body = append(*body, mark(pos, markRetain, name))
		} else {
			*body = append(*body, keep(expansion(pos, "?")))
		}
		sc.changed = true
		s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: []*syntax.Stmt{
			keep(none),
			{Position: pos, Cmd: s.Cmd},
			quietly(withWord(mark(pos, markLoop), expansion(pos, name))),
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

// mayFail reports whether a statement may have another status than 0.
func mayFail(s *syntax.Stmt) bool {
	if s == nil || s.Negated || len(s.Redirs) > 0 {
		return s != nil
	}
	call, ok := s.Cmd.(*syntax.CallExpr)
	return !ok || len(call.Args) > 0 || holds([]*syntax.Stmt{s}, func(n syntax.Node) bool {
		_, substitutes := n.(*syntax.CmdSubst)
		return substitutes
	})
}

// mayLeaveLoop reports whether a node is a "break" or a "continue", or may run one.
func mayLeaveLoop(n syntax.Node) bool {
	call, ok := n.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	switch name := call.Args[0].Lit(); name {
	case "", "break", "continue", "command", "builtin":
		return true
	default:
		return runsText(name)
	}
}

// loopName returns the name of the variable of a loop.
func loopName(script, loop int) string {
	name := "\x00loop"
	if script > 0 {
		name += strconv.Itoa(script) + "_"
	}
	return name + strconv.Itoa(loop)
}
