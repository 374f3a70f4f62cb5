package pipeline

import (
	"slices"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A reworder rewrites the words of a lifted script that the interpreter would not expand
// as bash does: a command substitution with a mark expands them, and is followed by the
// variable that it leaves the value in. What is hot and plain is left as it is.
type reworder struct {
	*habits
	script *script
	any    bool // any name may be an associative array
}

// habits are what texts of a program have in common, which tells what must be expanded by
// us. plan.mu is held for it once the program runs.
type habits struct {
	arrays     map[string]bool // names that are declared as associative arrays
	fixed      map[string]bool // names that are declared read-only
	assigned   map[string]bool // names that may be given a value
	formulas   map[string]bool // names that are given one that is an expression
	references bool            // names may stand for others
	split      bool            // IFS may hold more than white space
	bytes      bool            // the locale is C
}

// learn adds the habits of a text.
func (h *habits) learn(file *syntax.File) {
	if h.arrays == nil {
		h.arrays, h.formulas = make(map[string]bool), make(map[string]bool)
		h.fixed = map[string]bool{"UID": true, "EUID": true, "PPID": true, "BASHOPTS": true, "SHELLOPTS": true, "BASH_VERSINFO": true}
		h.assigned = map[string]bool{"RANDOM": true, "SECONDS": true, "LINENO": true, "OPTIND": true, "COLUMNS": true, "LINES": true}
	}
	tree.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			h.assign(n)
		case *syntax.WordIter:
			h.assigned[n.Name.Value] = true
		case *syntax.BinaryArithm:
			if isAssignment(n.Op) {
				h.assigned[indexLit(n.X)] = true
			}
		case *syntax.UnaryArithm:
			h.assigned[indexLit(n.X)] = true
		case *syntax.CallExpr:
			for _, w := range n.Args[min(1, len(n.Args)):] {
				h.assigned[w.Lit()] = true // of "read", for one
			}
			if len(n.Args) == 0 {
				for _, as := range n.Assigns {
					h.separators(as)
				}
			}
		case *syntax.DeclClause:
			associative, constant := false, n.Variant.Value == "readonly"
			for _, as := range n.Args {
				if as.Name != nil {
					h.separators(as)
					if associative {
						h.arrays[as.Name.Value] = true
					}
					if constant {
						h.fixed[as.Name.Value] = true
					}
					continue
				}
				if as.Value != nil {
					lit := as.Value.Lit()
					if strings.HasPrefix(lit, "-") {
						associative = associative || strings.Contains(lit, "A")
						constant = constant || strings.Contains(lit, "r")
						h.references = h.references || strings.Contains(lit, "n")
					}
				}
			}
		}
		return true
	})
}

// assign learns from an assignment.
func (h *habits) assign(as *syntax.Assign) {
	if as.Name == nil {
		return
	}
	h.assigned[as.Name.Value] = true
	if as.Value == nil {
		return
	}
	value := as.Value.Lit()
	for _, part := range as.Value.Parts {
		switch part := part.(type) {
		case *syntax.SglQuoted:
			value += part.Value
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				if lit, ok := inner.(*syntax.Lit); ok {
					value += lit.Value
				}
			}
		}
	}
	if value != "" && !isDecimal(strings.TrimPrefix(value, "-")) {
		h.formulas[as.Name.Value] = true
	}
}

// separators finds out whether an assignment puts more than white space into IFS.
func (h *habits) separators(as *syntax.Assign) {
	if as.Name == nil || as.Name.Value != "IFS" || as.Naked {
		return
	}
	if as.Value == nil {
		return
	}
	for _, part := range as.Value.Parts {
		switch part := part.(type) {
		case *syntax.SglQuoted:
			white := strings.Trim(part.Value, " \t\n") == ""
			if part.Dollar {
				white = strings.Trim(strings.NewReplacer(`\n`, "", `\t`, "").Replace(part.Value), " ") == ""
			}
			h.split = h.split || !white
		case *syntax.DblQuoted:
			for _, inner := range part.Parts {
				lit, ok := inner.(*syntax.Lit)
				h.split = h.split || ok && strings.Trim(lit.Value, " \t\n") != ""
			}
		case *syntax.Lit:
			h.split = true
		case *syntax.ParamExp:
			name := ""
			if part.Param != nil {
				name = part.Param.Value
			}
			h.split = h.split || len(name) == 1 && name[0] >= '0' && name[0] <= '9'
		}
	}
}

// reword rewrites a script that has been lifted.
func (p *plan) reword(sc *script) {
	rw := &reworder{habits: &p.habits, script: sc, any: p.habits.references && len(p.habits.arrays) > 0}
	rw.stmts(sc.file.Stmts)
	for _, pl := range sc.pipelines {
		for _, st := range pl.stages {
			rw.stmts(st.file.Stmts)
		}
	}
	for _, sh := range sc.shells {
		rw.stmts(sh.file.Stmts)
	}
	for _, f := range sc.functions {
		rw.stmt(f.Body)
	}
	if len(sc.expansions) > 0 {
		sc.changed = true
	}
}

func (rw *reworder) stmts(stmts []*syntax.Stmt) {
	for _, s := range stmts {
		rw.stmt(s)
	}
}

func (rw *reworder) stmt(s *syntax.Stmt) {
	if s == nil {
		return
	}
	for _, r := range s.Redirs {
		if r.Op != syntax.Hdoc && r.Op != syntax.DashHdoc {
			r.Word = rw.literal(r.Word, literalWord)
		}
		if r.Hdoc != nil {
			rw.document(r.Hdoc)
		}
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		rw.call(s, cmd)
	case *syntax.DeclClause:
		for _, as := range cmd.Args {
			rw.assign(as)
		}
	case *syntax.Block:
		rw.stmts(cmd.Stmts)
	case *syntax.Subshell:
		rw.stmts(cmd.Stmts)
	case *syntax.BinaryCmd:
		rw.stmt(cmd.X)
		rw.stmt(cmd.Y)
	case *syntax.IfClause:
		for c := cmd; c != nil; c = c.Else {
			rw.stmts(c.Cond)
			rw.stmts(c.Then)
		}
	case *syntax.WhileClause:
		rw.stmts(cmd.Cond)
		rw.stmts(cmd.Do)
	case *syntax.ForClause:
		rw.loop(cmd)
		rw.stmts(cmd.Do)
	case *syntax.CaseClause:
		var patterns []**syntax.Word
		for _, item := range cmd.Items {
			for i := range item.Patterns {
				patterns = append(patterns, &item.Patterns[i])
			}
			rw.stmts(item.Stmts)
		}
		rw.match(&cmd.Word, patterns)
	case *syntax.TestClause:
		cmd.X = rw.test(cmd.X)
	case *syntax.ArithmCmd:
		rw.nested(cmd)
		if rw.numberNeeds(cmd.X) {
			rw.perform(s, &plannedExpansion{kind: numberOf, exprs: []syntax.ArithmExpr{cmd.X}})
		}
	case *syntax.LetClause:
		rw.nested(cmd)
		rw.perform(s, &plannedExpansion{kind: numberOf, exprs: cmd.Exprs})
	case *syntax.FuncDecl:
		rw.stmt(cmd.Body)
	case *syntax.TimeClause:
		rw.stmt(cmd.Stmt)
	case *syntax.CoprocClause:
		rw.stmt(cmd.Stmt)
	}
}

// perform makes a statement the mark of a command that this package does.
func (rw *reworder) perform(s *syntax.Stmt, e *plannedExpansion) {
	e.line = s.Position.Line()
	rw.script.expansions = append(rw.script.expansions, e)
	m := indexed(s.Position, markPerform, rw.script, len(rw.script.expansions)-1)
	s.Cmd, s.Redirs = m.Cmd, append(s.Redirs, m.Redirs...)
}

func (rw *reworder) call(s *syntax.Stmt, call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		rw.nested(call)
		if slices.ContainsFunc(call.Assigns, rw.assignNeeds) {
			rw.perform(s, &plannedExpansion{kind: assigning, assigns: call.Assigns})
			return
		}
	}
	for _, as := range call.Assigns {
		rw.assign(as)
	}
	for i := range call.Args {
		call.Args[i] = rw.fields(call.Args[i])
	}
}

// assign rewrites the words of an assignment that the interpreter does.
func (rw *reworder) assign(as *syntax.Assign) {
	switch {
	case as.Name == nil:
		as.Value = rw.fields(as.Value)
		return
	case as.Value != nil:
		as.Value = rw.literal(as.Value, valueOf)
	case as.Array != nil:
		for _, e := range as.Array.Elems {
			if e.Index == nil {
				e.Value = rw.fields(e.Value)
				continue
			}
			e.Value = rw.literal(e.Value, valueOf)
		}
	}
}

func (rw *reworder) loop(f *syntax.ForClause) {
	switch l := f.Loop.(type) {
	case *syntax.WordIter:
		for i := range l.Items {
			l.Items[i] = rw.fields(l.Items[i])
		}
	case *syntax.CStyleLoop:
		rw.nested(l)
		for _, x := range []*syntax.ArithmExpr{&l.Init, &l.Cond, &l.Post} {
			if *x != nil && rw.numberNeeds(*x) {
				pos := (*x).Pos()
				*x = rw.shown(pos, false, &plannedExpansion{kind: numberOf, exprs: []syntax.ArithmExpr{*x}, loop: true})
			}
		}
	}
}

// test rewrites the operands of "[[".
func (rw *reworder) test(x syntax.TestExpr) syntax.TestExpr {
	switch x := x.(type) {
	case *syntax.Word:
		return rw.literal(x, literalWord)
	case *syntax.ParenTest:
		x.X = rw.test(x.X)
	case *syntax.UnaryTest:
		w, ok := x.X.(*syntax.Word)
		if x.Op == syntax.TsVarSet && ok && !syntax.ValidName(w.Lit()) {
			rw.nested(w)
			x.Op = syntax.TsNempStr
			x.X = rw.shown(w.Pos(), true, &plannedExpansion{kind: isSetOf, word: w})
			return x
		}
		x.X = rw.test(x.X)
	case *syntax.BinaryTest:
		switch x.Op {
		case syntax.TsMatchShort, syntax.TsMatch, syntax.TsNoMatch:
			left, isWord := x.X.(*syntax.Word)
			right, isPattern := x.Y.(*syntax.Word)
			if !isWord || !isPattern {
				return x
			}
			rw.match(&left, []**syntax.Word{&right})
			x.X, x.Y = left, right
		case syntax.TsEql, syntax.TsNeq, syntax.TsLeq, syntax.TsGeq, syntax.TsLss, syntax.TsGtr:
			x.X, x.Y = rw.operand(x.X), rw.operand(x.Y)
		case syntax.TsReMatch:
			x.X = rw.test(x.X)
			if w, ok := x.Y.(*syntax.Word); ok {
				x.Y = rw.regexp(w)
			}
		default:
			x.X, x.Y = rw.test(x.X), rw.test(x.Y)
		}
	}
	return x
}

// regexp rewrites a regular expression in which something is quoted, which then stands for
// itself.
func (rw *reworder) regexp(w *syntax.Word) *syntax.Word {
	rw.nested(w)
	if !rw.wordNeeds(w, patternOf) && !holdsNode(w, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.SglQuoted, *syntax.DblQuoted:
			return true
		case *syntax.Lit:
			return strings.Contains(n.Value, `\`)
		}
		return false
	}) {
		return w
	}
	return rw.shown(w.Pos(), true, &plannedExpansion{kind: regexpOf, word: w})
}

// match rewrites a word and the patterns that it is compared with. Where characters are
// bytes, and the interpreter might take several for one, each byte is a character of its
// own on both sides.
func (rw *reworder) match(w **syntax.Word, patterns []**syntax.Word) {
	apart := rw.bytes && slices.ContainsFunc(patterns, func(p **syntax.Word) bool {
		return holdsNode(*p, func(n syntax.Node) bool {
			lit, ok := n.(*syntax.Lit)
			return !ok && n != *p || ok && strings.ContainsAny(lit.Value, "?[")
		})
	})
	if !apart {
		*w = rw.literal(*w, literalWord)
		for _, p := range patterns {
			*p = rw.literal(*p, patternOf)
		}
		return
	}
	rw.nested(*w)
	*w = rw.shown((*w).Pos(), true, &plannedExpansion{kind: literalWord, word: *w, apart: true})
	for _, p := range patterns {
		rw.nested(*p)
		*p = rw.shown((*p).Pos(), false, &plannedExpansion{kind: patternOf, word: *p, apart: true})
	}
}

func holdsNode(node syntax.Node, is func(syntax.Node) bool) (found bool) {
	tree.Walk(node, func(n syntax.Node) bool {
		found = found || n != nil && is(n)
		return !found
	})
	return found
}

// operand rewrites an operand that is an expression, unless it surely is a plain number or
// the value of a variable.
func (rw *reworder) operand(x syntax.TestExpr) syntax.TestExpr {
	w, ok := x.(*syntax.Word)
	if !ok || len(w.Parts) == 0 {
		return x
	}
	plain := len(w.Parts) == 1
	if plain {
		parts := w.Parts
		if q, ok := parts[0].(*syntax.DblQuoted); ok && len(q.Parts) == 1 {
			parts = q.Parts
		}
		switch part := parts[0].(type) {
		case *syntax.Lit:
			plain = isDecimal(strings.TrimPrefix(part.Value, "-"))
		case *syntax.ParamExp, *syntax.ArithmExp, *syntax.CmdSubst:
		default:
			plain = false
		}
	}
	if plain {
		return rw.literal(w, literalWord)
	}
	rw.nested(w)
	return rw.shown(w.Pos(), true, &plannedExpansion{kind: numberWord, word: w})
}

func isDecimal(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) < 19 && (s[0] != '0' || len(s) == 1)
}

// fields rewrites a word of a command.
func (rw *reworder) fields(w *syntax.Word) *syntax.Word {
	if w == nil {
		return nil
	}
	rw.nested(w)
	if !rw.wordNeeds(w, fieldsOf) {
		return w
	}
	pos := w.Pos()
	sub := rw.hidden(pos, &plannedExpansion{kind: fieldsOf, word: w})
	all := expansion(pos, hiddenValue)
	all.Short, all.Index = false, literal(pos, "@")
	return &syntax.Word{Parts: []syntax.WordPart{sub, &syntax.DblQuoted{Left: pos, Right: pos, Parts: []syntax.WordPart{all}}}}
}

// literal rewrites a word that is one string, or a pattern.
func (rw *reworder) literal(w *syntax.Word, kind expansionKind) *syntax.Word {
	if w == nil {
		return nil
	}
	rw.nested(w)
	if !rw.wordNeeds(w, kind) {
		if kind != patternOf {
			rw.unescape(w)
		}
		return w
	}
	return rw.shown(w.Pos(), kind != patternOf, &plannedExpansion{kind: kind, word: w})
}

// unescape gives what a backslash quotes in a word quotes of its own: in a word that is one
// string the interpreter takes a backslash for itself.
func (rw *reworder) unescape(w *syntax.Word) {
	var parts []syntax.WordPart
	for i, part := range w.Parts {
		lit, ok := part.(*syntax.Lit)
		if !ok || !strings.Contains(lit.Value, `\`) {
			if parts != nil {
				parts = append(parts, part)
			}
			continue
		}
		if parts == nil {
			parts = slices.Clone(w.Parts[:i])
		}
		rest := lit.Value
		for {
			at := strings.IndexByte(rest, '\\')
			if at < 0 || at == len(rest)-1 {
				break
			}
			if at > 0 {
				parts = append(parts, &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: rest[:at]})
			}
			_, size := utf8.DecodeRuneInString(rest[at+1:])
			one := rest[at+1 : at+1+size]
			if one == "'" {
				parts = append(parts, &syntax.DblQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Parts: []syntax.WordPart{&syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: one}}})
			} else {
				parts = append(parts, &syntax.SglQuoted{Left: lit.ValuePos, Right: lit.ValueEnd, Value: one})
			}
			rest = rest[at+1+size:]
		}
		if rest != "" {
			parts = append(parts, &syntax.Lit{ValuePos: lit.ValuePos, ValueEnd: lit.ValueEnd, Value: rest})
		}
	}
	if parts != nil {
		w.Parts = parts
		rw.script.changed = true
	}
}

// shown returns a word that does an expansion and is its value.
func (rw *reworder) shown(pos syntax.Pos, quoted bool, e *plannedExpansion) *syntax.Word {
	sub := rw.hidden(pos, e)
	value := expansion(pos, hiddenValue)
	value.Short = false
	if !quoted {
		return &syntax.Word{Parts: []syntax.WordPart{sub, value}}
	}
	return &syntax.Word{Parts: []syntax.WordPart{sub, &syntax.DblQuoted{Left: pos, Right: pos, Parts: []syntax.WordPart{value}}}}
}

// hidden returns the substitution that does an expansion.
func (rw *reworder) hidden(pos syntax.Pos, e *plannedExpansion) *syntax.CmdSubst {
	e.line = pos.Line()
	rw.script.expansions = append(rw.script.expansions, e)
	m := indexed(pos, markExpand, rw.script, len(rw.script.expansions)-1)
	m.Cmd.(*syntax.CallExpr).Args = append(m.Cmd.(*syntax.CallExpr).Args, quoted(pos, hiddenValue))
	return &syntax.CmdSubst{Left: pos, Right: pos, Stmts: []*syntax.Stmt{m}}
}

// document rewrites the parts of a here-document.
func (rw *reworder) document(w *syntax.Word) {
	rw.nested(w)
	var parts []syntax.WordPart
	for _, part := range w.Parts {
		if rw.partNeeds(part, true) {
			one := &syntax.Word{Parts: []syntax.WordPart{part}}
			part = rw.hidden(part.Pos(), &plannedExpansion{kind: documentOf, word: one})
			value := expansion(part.Pos(), hiddenValue)
			value.Short = false
			parts = append(parts, part, value)
			continue
		}
		parts = append(parts, part)
	}
	w.Parts = parts
}

// nested rewrites what runs in substitutions of a node.
func (rw *reworder) nested(node syntax.Node) {
	tree.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst:
			rw.stmts(n.Stmts)
			return false
		case *syntax.ProcSubst:
			rw.stmts(n.Stmts)
			return false
		}
		return true
	})
}
