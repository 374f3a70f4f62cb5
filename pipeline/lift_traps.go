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

// debugTraps returns the statements that run the DEBUG trap before a statement: for each
// simple command of a pipeline. In functions it does not act.
func (l *lifter) debugTraps(s *syntax.Stmt) []*syntax.Stmt {
	if !l.debugs || l.function {
		return nil
	}
	times := 0
	if p := l.owned[s]; p != nil {
		for _, ps := range p.stages {
			if isSimpleCommand(ps.Stmt.Cmd) {
				times++
			}
		}
	} else if isSimpleCommand(s.Cmd) {
		times = 1
	}
	var marks []*syntax.Stmt
	for range times {
		l.script.changed = true
		marks = append(marks, quietly(mark(s.Position, markTrap, trapDebugs)))
	}
	return marks
}

// isSimpleCommand reports whether the DEBUG trap runs before a command by itself.
func isSimpleCommand(cmd syntax.Command) bool {
	switch cmd := cmd.(type) {
	case *syntax.CallExpr:
		return !callsMark(cmd)
	case *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause, *syntax.CaseClause:
		return true
	}
	return false
}

// callsMark reports whether a command is one of our own.
func callsMark(call *syntax.CallExpr) bool {
	if len(call.Args) == 0 || len(call.Args[0].Parts) != 1 {
		return false
	}
	name, ok := call.Args[0].Parts[0].(*syntax.SglQuoted)
	return ok && isMark(name.Value)
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
		if callsMark(cmd) {
			return false
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
