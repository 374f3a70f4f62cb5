package pipeline

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// Commands that stand in a rewritten tree for what this package does itself.
// They begin with a NUL byte, which no word of a shell can hold.
const (
	markPipeline = "\x00pipeline" // with the index in plan.pipelines: runs it
	markStatus   = "\x00status"   // ends with the status of the command before it
	markLoop     = "\x00loop"     // with a status: ends with it, unless "set -e" is on
	markStatuses = "\x00statuses" // brings PIPESTATUS up to date; keeps the status
	markTime     = "\x00time"     // measures; keeps the status
	markVeil     = "\x00veil"     // as a file for stderr: hides what is traced of a mark
)

// A plan is a script prepared for the interpreter.
type plan struct {
	file      *syntax.File
	pipelines []*plannedPipeline           // those that this package runs itself
	stages    map[syntax.Pos]*plannedStage // every stage with a name, by the name's position in the copy
	services  []*plannedStage              // stages that name a service, in order
	jobs      bool                         // the script has commands in the background
	alone     map[syntax.Pos]bool          // of those, the simple ones, by the position of their name
	linger    bool                         // and to wait for those of a stage cannot take for ever
}

// A plannedPipeline is one that this package runs itself.
type plannedPipeline struct {
	number int // in the program, from 1
	stages []*plannedStage
	chains []parser.Chain // of stages
}

// A plannedStage is a stage of any pipeline.
type plannedStage struct {
	*parser.Stage
	pipeline int          // number in the program, from 1
	file     *syntax.File // the statement, in pipelines that this package runs; else nil
	pos      syntax.Pos   // of the name in the copy; not valid if the stage has none
	assigned []string     // variables assigned in front of the name
	last     bool         // no stage follows
	place    place        // of its statement

	redirected  bool // it has a redirection of standard output
	substitutes bool // <( ) or >( ) stands in it, whose commands inherit its streams
}

// early reports whether the stage belongs to the first phase of a start: it may
// need a host.
func (s *plannedStage) early() bool {
	return s.pos.IsValid() && (s.Kind == parser.Remote || s.Kind == parser.Dynamic)
}

// lifter rewrites the copy of a program's tree.
type lifter struct {
	plan   *plan
	copies map[*syntax.Stmt]*syntax.Stmt
	owned  map[*syntax.Stmt]*plannedPipeline // pipelines of two or more stages, by their statement's copy
	ours   bool                              // what is being rewritten runs in a shell that this package makes
}

// newPlan prepares prog, whose tree is not changed. Each pipeline of two or more
// stages that runs in a shell of ours (that of the script, or the one that we
// make for a stage) is replaced by a mark; "!", "&&", "if" and "set -e" around
// it stay the interpreter's.
func newPlan(prog *parser.Program, name string) *plan {
	var c cloner
	p := &plan{file: c.file(prog.File), stages: make(map[syntax.Pos]*plannedStage), alone: make(map[syntax.Pos]bool)}
	p.file.Name = name
	l := &lifter{plan: p, copies: c.stmts, owned: make(map[*syntax.Stmt]*plannedPipeline), ours: true}
	sv := newSurveyor(p.file)
	for i, pl := range prog.Pipelines {
		l.prepare(i+1, pl, sv)
	}
	p.background()
	timed(p.file)
	looped(p.file)
	p.file.Stmts = l.list(p.file.Stmts, false)
	return p
}

// background finds out whether the script has commands in the background, and
// whether those of a stage can be waited for. The interpreter counts the commands
// of <( ) and >( ) among them, which block until their FIFO is opened: that is
// sure only where it is a redirection, or the argument of a program.
func (p *plan) background() {
	functions, unknown := make(map[string]bool), false
	syntax.Walk(p.file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			p.jobs = p.jobs || n.Background || n.Disown || n.Coprocess
			if n.Background {
				p.mayOutlive(n)
			}
		case *syntax.ProcSubst:
			p.jobs = true
			if n.Op == syntax.CmdIn && len(n.Stmts) == 1 {
				p.mayOutlive(n.Stmts[0])
			}
		case *syntax.CallExpr:
			if len(n.Args) > 0 && runsText(n.Args[0].Lit()) {
				p.jobs, unknown = true, true
			}
		case *syntax.FuncDecl:
			if n.Name != nil {
				functions[n.Name.Value] = true
			}
		}
		return true
	})
	opened := make(map[*syntax.ProcSubst]bool)
	open := func(words ...*syntax.Word) {
		for _, w := range words {
			for _, part := range w.Parts {
				if ps, ok := part.(*syntax.ProcSubst); ok {
					opened[ps] = true
				}
			}
		}
	}
	p.linger = p.jobs && !unknown
	syntax.Walk(p.file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Redirect:
			open(n.Word)
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				name := n.Args[0].Lit()
				if name != "" && !interp.IsBuiltin(name) && !functions[name] {
					open(n.Args...)
				}
			}
		case *syntax.ProcSubst:
			p.linger = p.linger && opened[n]
		}
		return true
	})
}

// mayOutlive notes the statement of a command in the background: if it is one local
// program, that may outlive the script.
func (p *plan) mayOutlive(s *syntax.Stmt) {
	if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && !s.Negated {
		p.alone[call.Args[0].Pos()] = true
	}
}

// runsText reports whether a command runs text that is not in the script.
func runsText(name string) bool { return name == "eval" || name == "source" || name == "." }

// prepare registers the stages of a pipeline.
func (l *lifter) prepare(number int, pl *parser.Pipeline, sv *surveyor) {
	owned := &plannedPipeline{number: number, chains: pl.Chains}
	for _, s := range pl.Stages {
		ps := &plannedStage{Stage: s, pipeline: number, last: s.Number == len(pl.Stages)}
		stmt := l.copies[s.Stmt]
		ps.place = sv.place(stmt)
		ps.redirected = slices.ContainsFunc(stmt.Redirs, takesStdout)
		syntax.Walk(stmt, func(n syntax.Node) bool {
			_, is := n.(*syntax.ProcSubst)
			ps.substitutes = ps.substitutes || is
			return true
		})
		if s.Call != nil && len(s.Call.Args) > 0 {
			call := l.copies[s.Stmt].Cmd.(*syntax.CallExpr)
			quoteAddress(call.Args[0], s)
			ps.pos = call.Args[0].Pos()
			for _, as := range call.Assigns {
				ps.assigned = append(ps.assigned, as.Name.Value)
			}
			l.plan.stages[ps.pos] = ps
		}
		if s.Kind == parser.Service {
			l.plan.services = append(l.plan.services, ps)
		}
		owned.stages = append(owned.stages, ps)
	}
	if len(owned.stages) > 1 {
		l.owned[l.copies[pl.Stmt]] = owned
	}
}

// place returns that of the command at pos. One that is not in the script's text is
// where nobody looks.
func (p *plan) place(pos syntax.Pos) place {
	if s := p.stages[pos]; s != nil {
		return s.place
	}
	return place{}
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

// list rewrites the statements of a shell. Where ignored is true, "set -e" does
// not act on them: they are part of a condition.
func (l *lifter) list(stmts []*syntax.Stmt, ignored bool) []*syntax.Stmt {
	var rewritten []*syntax.Stmt
	for i, s := range stmts {
		if l.ours && readsStatuses(s) {
			var before *syntax.Stmt
			if i > 0 {
				before = stmts[i-1]
			}
			rewritten = append(rewritten, l.freshStatuses(s.Position, before))
		}
		l.stmt(s, ignored)
		rewritten = append(rewritten, s)
	}
	return rewritten
}

func (l *lifter) stmt(s *syntax.Stmt, ignored bool) {
	if s == nil || s.Background || s.Disown || s.Coprocess {
		return
	}
	if p := l.owned[s]; p != nil {
		if l.ours {
			l.lift(s, p, ignored || s.Negated)
		}
		return
	}
	l.command(s.Cmd, ignored || s.Negated)
	if s.Negated && isCompound(s.Cmd) {
		s.Cmd = &syntax.Block{Stmts: condition([]*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}})}
	}
}

// element rewrites a statement that stands in no list.
func (l *lifter) element(s *syntax.Stmt, ignored bool) *syntax.Stmt {
	if l.ours && readsStatuses(s) && !s.Negated {
		return &syntax.Stmt{Position: s.Position, Cmd: &syntax.Block{Stmts: l.list([]*syntax.Stmt{s}, ignored)}}
	}
	l.stmt(s, ignored)
	return s
}

// command goes on into what runs in the same shell, and into subshells for what
// they would not know of the condition that they are in.
func (l *lifter) command(cmd syntax.Command, ignored bool) {
	switch cmd := cmd.(type) {
	case *syntax.Block:
		cmd.Stmts = l.list(cmd.Stmts, ignored)
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt {
			cmd.X = l.element(cmd.X, true)
			cmd.Y = l.element(cmd.Y, ignored)
		}
	case *syntax.IfClause:
		cmd.Cond = l.list(cmd.Cond, true)
		cmd.Then = l.list(cmd.Then, ignored)
		if cmd.Else != nil {
			l.command(cmd.Else, ignored)
		}
	case *syntax.WhileClause:
		cmd.Cond = l.list(cmd.Cond, true)
		cmd.Do = l.list(cmd.Do, ignored)
	case *syntax.ForClause:
		cmd.Do = l.list(cmd.Do, ignored)
	case *syntax.CaseClause:
		for _, item := range cmd.Items {
			item.Stmts = l.list(item.Stmts, ignored)
		}
	case *syntax.Subshell:
		ours := l.ours
		l.ours = false
		cmd.Stmts = l.list(cmd.Stmts, ignored)
		l.ours = ours
		if ignored {
			cmd.Stmts = condition(cmd.Stmts)
		}
	}
}

func isCompound(cmd syntax.Command) bool {
	switch cmd.(type) {
	case *syntax.Block, *syntax.IfClause, *syntax.WhileClause, *syntax.ForClause, *syntax.CaseClause:
		return true
	}
	return false
}

// condition returns statements on which "set -e" does not act, and which end with
// the status of stmts. The interpreter forgets in subshells, and behind "!", that
// they are part of a condition; a list of || makes them one.
func condition(stmts []*syntax.Stmt) []*syntax.Stmt {
	pos := stmts[0].Position
	return []*syntax.Stmt{{Position: pos, Cmd: &syntax.BinaryCmd{
		OpPos: pos,
		Op:    syntax.OrStmt,
		X:     &syntax.Stmt{Position: pos, Cmd: &syntax.Block{Stmts: stmts}},
		Y:     quietly(mark(pos, markStatus)),
	}}}
}

// quietly returns a statement that ends with the status of a mark. In a list of
// && neither "set -e" nor a trap acts on that.
func quietly(m *syntax.Stmt) *syntax.Stmt {
	return &syntax.Stmt{Position: m.Position, Cmd: &syntax.BinaryCmd{
		OpPos: m.Position, Op: syntax.AndStmt, X: m, Y: mark(m.Position, markStatus),
	}}
}

// lift replaces the pipeline of s by its mark. Its stages are rewritten in turn,
// as scripts of their own.
func (l *lifter) lift(s *syntax.Stmt, p *plannedPipeline, ignored bool) {
	for _, ps := range p.stages {
		stmt := l.copies[ps.Stmt]
		l.command(stmt.Cmd, ignored)
		stmts := []*syntax.Stmt{stmt}
		if ignored {
			stmts = condition(stmts)
		}
		ps.file = &syntax.File{Name: l.plan.file.Name, Stmts: stmts}
	}
	m := mark(s.Position, markPipeline, strconv.Itoa(len(l.plan.pipelines)))
	s.Cmd, s.Redirs = m.Cmd, m.Redirs
	l.plan.pipelines = append(l.plan.pipelines, p)
}

// mark returns a statement that calls one of our own commands. Its stderr is the
// veil, so that "set -x" does not show it.
func mark(pos syntax.Pos, words ...string) *syntax.Stmt {
	call := &syntax.CallExpr{}
	for _, w := range words {
		call.Args = append(call.Args, quoted(pos, w))
	}
	return &syntax.Stmt{Position: pos, Cmd: call, Redirs: []*syntax.Redirect{{
		OpPos: pos,
		Op:    syntax.RdrOut,
		N:     &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: "2"},
		Word:  quoted(pos, markVeil),
	}}}
}

func quoted(pos syntax.Pos, value string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Left: pos, Right: pos, Value: value}}}
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
