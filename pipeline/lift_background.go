package pipeline

import (
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// job makes a command in the background a mark that starts it. text is what the user
// has written.
func (l *lifter) job(s *syntax.Stmt, ignored bool) {
	// bash does not negate the status of a command in the background.
	inner := &syntax.Stmt{Position: s.Position, Cmd: s.Cmd, Redirs: s.Redirs}
	planned := &plannedJob{text: l.jobText(s)}
	if written := l.commands[s]; written != nil {
		planned.abrupt = endsAbruptly(written.Cmd)
	}
	planned.ignored, planned.function = ignored, l.function
	planned.input = redirectsInput(inner)
	if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && l.owned[s] == nil {
		planned.simple = true
		if name := call.Args[0].Lit(); !interp.IsBuiltin(name) || name == "exec" || name == "command" {
			planned.pos = call.Args[0].Pos()
			planned.expands = holds([]*syntax.Stmt{inner}, isSubstitution)
		}
	}
	stmts := []*syntax.Stmt{inner}
	planned.returns = holds(stmts, isForFunctions)
	sub, plain := s.Cmd.(*syntax.Subshell)
	if p := l.owned[s]; p != nil {
		l.owned[inner] = p
	} else if plain && len(s.Redirs) == 0 {
		stmts = sub.Stmts // the job has a shell of its own
	}
	written := l.whole
	l.whole = inner
	planned.file = &syntax.File{Name: l.script.file.Name, Stmts: l.list(stmts, nil, ignored)}
	l.whole = written
	l.script.changed = true
	l.script.jobs = append(l.script.jobs, planned)
	m := indexed(s.Position, markJob, l.script, len(l.script.jobs)-1)
	s.Cmd, s.Redirs, s.Background, s.Negated = m.Cmd, m.Redirs, false, false
	l.started[s] = true
}

// redirectsInput reports whether a statement redirects standard input.
func redirectsInput(s *syntax.Stmt) bool {
	for _, r := range s.Redirs {
		switch r.Op {
		case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
			if r.N == nil || r.N.Value == "0" {
				return true
			}
		}
	}
	return false
}

func isSubstitution(n syntax.Node) bool {
	switch n.(type) {
	case *syntax.CmdSubst, *syntax.ProcSubst:
		return true
	}
	return false
}

// jobText returns a statement as "jobs" shows it.
func (l *lifter) jobText(s *syntax.Stmt) string {
	written := l.commands[s]
	if written == nil {
		return ""
	}
	plain := *written
	plain.Background, plain.Comments, plain.Semicolon = false, nil, syntax.Pos{}
	var b strings.Builder
	if syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, &plain) != nil {
		return ""
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if sub, ok := plain.Cmd.(*syntax.Subshell); ok && sub != nil && strings.HasPrefix(text, "(") {
		if end := strings.LastIndexByte(text, ')'); end > 0 {
			text = "( " + strings.TrimSpace(text[1:end]) + " )" + text[end+1:]
		}
	}
	return text
}

// latest makes every "$!" in a tree that of our own jobs.
func (l *lifter) latest(file *syntax.File, name string) {
	tree.Walk(file, func(n syntax.Node) bool {
		if p, ok := n.(*syntax.ParamExp); ok && p.Param != nil && p.Param.Value == "!" {
			p.Param.Value, p.Short = name, false
			l.script.changed = true
		}
		return true
	})
}

// mayNeedJobs reports whether a text may hold a command in the background, or "$!".
func mayNeedJobs(text string) bool {
	if strings.Contains(text, "$!") || strings.Contains(text, "{!") {
		return true
	}
	for i := strings.IndexByte(text, '&'); i >= 0; {
		next := byte(0)
		if i+1 < len(text) {
			next = text[i+1]
		}
		switch {
		case next == '&':
			i++
		case next == '>', i > 0 && (text[i-1] == '>' || text[i-1] == '<'):
		default:
			return true
		}
		rest := strings.IndexByte(text[i+1:], '&')
		if rest < 0 {
			return false
		}
		i += 1 + rest
	}
	return false
}
