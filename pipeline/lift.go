package pipeline

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
	"rpipe/parser/tree"
)

// A lifter rewrites the copy of a text's tree: pipelines become marks, wherever they
// stand.
type lifter struct {
	script *script
	copies map[*syntax.Stmt]*syntax.Stmt
	owned  map[*syntax.Stmt]*plannedPipeline // pipelines of two or more stages, by their statement's copy

	uses      features              // of the text
	main      features              // of the program's own
	functions map[string]bool       // that the text defines
	alone     map[*syntax.Stmt]bool // what may fail without an end

	commands map[*syntax.Stmt]*syntax.Stmt // of copies of commands in the background: what the user has written
	started  map[*syntax.Stmt]bool         // marks that start one
	whole    *syntax.Stmt                  // all that the command in the background does which is being rewritten
	contents contents                      // what the statements hold

	defines  bool // definitions of functions become marks as well
	statuses bool // PIPESTATUS may stand in the text
	settles  bool // and is read where it is not known what has run before it
	errexit  bool // "set -e" may be on
	traps    bool // traps may be set
	errs     bool // that for ERR too
	debugs   bool // and that for DEBUG
	leaving  bool // functions may set traps, or start commands in the background
	ignoring bool // "set -e" does not act on what is being rewritten
	function bool // what is being rewritten is in a function
}

// newScript prepares prog as the script of a number, with an offset for its
// positions. A script other than the program's own numbers no pipelines, and is so
// rewritten that it can be printed.
func (p *plan) newScript(id int, prog *parser.Program, name string, shift uint) *script {
	c := cloner{shift: shift, lines: uint(prog.Above)}
	sc := &script{
		id: id, end: shift + uint(len(prog.Source)) + 1, file: c.file(prog.File, 2*len(prog.Pipelines)),
		bodies: make(map[*syntax.Stmt]*syntax.Stmt),
		stages: make(map[syntax.Pos]*plannedStage, len(prog.Pipelines)),
		alone:  make(map[syntax.Pos]bool),
	}
	sc.file.Name, sc.changed = name, c.split
	sc.source = prog.Source
	sc.uses = featuresOf(string(prog.Source), prog.File, id == 0 && p.unknown)
	l := &lifter{
		script: sc, copies: c.stmts, owned: make(map[*syntax.Stmt]*plannedPipeline),
		defines: id != 0 || sc.uses.exports, errexit: p.errexit, leaving: p.leaving,
		uses: sc.uses, main: sc.uses, functions: make(map[string]bool),
		commands: make(map[*syntax.Stmt]*syntax.Stmt), started: make(map[*syntax.Stmt]bool),
		statuses: bytes.Contains(prog.Source, []byte("PIPESTATUS")),
		traps:    p.traps || bytes.Contains(prog.Source, []byte("trap")),
		errs:     p.errs || bytes.Contains(prog.Source, []byte(trapERR)),
		debugs:   p.debugs || bytes.Contains(prog.Source, []byte(trapDEBUG)),
	}
	if id != 0 {
		l.main = p.main.uses
	}
	sc.traps = l.traps
	survey := sync.OnceValue(func() *surveyor {
		sv := newSurveyor(prog.File)
		sv.open = id != 0
		return sv
	})
	all := l.survey(prog.File)
	for i, pl := range prog.Pipelines {
		number := i + 1
		if id != 0 {
			number = 0
		}
		l.prepare(number, pl, survey)
	}
	for s, e := range prog.Refused {
		sc.refusals, sc.changed = append(sc.refusals, e), true
		m := indexed(l.copies[s].Position, markRefuse, sc, len(sc.refusals)-1)
		l.copies[s].Cmd, l.copies[s].Redirs = m.Cmd, m.Redirs
	}
	p.redirected(sc, prog.Source, shift, l.needsShell)
	if mayHold(prog.Source, "$!", "{!", "#!") {
		l.latest(sc.file, p.hidden(hiddenJob))
	}
	if all&hasTime != 0 {
		timed(sc)
	}
	if id != 0 || p.unknown || all&hasLeave != 0 {
		controlled(sc)
	}
	if all&hasLoop != 0 {
		looped(sc, id == 0 && !l.statuses && all&hasTrace == 0 && !p.trace)
	}
	if p.errexit || l.errs {
		quieted(sc)
	}
	if id == 0 && sc.uses.readonly {
		l.alone = aloneOnLine(sc.file.Stmts)
	}
	if mayHold(prog.Source, "let") {
		letsCalled(sc)
	}
	l.settles = l.statuses && l.readsUnsettled(sc.file)
	sc.file.Stmts = l.list(sc.file.Stmts, nil, false)
	p.habits.learn(prog.File)
	p.reword(sc)
	return sc
}

// mayHold is false where none of the words stands in a text, in one piece or with a line
// that goes on in between.
func mayHold(source []byte, words ...string) bool {
	return bytes.Contains(source, []byte("\\\n")) || slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(source, []byte(w)) })
}

// survey finds in the text, which is not changed, what has to be known of all of it,
// and returns what it holds.
func (l *lifter) survey(file *syntax.File) content {
	l.contents = make(contents, len(l.copies))
	var path contentsPath
	tree.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			path.leave(l)
			return true
		}
		path.enter(n)
		switch n := n.(type) {
		case *syntax.Stmt:
			l.script.lasting = l.script.lasting || n.Background || n.Disown || n.Coprocess
			if n.Background {
				l.mayOutlive(l.copies[n])
				l.commands[l.copies[n]] = n
			}
		case *syntax.ProcSubst:
			l.script.lasting = true
			if n.Op == syntax.CmdIn && len(n.Stmts) == 1 {
				l.mayOutlive(l.copies[n.Stmts[0]])
			}
		case *syntax.FuncDecl:
			l.script.lasting = true
			l.script.bodies[l.copies[n.Body]] = n.Body
			if n.Name != nil {
				l.functions[n.Name.Value] = true
			}
		}
		return true
	})
	return path.all
}

// mayOutlive notes the statement of a command in the background: if it is one local
// program, that may outlive the script.
func (l *lifter) mayOutlive(s *syntax.Stmt) {
	if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && !s.Negated {
		l.script.alone[call.Args[0].Pos()] = true
	}
}

// prepare registers the stages of a pipeline.
func (l *lifter) prepare(number int, pl *parser.Pipeline, survey func() *surveyor) {
	var owned *plannedPipeline
	if len(pl.Stages) > 1 {
		owned = &plannedPipeline{source: pl, number: number, negated: pl.Stmt.Negated}
		l.owned[l.copies[pl.Stmt]] = owned
	}
	for _, s := range pl.Stages {
		ps := &plannedStage{Stage: s, pipeline: number, last: s.Number == len(pl.Stages), survey: survey}
		if number == 0 {
			unnumbered := *s
			unnumbered.Number = 0
			ps.Stage = &unnumbered
		}
		stmt := l.copies[s.Stmt]
		ps.redirected = slices.ContainsFunc(stmt.Redirs, takesStdout)
		ps.substitutes = l.holds([]*syntax.Stmt{stmt}, hasProcSubst, isProcSubst)
		ps.returns = l.holds([]*syntax.Stmt{stmt}, hasForFunctions, isForFunctions)
		if s.Call != nil && len(s.Call.Args) > 0 {
			call := stmt.Cmd.(*syntax.CallExpr)
			quoteAddress(call.Args[0], s)
			ps.pos = call.Args[0].Pos()
			for _, as := range call.Assigns {
				ps.assigned = append(ps.assigned, as.Name.Value)
			}
			l.script.stages[ps.pos] = ps
		}
		if owned != nil {
			owned.stages = append(owned.stages, ps)
		}
	}
}

// takesStdout reports whether a redirection is one of standard output.
func takesStdout(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.RdrAll, syntax.AppAll:
		return true
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.DplOut, syntax.DplIn, syntax.RdrInOut, syntax.RdrIn:
		if r.N == nil {
			return r.Op != syntax.RdrIn && r.Op != syntax.RdrInOut && r.Op != syntax.DplIn
		}
		return r.N.Value == "1"
	}
	return false
}

// holds reports whether there is such a node, of this kind of content, in statements.
func (l *lifter) holds(stmts []*syntax.Stmt, kind content, is func(syntax.Node) bool) bool {
	return slices.ContainsFunc(stmts, func(s *syntax.Stmt) bool { return l.may(s, kind) }) && holds(stmts, is)
}

// holds reports whether there is such a node in statements.
func holds(stmts []*syntax.Stmt, is func(syntax.Node) bool) (found bool) {
	for _, s := range stmts {
		tree.Walk(s, func(n syntax.Node) bool {
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
// right: set a trap for its end, inherit that for ERR, or do what only functions may.
func (l *lifter) needsShell(n syntax.Node) bool {
	if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 {
		if call.Args[0].Lit() == "trap" || l.errs || l.leaving && mayBeFunction(call) {
			return true
		}
	}
	return isForFunctions(n)
}

// needsShell is the part of lifter.needsShell that a node alone decides.
func needsShell(n syntax.Node) bool {
	if call, ok := n.(*syntax.CallExpr); ok && len(call.Args) > 0 && call.Args[0].Lit() == "trap" {
		return true
	}
	return isForFunctions(n)
}

// wantsShell reports whether a list needs a shell of ours.
func (l *lifter) wantsShell(stmts []*syntax.Stmt) bool {
	if l.errs || l.leaving {
		return holds(stmts, l.needsShell)
	}
	return l.holds(stmts, hasForShell, needsShell)
}

// maySpawn reports whether a list may start commands in the background.
func (l *lifter) maySpawn(stmts []*syntax.Stmt) bool {
	if l.leaving {
		return holds(stmts, l.startsJobs)
	}
	return l.holds(stmts, holdsJobs, l.startsJobs)
}

// startsJobs reports whether a node starts a command in the background, or may call a
// function that does.
func (l *lifter) startsJobs(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.Stmt:
		return n.Background
	case *syntax.CallExpr:
		return l.leaving && (mayBeFunction(n) || len(n.Args) > 0 && runsText(n.Args[0].Lit()))
	}
	return false
}

// list rewrites the statements of a shell. The statement that runs before them is
// before, or nil if that is not known. Where ignored is true, "set -e" does not act
// on them: they are part of a condition.
func (l *lifter) list(stmts []*syntax.Stmt, before *syntax.Stmt, ignored bool) []*syntax.Stmt {
	var rewritten []*syntax.Stmt
	for _, s := range stmts {
		rewritten = append(rewritten, l.debugTraps(s)...)
		if l.statuses && readsStatuses(s) || l.settles && l.forks(s) {
			rewritten = append(rewritten, l.freshStatuses(s.Position, before))
		}
		if (l.uses.traces || l.main.traces) && redirectsStderr(s) {
			if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 && l.owned[s] == nil {
				l.script.changed = true
				rewritten = append(rewritten, quietly(mark(s.Position, markTrace, traceStderr)))
			}
		}
		if l.commandNamed(s) {
			rewritten = append(rewritten, quietly(mark(s.Position, markCommand, l.written(s))))
		}
		if l.errs && !callsCommand(s) {
			l.script.changed = true
			rewritten = append(rewritten, quietly(mark(s.Position, markCalled)))
		}
		takesTime := l.traps && takesTime(s)
		settles := l.settles && l.leavesStatuses(s)
		l.stmt(s, ignored)
		rewritten = append(rewritten, s)
		if settles {
			rewritten = append(rewritten, quietly(mark(s.Position, markStatuses, stale)))
		}
		if takesTime {
			rewritten = append(rewritten, l.pendingTraps(s.Position))
		}
		before = s
	}
	return rewritten
}

// shell rewrites the list of $( ), <( ) or >( ). Where a shell of the interpreter is
// not enough, a mark makes one of ours inside of it.
func (l *lifter) shell(stmts []*syntax.Stmt) []*syntax.Stmt {
	jobs := l.maySpawn(stmts)
	if !jobs && !l.wantsShell(stmts) {
		return l.descending(l.list(stmts, nil, false))
	}
	pos := stmts[0].Position
	own := []*syntax.Stmt{l.ownShell(&syntax.Stmt{Position: pos, Cmd: &syntax.Subshell{Lparen: pos, Rparen: pos, Stmts: stmts}}, false)}
	planned := l.script.shells[len(l.script.shells)-1]
	planned.substitution, planned.jobs = true, jobs
	return own
}

// ownShell makes a statement one that runs its commands in a shell of ours.
func (l *lifter) ownShell(s *syntax.Stmt, ignored bool) *syntax.Stmt {
	stmts := []*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}}
	if sub, ok := s.Cmd.(*syntax.Subshell); ok {
		stmts = sub.Stmts
	}
	planned := &plannedShell{ignored: ignored, function: l.function, returns: l.holds(stmts, hasForFunctions, isForFunctions), whole: s == l.whole}
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
	ignored = ignored || s.Negated
	outer := l.ignoring
	l.ignoring = ignored
	defer func() { l.ignoring = outer }()
	for _, r := range s.Redirs {
		l.words(r)
	}
	if s.Background {
		l.job(s, ignored)
		return
	}
	if p := l.owned[s]; p != nil {
		l.lift(s, p)
		return
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.Subshell:
		// Whether a function is part of a condition is known when it runs.
		if l.function && l.errexit || l.wantsShell(cmd.Stmts) {
			l.ownShell(s, ignored)
			return
		}
		cmd.Stmts = l.list(cmd.Stmts, nil, ignored)
		if ignored {
			cmd.Stmts = condition(cmd.Stmts)
		}
		cmd.Stmts = l.descending(cmd.Stmts)
		return
	case *syntax.DeclClause:
		if l.declaration(s, cmd) {
			return
		}
	}
	kept := false
	if f, ok := s.Cmd.(*syntax.FuncDecl); ok {
		kept = holds([]*syntax.Stmt{f.Body}, keepsOptions)
	}
	if _, simple := s.Cmd.(*syntax.CallExpr); !simple || l.may(s, hasSubst) {
		l.command(s.Cmd, ignored)
	}
	if f, ok := s.Cmd.(*syntax.FuncDecl); ok {
		l.entered(f, kept)
	}
	if test, ok := s.Cmd.(*syntax.TestClause); ok {
		l.optionTests(test)
	}
	l.scoped(s)
	if call, ok := s.Cmd.(*syntax.CallExpr); ok && len(call.Args) == 0 {
		traced := &syntax.Stmt{Position: s.Position, Cmd: call}
		l.guarded(s)
		if b, ok := s.Cmd.(*syntax.Block); ok {
			l.traced(traced)
			b.Stmts[len(b.Stmts)-1] = traced
		} else {
			l.traced(s)
		}
	} else {
		l.traced(s)
		l.guarded(s)
	}
	if l.uses.caseless || l.main.caseless {
		l.caseless(s)
	}
	if s.Negated && (isCompound(s.Cmd) || l.errexit && mayBeFunction(s.Cmd)) {
		s.Cmd = &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: condition([]*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}})}
	}
	if s.Background && s.Cmd != nil {
		if stmts := l.descending([]*syntax.Stmt{{Position: s.Position, Cmd: s.Cmd}}); len(stmts) > 1 {
			s.Cmd = &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: stmts}
		}
	}
	if f, ok := s.Cmd.(*syntax.FuncDecl); ok && l.defines {
		l.script.functions = append(l.script.functions, f)
		m := indexed(s.Position, markFunction, l.script, len(l.script.functions)-1)
		s.Cmd, s.Redirs = m.Cmd, m.Redirs
	}
}

// element rewrites a statement that stands in no list, behind before.
func (l *lifter) element(s, before *syntax.Stmt, ignored bool) *syntax.Stmt {
	if l.statuses && readsStatuses(s) && !s.Negated || l.settles && l.leavesStatuses(s) || l.debugTraps(s) != nil {
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
		takesTime := l.traps && (cmd.Op == syntax.AndStmt || cmd.Op == syntax.OrStmt) && takesTime(cmd.X)
		cmd.X = l.element(cmd.X, nil, true)
		if takesTime {
			pos := cmd.X.Position
			cmd.X = &syntax.Stmt{Position: pos, Cmd: &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: []*syntax.Stmt{cmd.X, l.pendingTraps(pos)}}}
		}
		cmd.Y = l.element(cmd.Y, x, ignored)
	case *syntax.IfClause:
		l.conditional(cmd, nil, ignored)
	case *syntax.WhileClause:
		cond := cmd.Cond
		cmd.Cond = l.list(cmd.Cond, nil, true)
		cmd.Do = l.iteration(cmd.Do, final(cond), ignored)
	case *syntax.ForClause:
		l.words(cmd.Loop)
		cmd.Do = l.iteration(cmd.Do, nil, ignored)
		if _, words := cmd.Loop.(*syntax.WordIter); words && l.debugs && !l.function && len(cmd.Do) > 0 {
			l.script.changed = true
			cmd.Do = append([]*syntax.Stmt{quietly(mark(cmd.Do[0].Position, markTrap, trapDebugs))}, cmd.Do...)
		}
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
	tree.Walk(node, func(n syntax.Node) bool {
		l.special(n)
		switch n := n.(type) {
		case *syntax.CmdSubst:
			plain := l.errexit && (!isSimple(n.Stmts) || namesVariable(n, "-") || namesVariable(n, "SHELLOPTS"))
			ignoring := ""
			if l.ignoring {
				ignoring = "ignored"
			}
			n.Stmts = l.shell(n.Stmts)
			if (l.uses.traces || l.main.traces) && len(n.Stmts) > 0 && n.Stmts[0].Cmd != nil {
				l.script.changed = true
				n.Stmts = append([]*syntax.Stmt{quietly(mark(n.Left, markTrace, traceDeeper))}, n.Stmts...)
			}
			if plain {
				// bash switches it off there.
				n.Stmts = append([]*syntax.Stmt{quietly(mark(n.Left, markPlain, ignoring))}, n.Stmts...)
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
