package pipeline

import (
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// pendingTraps returns a statement that runs the traps of the signals that have come.
func (l *lifter) pendingTraps(pos syntax.Pos) *syntax.Stmt {
	l.script.changed = true
	return quietly(mark(pos, markTrap, trapPending))
}

// iteration rewrites the body of a loop: one that runs only builtins must see signals
// too.
func (l *lifter) iteration(stmts []*syntax.Stmt, before *syntax.Stmt, ignored bool) []*syntax.Stmt {
	if len(stmts) == 0 {
		return stmts
	}
	pos := stmts[0].Position
	stmts = l.list(stmts, before, ignored)
	if l.traps {
		stmts = append([]*syntax.Stmt{l.pendingTraps(pos)}, stmts...)
	}
	return stmts
}

// takesTime reports whether signals are likely to come while a statement runs: it runs
// a program, or sends them itself. What the lists in it do is theirs.
func takesTime(s *syntax.Stmt) bool {
	if s == nil {
		return false
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		if len(cmd.Args) == 0 {
			break
		}
		switch name := cmd.Args[0].Lit(); name {
		case "kill", "wait", "read", "fg", "command", "builtin", "eval", "source", ".":
			return true
		default:
			if !interp.IsBuiltin(name) {
				return true
			}
		}
	case *syntax.Subshell:
		return true
	case *syntax.BinaryCmd:
		return cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll || takesTime(cmd.X) || takesTime(cmd.Y)
	case *syntax.TimeClause:
		return takesTime(cmd.Stmt)
	case nil, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
	default:
		return false
	}
	return holds([]*syntax.Stmt{s}, isSubstitution)
}

// callsCommand reports whether a statement calls a command, or holds lists that may.
func callsCommand(s *syntax.Stmt) bool {
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(cmd.Args) > 0
	case nil, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
		return false
	}
	return true
}
