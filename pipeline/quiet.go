package pipeline

import (
	"slices"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// quieted keeps "set -e" from acting on the status of a compound command where it did not
// act on the command that the status is of: one behind "!", or a list of && or ||. The
// compound command then ends with a mark that keeps the status and succeeds, and another
// behind it ends with what was kept.
func quieted(sc *script) {
	q := &quieter{script: sc}
	sc.file.Stmts = q.list(sc.file.Stmts)
}

// hiddenStatus is the variable that a status is kept in.
const hiddenStatus = "\x00status"

type quieter struct{ script *script }

// list rewrites the statements of a list.
func (q *quieter) list(stmts []*syntax.Stmt) []*syntax.Stmt {
	var out []*syntax.Stmt
	for _, s := range stmts {
		q.stmt(s)
		if s.Negated || s.Background || s.Coprocess || s.Disown {
			out = append(out, s)
			continue
		}
		b, isList := s.Cmd.(*syntax.BinaryCmd)
		switch {
		case isList && (b.Op == syntax.AndStmt || b.Op == syntax.OrStmt) && isQuietCompound(b.Y) && len(s.Redirs) == 0:
			q.conditional(s, b)
		case !isQuietCompound(s):
			out = append(out, s)
			continue
		}
		q.script.changed = true
		q.keep(s)
		out = append(out, s, quietly(mark(s.Position, markKept, hiddenStatus)))
	}
	return out
}

// conditional makes "x && { y; }" or "x || { y; }" an "if".
func (q *quieter) conditional(s *syntax.Stmt, b *syntax.BinaryCmd) {
	pos := s.Position
	same := func() []*syntax.Stmt { return []*syntax.Stmt{mark(pos, markRetain, hiddenStatus)} }
	clause := &syntax.IfClause{Position: pos, ThenPos: pos, FiPos: pos, Cond: []*syntax.Stmt{b.X}}
	other := &syntax.IfClause{Position: pos, FiPos: pos}
	q.keep(b.Y)
	last := []*syntax.Stmt{b.Y}
	if b.Op == syntax.AndStmt {
		clause.Then, other.Then = last, same()
	} else {
		clause.Then, other.Then = same(), last
	}
	clause.Else = other
	s.Cmd = clause
}

// isQuietCompound reports whether a statement is a compound command that may end with a
// status that "set -e" did not act on.
func isQuietCompound(s *syntax.Stmt) bool {
	if s == nil || s.Negated {
		return false
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Block:
		return endsQuietly(cmd.Stmts)
	case *syntax.IfClause:
		for branch := cmd; branch != nil; branch = branch.Else {
			if endsQuietly(branch.Then) {
				return true
			}
		}
	case *syntax.ForClause:
		return endsQuietly(cmd.Do)
	case *syntax.CaseClause:
		return slices.ContainsFunc(cmd.Items, func(item *syntax.CaseItem) bool { return endsQuietly(item.Stmts) })
	}
	return false
}

func endsQuietly(stmts []*syntax.Stmt) bool {
	last := final(stmts)
	if last == nil || last.Background {
		return false
	}
	if b, ok := last.Cmd.(*syntax.BinaryCmd); ok && (b.Op == syntax.AndStmt || b.Op == syntax.OrStmt) {
		return true
	}
	return last.Negated || isQuietCompound(last)
}

// keep puts marks at those ends of a compound command that are quiet.
func (q *quieter) keep(s *syntax.Stmt) {
	end := func(stmts []*syntax.Stmt) []*syntax.Stmt {
		if !endsQuietly(stmts) {
			return stmts
		}
		return append(stmts, mark(final(stmts).Position, markRetain, hiddenStatus))
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Block:
		cmd.Stmts = end(cmd.Stmts)
	case *syntax.IfClause:
		for branch := cmd; branch != nil; branch = branch.Else {
			branch.Then = end(branch.Then)
		}
	case *syntax.ForClause:
		none := mark(s.Position, markRetain, hiddenStatus, "0")
		cmd.Do = append([]*syntax.Stmt{none}, end(cmd.Do)...)
	case *syntax.CaseClause:
		for _, item := range cmd.Items {
			item.Stmts = end(item.Stmts)
		}
	}
}

func (q *quieter) stmt(s *syntax.Stmt) {
	if s == nil {
		return
	}
	for _, r := range s.Redirs {
		q.words(r)
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Block:
		cmd.Stmts = q.list(cmd.Stmts)
	case *syntax.Subshell:
		cmd.Stmts = q.list(cmd.Stmts)
	case *syntax.BinaryCmd:
		q.stmt(cmd.X)
		q.stmt(cmd.Y)
	case *syntax.IfClause:
		for branch := cmd; branch != nil; branch = branch.Else {
			branch.Cond = q.list(branch.Cond)
			branch.Then = q.list(branch.Then)
		}
	case *syntax.WhileClause:
		cmd.Cond = q.list(cmd.Cond)
		cmd.Do = q.list(cmd.Do)
	case *syntax.ForClause:
		q.words(cmd.Loop)
		cmd.Do = q.list(cmd.Do)
	case *syntax.CaseClause:
		q.words(cmd.Word)
		for _, item := range cmd.Items {
			item.Stmts = q.list(item.Stmts)
		}
	case *syntax.FuncDecl:
		q.stmt(cmd.Body)
	case *syntax.TimeClause:
		q.stmt(cmd.Stmt)
	case *syntax.CoprocClause:
		q.stmt(cmd.Stmt)
	case nil:
	default:
		q.words(cmd)
	}
}

func (q *quieter) words(node syntax.Node) {
	tree.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			n.Stmts = q.list(n.Stmts)
			return false
		case *syntax.ProcSubst:
			n.Stmts = q.list(n.Stmts)
			return false
		}
		return true
	})
}
