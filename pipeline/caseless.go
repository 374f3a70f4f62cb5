package pipeline

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// caseless makes a test or a "case" one that asks whether nocasematch is on, and then
// compares in lower case. It returns what cannot be compared so as it is.
func (l *lifter) caseless(s *syntax.Stmt) {
	pos := s.Position
	var lower syntax.Command
	c := &cloner{stmts: make(map[*syntax.Stmt]*syntax.Stmt)}
	switch cmd := s.Cmd.(type) {
	case *syntax.TestClause:
		if !holds([]*syntax.Stmt{{Position: pos, Cmd: cmd}}, comparesPatterns) || readsStatus(cmd) {
			return
		}
		cloned := c.command(cmd).(*syntax.TestClause)
		ok := true
		tree.Walk(cloned, func(n syntax.Node) bool {
			if b, is := n.(*syntax.BinaryTest); is && comparesPatterns(b) {
				ok = ok && loweredTest(b.X) && loweredTest(b.Y)
			}
			return ok
		})
		if !ok {
			return
		}
		lower = cloned
	case *syntax.CaseClause:
		if readsStatus(cmd.Word) {
			return
		}
		word := c.word(cmd.Word)
		ok := lowered(word.Parts)
		copied := *cmd
		copied.Word, copied.Items = word, nil
		for _, item := range cmd.Items {
			one := *item
			one.Patterns = nil
			for _, p := range item.Patterns {
				pattern := c.word(p)
				ok = ok && lowered(pattern.Parts)
				one.Patterns = append(one.Patterns, pattern)
			}
			copied.Items = append(copied.Items, &one)
		}
		if !ok {
			return
		}
		lower = &copied
	default:
		return
	}
	l.script.changed = true
	s.Cmd = &syntax.IfClause{
		Position: pos, ThenPos: pos, FiPos: pos,
		Cond: []*syntax.Stmt{mark(pos, markOption, "nocasematch")},
		Then: []*syntax.Stmt{{Position: pos, Cmd: lower}},
		Else: &syntax.IfClause{Position: pos, FiPos: pos, Then: []*syntax.Stmt{{Position: pos, Cmd: s.Cmd}}},
	}
}

func comparesPatterns(n syntax.Node) bool {
	b, is := n.(*syntax.BinaryTest)
	return is && (b.Op == syntax.TsMatch || b.Op == syntax.TsMatchShort || b.Op == syntax.TsNoMatch)
}

func readsStatus(n syntax.Node) (found bool) {
	tree.Walk(n, func(n syntax.Node) bool {
		p, is := n.(*syntax.ParamExp)
		found = found || is && p.Param != nil && p.Param.Value == "?"
		return !found
	})
	return found
}

func loweredTest(e syntax.TestExpr) bool {
	w, is := e.(*syntax.Word)
	return is && lowered(w.Parts)
}

// lowered makes the parts of a word expand to lower case. It returns false if it
// cannot.
func lowered(parts []syntax.WordPart) bool {
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			p.Value = strings.ToLower(p.Value)
		case *syntax.SglQuoted:
			if p.Dollar {
				return false
			}
			p.Value = strings.ToLower(p.Value)
		case *syntax.DblQuoted:
			if !lowered(p.Parts) {
				return false
			}
		case *syntax.ExtGlob:
			p.Pattern.Value = strings.ToLower(p.Pattern.Value)
		case *syntax.ArithmExp:
		case *syntax.ParamExp:
			if p.Exp != nil || p.Slice != nil || p.Repl != nil || p.Excl || p.Length || p.Param == nil || p.Names != 0 {
				return false
			}
			p.Short, p.Exp = false, &syntax.Expansion{Op: syntax.LowerAll}
		default:
			return false
		}
	}
	return true
}
