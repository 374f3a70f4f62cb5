package pipeline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// A lifter rewrites the copy of a text's tree: pipelines become marks, wherever they
// stand.
type lifter struct {
	script *script
	copies map[*syntax.Stmt]*syntax.Stmt
	owned  map[*syntax.Stmt]*plannedPipeline // pipelines of two or more stages, by their statement's copy

	defines  bool // definitions of functions become marks as well
	errexit  bool // "set -e" may be on
	function bool // what is being rewritten is in a function
}

// newScript prepares prog as the script of a number, with an offset for its
// positions. A script other than the program's own numbers no pipelines, and is so
// rewritten that it can be printed.
func (p *plan) newScript(id int, prog *parser.Program, name string, shift uint) *script {
	c := cloner{shift: shift}
	sc := &script{
		id: id, end: shift + uint(len(prog.Source)) + 1, file: c.file(prog.File),
		bodies: make(map[*syntax.Stmt]*syntax.Stmt),
		stages: make(map[syntax.Pos]*plannedStage),
		alone:  make(map[syntax.Pos]bool),
	}
	sc.file.Name = name
	l := &lifter{
		script: sc, copies: c.stmts, owned: make(map[*syntax.Stmt]*plannedPipeline),
		defines: id != 0, errexit: p.errexit,
	}
	sv := newSurveyor(sc.file)
	sv.open = id != 0
	for i, pl := range prog.Pipelines {
		number := i + 1
		if id != 0 {
			number = 0
		}
		l.prepare(number, pl, sv)
	}
	l.survey(prog.File)
	timed(sc)
	controlled(sc)
	looped(sc)
	if p.errexit || p.errtrap {
		quieted(sc)
	}
	sc.file.Stmts = l.list(sc.file.Stmts, nil, false)
	p.habits.learn(prog.File)
	p.reword(sc)
	return sc
}

// survey finds in the text, which is not changed, what has to be known of all of it.
func (l *lifter) survey(file *syntax.File) {
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			l.script.lasting = l.script.lasting || n.Background || n.Disown || n.Coprocess
			if n.Background {
				l.mayOutlive(l.copies[n])
			}
		case *syntax.ProcSubst:
			l.script.lasting = true
			if n.Op == syntax.CmdIn && len(n.Stmts) == 1 {
				l.mayOutlive(l.copies[n.Stmts[0]])
			}
		case *syntax.FuncDecl:
			l.script.lasting = true
			l.script.bodies[l.copies[n.Body]] = n.Body
		}
		return true
	})
}

// mayOutlive notes the statement of a command in the background: if it is one local
// program, that may outlive the script.
func (l *lifter) mayOutlive(s *syntax.Stmt) {
	if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && !s.Negated {
		l.script.alone[call.Args[0].Pos()] = true
	}
}

// prepare registers the stages of a pipeline.
func (l *lifter) prepare(number int, pl *parser.Pipeline, sv *surveyor) {
	owned := &plannedPipeline{source: pl, number: number, negated: pl.Stmt.Negated}
	for _, s := range pl.Stages {
		ps := &plannedStage{Stage: s, pipeline: number, last: s.Number == len(pl.Stages)}
		if number == 0 {
			unnumbered := *s
			unnumbered.Number = 0
			ps.Stage = &unnumbered
		}
		stmt := l.copies[s.Stmt]
		ps.place = sv.place(stmt)
		ps.redirected = slices.ContainsFunc(stmt.Redirs, takesStdout)
		ps.substitutes = holds([]*syntax.Stmt{stmt}, func(n syntax.Node) bool {
			_, is := n.(*syntax.ProcSubst)
			return is
		})
		ps.returns = holds([]*syntax.Stmt{stmt}, isForFunctions)
		if s.Call != nil && len(s.Call.Args) > 0 {
			call := stmt.Cmd.(*syntax.CallExpr)
			quoteAddress(call.Args[0], s)
			ps.pos = call.Args[0].Pos()
			for _, as := range call.Assigns {
				ps.assigned = append(ps.assigned, as.Name.Value)
			}
			l.script.stages[ps.pos] = ps
		}
		owned.stages = append(owned.stages, ps)
	}
	if len(owned.stages) > 1 {
		l.owned[l.copies[pl.Stmt]] = owned
	}
}

// takesStdout reports whether a redirection is one of standard output.
func takesStdout(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.RdrAll, syntax.AppAll:
		return true
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.DplOut:
		return r.N == nil || r.N.Value == "1"
	}
	return false
}

// holds reports whether there is such a node in statements.
func holds(stmts []*syntax.Stmt, is func(syntax.Node) bool) (found bool) {
	for _, s := range stmts {
		syntax.Walk(s, func(n syntax.Node) bool {
			found = found || n != nil && is(n)
			return !found
		})
	}
	return found
}

// isForFunctions reports whether a node is what only functions may do, or may run
// such.
func isForFunctions(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.CallExpr:
		if len(n.Args) > 0 {
			name := n.Args[0].Lit()
			return name == "return" || runsText(name) || name == "command" || name == "builtin"
		}
	case *syntax.DeclClause:
		return n.Variant.Value == "local"
	}
	return false
}

// needsShell reports whether a node does in a list what only a shell of ours can do
// right: set a trap for its end, or do what only functions may.
func needsShell(n syntax.Node) bool {
	if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "trap" {
		return true
	}
	return isForFunctions(n)
}

// list rewrites the statements of a shell. The statement that runs before them is
// before, or nil if that is not known. Where ignored is true, "set -e" does not act
// on them: they are part of a condition.
func (l *lifter) list(stmts []*syntax.Stmt, before *syntax.Stmt, ignored bool) []*syntax.Stmt {
	var rewritten []*syntax.Stmt
	for _, s := range stmts {
		if readsStatuses(s) {
			rewritten = append(rewritten, l.freshStatuses(s.Position, before))
		}
		l.stmt(s, ignored)
		rewritten = append(rewritten, s)
		before = s
	}
	return rewritten
}

// shell rewrites the list of $( ), <( ) or >( ). Where a shell of the interpreter is
// not enough, a mark makes one of ours inside of it.
func (l *lifter) shell(stmts []*syntax.Stmt) []*syntax.Stmt {
	if !holds(stmts, needsShell) {
		return l.list(stmts, nil, false)
	}
	pos := stmts[0].Position
	return []*syntax.Stmt{l.ownShell(&syntax.Stmt{Position: pos, Cmd: &syntax.Subshell{Lparen: pos, Rparen: pos, Stmts: stmts}}, false)}
}

// ownShell makes a statement one that runs its commands in a shell of ours.
func (l *lifter) ownShell(s *syntax.Stmt, ignored bool) *syntax.Stmt {
	stmts := []*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}}
	if sub, ok := s.Cmd.(*syntax.Subshell); ok {
		stmts = sub.Stmts
	}
	planned := &plannedShell{ignored: ignored, function: l.function, returns: holds(stmts, isForFunctions)}
	planned.file = &syntax.File{Name: l.script.file.Name, Stmts: l.list(stmts, nil, ignored)}
	l.script.changed = true
	l.script.shells = append(l.script.shells, planned)
	m := indexed(s.Position, markShell, l.script, len(l.script.shells)-1)
	s.Cmd, s.Redirs = m.Cmd, append(s.Redirs, m.Redirs...)
	return s
}

func (l *lifter) stmt(s *syntax.Stmt, ignored bool) {
	if s == nil {
		return
	}
	for _, r := range s.Redirs {
		l.words(r)
	}
	ignored = ignored || s.Negated
	if p := l.owned[s]; p != nil {
		l.lift(s, p)
		return
	}
	if s.Background && s.Cmd != nil && holds([]*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}}, needsShell) {
		l.ownShell(s, ignored)
		return
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Subshell:
		// Whether a function is part of a condition is known when it runs.
		if l.function && l.errexit || holds(cmd.Stmts, needsShell) {
			l.ownShell(s, ignored)
			return
		}
		cmd.Stmts = l.list(cmd.Stmts, nil, ignored)
		if ignored {
			cmd.Stmts = condition(cmd.Stmts)
		}
		return
	case *syntax.DeclClause:
		if l.declaration(s, cmd) {
			return
		}
	}
	l.command(s.Cmd, ignored)
	if s.Negated && (isCompound(s.Cmd) || l.errexit && mayBeFunction(s.Cmd)) {
		s.Cmd = &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: condition([]*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}})}
	}
	if f, ok := s.Cmd.(*syntax.FuncDecl); ok && l.defines {
		l.script.functions = append(l.script.functions, f)
		m := indexed(s.Position, markFunction, l.script, len(l.script.functions)-1)
		s.Cmd, s.Redirs = m.Cmd, m.Redirs
	}
}

// declaration makes a declaration that prints functions a mark, which prints what the
// user has written. It returns false for all others.
func (l *lifter) declaration(s *syntax.Stmt, decl *syntax.DeclClause) bool {
	prints := slices.ContainsFunc(decl.Args, func(a *syntax.Assign) bool {
		return a.Naked && a.Name == nil && a.Value != nil && a.Value.Lit() == "-f"
	})
	if !prints {
		return false
	}
	m := mark(s.Position, markDeclare)
	call := m.Cmd.(*syntax.CallExpr)
	for _, a := range decl.Args {
		switch {
		case a.Value != nil && a.Name == nil:
			call.Args = append(call.Args, a.Value)
		case a.Naked:
			call.Args = append(call.Args, literal(a.Name.ValuePos, a.Name.Value))
		default:
			return false
		}
	}
	l.words(call)
	l.script.changed = true
	s.Cmd, s.Redirs = call, append(s.Redirs, m.Redirs...)
	return true
}

// element rewrites a statement that stands in no list, behind before.
func (l *lifter) element(s, before *syntax.Stmt, ignored bool) *syntax.Stmt {
	if readsStatuses(s) && !s.Negated {
		return &syntax.Stmt{Position: s.Position, Cmd: &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: l.list([]*syntax.Stmt{s}, before, ignored)}}
	}
	l.stmt(s, ignored)
	return s
}

// command goes on into what a command holds.
func (l *lifter) command(cmd syntax.Command, ignored bool) {
	switch cmd := cmd.(type) {
	case nil:
	case *syntax.Block:
		cmd.Stmts = l.list(cmd.Stmts, nil, ignored)
	case *syntax.BinaryCmd:
		x := cmd.X
		cmd.X = l.element(cmd.X, nil, true)
		cmd.Y = l.element(cmd.Y, x, ignored)
	case *syntax.IfClause:
		l.conditional(cmd, nil, ignored)
	case *syntax.WhileClause:
		cond := cmd.Cond
		cmd.Cond = l.list(cmd.Cond, nil, true)
		cmd.Do = l.list(cmd.Do, final(cond), ignored)
	case *syntax.ForClause:
		l.words(cmd.Loop)
		cmd.Do = l.list(cmd.Do, nil, ignored)
	case *syntax.CaseClause:
		l.words(cmd.Word)
		for _, item := range cmd.Items {
			for _, w := range item.Patterns {
				l.words(w)
			}
			item.Stmts = l.list(item.Stmts, nil, ignored)
		}
	case *syntax.FuncDecl:
		outer := l.function
		l.function = true
		l.stmt(cmd.Body, false)
		l.function = outer
	case *syntax.CoprocClause:
		l.stmt(cmd.Stmt, false)
	case *syntax.TimeClause:
		l.stmt(cmd.Stmt, ignored)
	default:
		l.words(cmd)
	}
}

// conditional rewrites an "if", or an "elif" or "else" behind before.
func (l *lifter) conditional(cmd *syntax.IfClause, before *syntax.Stmt, ignored bool) {
	if len(cmd.Cond) > 0 {
		cond := cmd.Cond
		cmd.Cond = l.list(cond, before, true)
		before = final(cond)
	}
	cmd.Then = l.list(cmd.Then, before, ignored)
	if cmd.Else != nil {
		l.conditional(cmd.Else, before, ignored)
	}
}

func final(stmts []*syntax.Stmt) *syntax.Stmt {
	if len(stmts) == 0 {
		return nil
	}
	return stmts[len(stmts)-1]
}

// words rewrites the substitutions in a node that is no list of statements.
func (l *lifter) words(node syntax.Node) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			plain := l.errexit && !isSimple(n.Stmts)
			n.Stmts = l.shell(n.Stmts)
			if plain {
				// bash switches it off there.
				n.Stmts = append([]*syntax.Stmt{quietly(mark(n.Left, markPlain))}, n.Stmts...)
			}
			return false
		case *syntax.ProcSubst:
			n.Stmts = l.shell(n.Stmts)
			return false
		}
		return true
	})
}

func isCompound(cmd syntax.Command) bool {
	switch cmd.(type) {
	case *syntax.Block, *syntax.IfClause, *syntax.WhileClause, *syntax.ForClause, *syntax.CaseClause:
		return true
	}
	return false
}

// isSimple reports whether a list is nothing, or one command that "set -e" cannot end
// before its end.
func isSimple(stmts []*syntax.Stmt) bool {
	if len(stmts) != 1 {
		return len(stmts) == 0
	}
	call, ok := stmts[0].Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ok || stmts[0].Cmd == nil
	}
	name := call.Args[0].Lit()
	return interp.IsBuiltin(name) && !runsText(name) || strings.ContainsAny(name, "@/")
}

// mayBeFunction reports whether a command may be the call of a function.
func mayBeFunction(cmd syntax.Command) bool {
	call, ok := cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	name := call.Args[0].Lit()
	return name != "" && !interp.IsBuiltin(name) && !strings.ContainsAny(name, "@/")
}

// lift replaces the pipeline of s by its mark. Its stages are rewritten in turn,
// as scripts of their own.
func (l *lifter) lift(s *syntax.Stmt, p *plannedPipeline) {
	for _, ps := range p.stages {
		stmt := l.copies[ps.Stmt]
		l.stmt(stmt, false)
		ps.file = &syntax.File{Name: l.script.file.Name, Stmts: []*syntax.Stmt{stmt}}
	}
	l.script.changed = true
	l.script.pipelines = append(l.script.pipelines, p)
	m := indexed(s.Position, markPipeline, l.script, len(l.script.pipelines)-1)
	s.Cmd, s.Redirs = m.Cmd, m.Redirs
}

// quoteAddress quotes what is written of an address that begins with an IPv6
// literal, which else would be a pattern.
func quoteAddress(word *syntax.Word, s *parser.Stage) {
	if !strings.HasPrefix(s.Text, "@[") {
		return
	}
	for i, part := range word.Parts {
		if lit, ok := part.(*syntax.Lit); ok {
			word.Parts[i] = &syntax.SglQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Value: unescaped(lit.Value)}
		}
	}
}

// unescaped removes the backslashes that quote what follows them.
func unescaped(lit string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(lit, '\\')
		if i < 0 || i == len(lit)-1 {
			b.WriteString(lit)
			return b.String()
		}
		_, size := utf8.DecodeRuneInString(lit[i+1:])
		b.WriteString(lit[:i])
		b.WriteString(lit[i+1 : i+1+size])
		lit = lit[i+1+size:]
	}
}
