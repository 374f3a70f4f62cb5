package pipeline

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// needsDescriptors reports whether a program has to do its redirections here: one of
// them is beyond the interpreter, or changes what a shell hands on, or may.
func needsDescriptors(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.Redirect:
		return !isPlain(n)
	case *syntax.ProcSubst:
		return n.Op == syntax.CmdOut
	case *syntax.Stmt:
		return slices.ContainsFunc(n.Redirs, changesWords) && len(inWords(n.Cmd)) > 0
	case *syntax.CallExpr:
		if len(n.Args) == 0 {
			return false
		}
		args := n.Args
		for len(args) > 1 && (args[0].Lit() == "command" || args[0].Lit() == "builtin") {
			args = args[1:]
		}
		switch name := args[0].Lit(); name {
		case "umask", "ulimit", "trap":
			return true
		case "set":
			return slices.ContainsFunc(args[1:], func(w *syntax.Word) bool {
				lit := w.Lit()
				return lit == "" || lit == "noclobber" || isFlags(lit) && strings.Contains(lit, "C")
			})
		default:
			return runsText(name)
		}
	}
	return false
}

// changesWords reports whether a redirection is one of what substitutions in the words of
// its command have, if it were done before they are expanded.
func changesWords(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.RdrIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc, syntax.RdrAll, syntax.AppAll:
		return true
	}
	return r.N != nil && r.N.Value == "2"
}

func isFlags(word string) bool { return strings.HasPrefix(word, "-") || strings.HasPrefix(word, "+") }

// isPlain reports whether the interpreter does a redirection as bash does.
func isPlain(r *syntax.Redirect) bool {
	number := ""
	if r.N != nil {
		number = r.N.Value
	}
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		return (number == "" || number == "0") && !partlyQuoted(r)
	case syntax.WordHdoc:
		return number == "" || number == "0"
	case syntax.RdrIn:
		return (number == "" || number == "0") && isOneWord(r.Word)
	case syntax.RdrOut, syntax.AppOut:
		return (number == "" || number == "1" || number == "2") && isOneWord(r.Word)
	case syntax.RdrAll, syntax.AppAll:
		return isOneWord(r.Word)
	case syntax.DplOut:
		word := r.Word.Lit()
		return (number == "" || number == "1" || number == "2") && (word == "1" || word == "2")
	}
	return false
}

// isOneWord reports whether a word surely is one when it is expanded, and the same for
// the interpreter.
func isOneWord(w *syntax.Word) bool {
	for _, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(part.Value, `*?[\{`) {
				return false
			}
		case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ExtGlob:
			return false
		}
	}
	return true
}

// partlyQuoted reports whether the delimiter of a here-document is quoted, and ends with
// what is not: the parser takes it for one that is not quoted.
func partlyQuoted(r *syntax.Redirect) bool {
	quoted, last := false, false
	for _, part := range r.Word.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			last = strings.Contains(part.Value, `\`)
		default:
			last = true
		}
		quoted = quoted || last
	}
	return quoted && !last
}

// isExec reports whether a command is an "exec" without a program.
func isExec(cmd syntax.Command) bool {
	call, ok := cmd.(*syntax.CallExpr)
	if !ok {
		return false
	}
	args := call.Args
	for len(args) > 1 && (args[0].Lit() == "command" || args[0].Lit() == "builtin") {
		args = args[1:]
	}
	return len(args) == 1 && args[0].Lit() == "exec"
}

// A redirector rewrites redirections into marks.
type redirector struct {
	script  *script
	source  []byte // of the text
	shift   uint   // of offsets in the tree
	plan    *plan
	skipped map[*syntax.Stmt]bool
	words   map[syntax.Node]bool // substitutions in the words of commands with redirections

	needsShell func(syntax.Node) bool
}

// redirected makes marks of the redirections of a tree, and gives the shells that the
// interpreter makes an end where they may open what must be closed then.
// needsShell says of a node that a list which holds it gets a shell of ours.
func (p *plan) redirected(sc *script, source []byte, shift uint, needsShell func(syntax.Node) bool) {
	if !p.descriptors {
		return
	}
	rd := &redirector{script: sc, source: source, shift: shift, plan: p, needsShell: needsShell, skipped: make(map[*syntax.Stmt]bool), words: make(map[syntax.Node]bool)}
	tree.Walk(sc.file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			if isFileSubst(n) {
				rd.skipped[n.Stmts[0]] = true
				break
			}
			n.Stmts = rd.shell(n.Stmts, redirection{op: scopeShell, flags: rd.asBefore(n, flagInput)})
		case *syntax.ProcSubst:
			stream := flagInput
			if n.Op == syntax.CmdOut {
				stream = flagOutput
			}
			n.Stmts = rd.shell(n.Stmts, redirection{op: scopeKeep, flags: rd.asBefore(n, stream)})
		case *syntax.Subshell:
			n.Stmts = rd.shell(n.Stmts, redirection{op: scopeShell})
		case *syntax.Stmt:
			rd.wordsOf(n)
			if len(n.Redirs) > 0 && !rd.skipped[n] && !isScope(n) {
				rd.stmt(n)
			}
		}
		return true
	})
}

// isFileSubst reports whether a substitution is $(<file), which is no command.
func isFileSubst(cs *syntax.CmdSubst) bool {
	if len(cs.Stmts) != 1 {
		return false
	}
	s := cs.Stmts[0]
	return s.Cmd == nil && !s.Negated && !s.Background && len(s.Redirs) == 1 && s.Redirs[0].Op == syntax.RdrIn && s.Redirs[0].N == nil
}

func isScope(s *syntax.Stmt) bool {
	return len(s.Redirs) == 1 && strings.HasPrefix(firstValue(s.Redirs[0].Word), markRedirect)
}

// firstValue returns the beginning of a quoted word.
func firstValue(w *syntax.Word) string {
	if len(w.Parts) > 0 {
		if q, ok := w.Parts[0].(*syntax.SglQuoted); ok {
			return q.Value
		}
	}
	return ""
}

// shell puts the list of a shell into a scope, if that is necessary.
func (rd *redirector) shell(stmts []*syntax.Stmt, r redirection) []*syntax.Stmt {
	r.number = -1
	if len(stmts) == 0 || r.op == scopeShell && r.flags == "" && (!holds(stmts, rd.plan.mayPersist) || holds(stmts, rd.needsShell)) {
		return stmts // one of our own needs none
	}
	rd.script.changed = true
	pos := stmts[0].Position
	group := &syntax.Stmt{Position: pos, Cmd: &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: stmts}}
	if holds(stmts, rd.needsShell) {
		// Its trap runs before the end of the scope.
		group.Cmd = &syntax.Subshell{Lparen: pos, Rparen: pos, Stmts: stmts}
	}
	return []*syntax.Stmt{scoped(group, r)}
}

// wordsOf finds the substitutions in the words of a simple command that has redirections,
// or whose words need to know its output.
func (rd *redirector) wordsOf(s *syntax.Stmt) {
	if rd.skipped[s] || isScope(s) {
		return
	}
	substitutions := inWords(s.Cmd)
	if len(s.Redirs) == 0 {
		substitutions = slices.DeleteFunc(substitutions, func(n syntax.Node) bool { return !isOutput(n) })
		if len(substitutions) == 0 {
			return
		}
		s.Redirs = []*syntax.Redirect{intoStderr(s.Position, redirection{
			op: scopeWords, flags: string(flagFirst) + string(flagSimple), number: -1,
		}.header())}
		rd.script.changed = true
	}
	if isExec(s.Cmd) {
		return
	}
	for _, n := range substitutions {
		rd.words[n] = true
	}
}

// inWords returns the substitutions in the words of a simple command.
func inWords(cmd syntax.Command) (found []syntax.Node) {
	switch cmd.(type) {
	case *syntax.CallExpr, *syntax.DeclClause:
		tree.Walk(cmd, func(n syntax.Node) bool {
			switch n.(type) {
			case *syntax.CmdSubst, *syntax.ProcSubst:
				found = append(found, n)
				return false
			}
			return true
		})
	}
	return found
}

// isOutput reports whether a node is >( ), which writes to what its command does.
func isOutput(n syntax.Node) bool {
	ps, ok := n.(*syntax.ProcSubst)
	return ok && ps.Op == syntax.CmdOut
}

// asBefore returns the flags of a substitution that stands in the words of a command with
// redirections.
func (rd *redirector) asBefore(n syntax.Node, stream rune) string {
	if !rd.words[n] {
		return ""
	}
	return string(flagErrors) + string(stream)
}

// scoped adds a scope in front of the redirections of a statement.
func scoped(s *syntax.Stmt, r redirection) *syntax.Stmt {
	s.Redirs = append([]*syntax.Redirect{intoStderr(s.Position, r.header())}, s.Redirs...)
	return s
}

// mayPersist reports whether a node may be an "exec" that opens something, or the call of
// what holds one.
func (p *plan) mayPersist(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.Stmt:
		return len(n.Redirs) > 0 && isExec(n.Cmd) || slices.ContainsFunc(n.Redirs, namesDescriptor)
	case *syntax.CallExpr:
		if !p.persists || len(n.Args) == 0 {
			return false
		}
		name := n.Args[0].Lit()
		return !interp.IsBuiltin(name) || runsText(name) || name == "command" || name == "builtin"
	}
	return false
}

func namesDescriptor(r *syntax.Redirect) bool { return r.N != nil && strings.HasPrefix(r.N.Value, "{") }

// stmt makes marks of the redirections of a statement.
func (rd *redirector) stmt(s *syntax.Stmt) {
	rd.script.changed = true
	persists := isExec(s.Cmd)
	call, _ := s.Cmd.(*syntax.CallExpr)
	var rewritten []*syntax.Redirect
	for i, r := range s.Redirs {
		var flags strings.Builder
		switch {
		case persists:
			flags.WriteRune(flagPersists)
		case i == 0:
			flags.WriteRune(flagFirst)
			if call != nil && len(call.Args) > 0 {
				flags.WriteRune(flagSimple)
			}
		}
		rewritten = append(rewritten, rd.redirect(r, flags.String()))
	}
	s.Redirs = rewritten
}

// redirect makes a mark of a redirection.
func (rd *redirector) redirect(r *syntax.Redirect, flags string) *syntax.Redirect {
	m := redirection{op: r.Op.String(), flags: flags, number: -1, line: int(r.OpPos.Line())}
	pos := r.OpPos
	var parts []syntax.WordPart
	tilde := false
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		m.op = "<<"
		parts = rd.hereDocument(r)
	default:
		parts, tilde = markedWord(r.Word, r.Op != syntax.WordHdoc)
		if r.Op != syntax.WordHdoc && hasBraces(r.Word) {
			m.flags += string(flagSeveral)
		}
	}
	if tilde {
		m.flags += string(flagTilde)
	}
	switch {
	case r.N == nil:
	case namesDescriptor(r):
		name := strings.Trim(r.N.Value, "{}")
		closes := (r.Op == syntax.DplIn || r.Op == syntax.DplOut) && r.Word.Lit() == "-"
		parts = append(parts, signPart(pos, signNumber), variableNumber(pos, name, closes))
	default:
		m.number = index(r.N.Value)
	}
	whole := intoStderr(pos, m.header())
	if len(parts) > 0 {
		if _, first := parts[0].(*syntax.ProcSubst); first {
			// It is printed with a blank in front of it.
			whole.Word.Parts = append(parts[:1:1], append(whole.Word.Parts, parts[1:]...)...)
			return whole
		}
	}
	whole.Word.Parts = append(whole.Word.Parts, parts...)
	return whole
}

// variableNumber returns an expansion to the number that a "{name}" stands for: that of
// its variable if it closes it, else a free one, which becomes its value.
func variableNumber(pos syntax.Pos, name string, closes bool) syntax.WordPart {
	if strings.Contains(name, "[") {
		if !closes {
			return signPart(pos, "") // an element cannot be given a value in an expansion
		}
	}
	if closes {
		return &syntax.ArithmExp{Left: pos, Right: pos, X: literal(pos, name)}
	}
	return &syntax.ArithmExp{Left: pos, Right: pos, X: &syntax.BinaryArithm{
		OpPos: pos, Op: syntax.Assgn,
		X: literal(pos, name), Y: &syntax.Word{Parts: []syntax.WordPart{freeNumber(pos)}},
	}}
}

// freeNumber returns a substitution by the lowest number that is free.
func freeNumber(pos syntax.Pos) syntax.WordPart {
	return &syntax.CmdSubst{Left: pos, Right: pos, Stmts: []*syntax.Stmt{mark(pos, markFree)}}
}

// hereDocument returns the text of a here-document as parts of a word.
func (rd *redirector) hereDocument(r *syntax.Redirect) []syntax.WordPart {
	if r.Hdoc == nil {
		return nil
	}
	pos := r.OpPos
	tabs := &tabStripper{strips: r.Op == syntax.DashHdoc, begins: true}
	switch {
	case partlyQuoted(r):
		from, to := r.Hdoc.Pos().Offset()-rd.shift, r.Hdoc.End().Offset()-rd.shift
		if from <= to && to <= uint(len(rd.source)) {
			body := string(rd.source[from:to])
			if i := strings.LastIndexByte(body, '\n'); strings.TrimLeft(body[i+1:], "\t") == delimiter(r.Word) {
				body = body[:i+1]
			}
			return []syntax.WordPart{literalPart(pos, tabs.strip(body))}
		}
	case isQuoted(r.Word):
		var all strings.Builder
		for _, part := range r.Hdoc.Parts {
			if lit, ok := part.(*syntax.Lit); ok {
				all.WriteString(lit.Value)
			}
		}
		return []syntax.WordPart{literalPart(pos, tabs.strip(all.String()))}
	}
	body := &syntax.DblQuoted{Left: pos, Right: pos}
	for _, part := range r.Hdoc.Parts {
		if lit, ok := part.(*syntax.Lit); ok {
			part = &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: inDoubleQuotes(tabs.strip(lit.Value))}
		} else {
			tabs.begins = false
		}
		body.Parts = append(body.Parts, part)
	}
	return []syntax.WordPart{body}
}

// delimiter returns the delimiter of a here-document without its quotes.
func delimiter(w *syntax.Word) string {
	var b strings.Builder
	for _, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescaped(part.Value))
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				if lit, ok := inner.(*syntax.Lit); ok {
					b.WriteString(lit.Value)
				}
			}
		}
	}
	return b.String()
}

// isQuoted reports whether any part of a delimiter is quoted.
func isQuoted(w *syntax.Word) bool {
	return slices.ContainsFunc(w.Parts, func(part syntax.WordPart) bool {
		lit, ok := part.(*syntax.Lit)
		return !ok || strings.Contains(lit.Value, `\`)
	})
}

// inDoubleQuotes returns what stands literally in a here-document as it stands between
// double quotes.
func inDoubleQuotes(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			b.WriteString(`\"`)
		case text[i] != '\\':
			b.WriteByte(text[i])
		case i+1 < len(text) && strings.IndexByte("$`\\", text[i+1]) >= 0:
			b.WriteString(text[i : i+2])
			i++
		case i+1 < len(text) && text[i+1] == '\n':
			i++
		default:
			b.WriteString(`\\`)
		}
	}
	return b.String()
}

// A tabStripper removes the tabs that lines begin with.
type tabStripper struct {
	strips bool // else it removes nothing
	begins bool // what comes is the beginning of a line
}

func (t *tabStripper) strip(text string) string {
	if !t.strips {
		return text
	}
	var b strings.Builder
	for i := range len(text) {
		if t.begins && text[i] == '\t' {
			continue
		}
		b.WriteByte(text[i])
		t.begins = text[i] == '\n'
	}
	return b.String()
}
