package pipeline

import (
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// What a markStatuses says of the command before it.
const (
	fresh = "fresh" // PIPESTATUS may have been set by it: unless a command was called since, it was
	stale = "stale" // it was no pipeline: PIPESTATUS is its status
)

// freshStatuses returns a statement that brings PIPESTATUS up to date after the
// statement before, nil where that is not known, and that ends with its status.
// bash sets PIPESTATUS after every command; here it is set after the pipelines
// that this package runs, and in front of a command that reads it.
func (l *lifter) freshStatuses(pos syntax.Pos, before *syntax.Stmt) *syntax.Stmt {
	state := fresh
	if before != nil && !before.Background && before.Negated && l.owned[before] == nil && before.Cmd != nil {
		l.statusesInside(before)
		return quietly(mark(pos, markStatus))
	}
	if before != nil && !before.Background && !l.started[before] && l.owned[before] == nil {
		switch before.Cmd.(type) {
		case nil, *syntax.CallExpr, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause, *syntax.Subshell:
			state = stale
		}
	}
	l.script.changed = true
	return quietly(mark(pos, markStatuses, state))
}

// readsUnsettled reports whether PIPESTATUS is read in a file elsewhere than directly
// behind a pipeline or the call of a command.
func (l *lifter) readsUnsettled(file *syntax.File) bool {
	settled := make(map[*syntax.Stmt]bool)
	list := func(stmts []*syntax.Stmt) {
		for i := 1; i < len(stmts); i++ {
			before := stmts[i-1]
			call, is := before.Cmd.(*syntax.CallExpr)
			settled[stmts[i]] = !before.Background && !before.Negated && (l.owned[before] != nil || is && len(call.Args) > 0)
		}
	}
	list(file.Stmts)
	found := false
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Block:
			list(n.Stmts)
		case *syntax.Subshell:
			list(n.Stmts)
		case *syntax.CmdSubst:
			list(n.Stmts)
		case *syntax.ProcSubst:
			list(n.Stmts)
		case *syntax.IfClause:
			list(n.Cond)
			list(n.Then)
		case *syntax.WhileClause:
			list(n.Cond)
			list(n.Do)
		case *syntax.ForClause:
			list(n.Do)
		case *syntax.CaseItem:
			list(n.Stmts)
		case *syntax.Stmt:
			found = found || !settled[n] && readsStatuses(n)
		}
		return !found
	})
	return found
}

// leavesStatuses reports whether a statement is one after which PIPESTATUS is its status,
// and that the call handler does not see, or sees only in a shell of its own.
func (l *lifter) leavesStatuses(s *syntax.Stmt) bool {
	if s.Background || l.owned[s] != nil {
		return false
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(cmd.Args) == 0
	case nil, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause, *syntax.Subshell:
		return !s.Negated
	}
	return false
}

// forks reports whether a statement has shells of its own, which have PIPESTATUS from the
// one that it runs in.
func (l *lifter) forks(s *syntax.Stmt) bool {
	if l.owned[s] != nil || s.Background {
		return true
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Subshell:
		return true
	case *syntax.CallExpr, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
		return l.may(s, hasSubst) && holdsNode(cmd, isSubstitution)
	}
	return false
}

// readsStatuses reports whether a statement reads PIPESTATUS before anything in it
// has run.
func readsStatuses(s *syntax.Stmt) bool {
	if s.Background {
		return names(s)
	}
	for _, r := range s.Redirs {
		if names(r) {
			return true
		}
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause, *syntax.Subshell:
		return names(cmd)
	case *syntax.ForClause:
		return names(cmd.Loop)
	case *syntax.CaseClause:
		return names(cmd.Word)
	case *syntax.BinaryCmd:
		return (cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll) && names(cmd)
	}
	return false
}

// names reports whether PIPESTATUS is expanded anywhere in a node.
func names(node syntax.Node) bool { return namesVariable(node, "PIPESTATUS") }

// namesVariable reports whether a variable is expanded anywhere in a node.
func namesVariable(node syntax.Node, name string) bool {
	found := false
	tree.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			found = found || n.Param != nil && n.Param.Value == name
		case *syntax.Lit:
			found = found || n.Value == name // in arithmetic
		}
		return !found
	})
	return found
}
