package pipeline

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// features are what a text may use that costs something where it is used. Where texts
// are run that are known only then, all may be used.
type features struct {
	special   bool // variables that only a shell sets
	stack     bool // FUNCNAME, BASH_SOURCE, BASH_LINENO, caller
	lastWord  bool // $_
	commands  bool // BASH_COMMAND
	subshells bool // what tells a subshell from its shell
	exports   bool // attributes of functions
	readonly  bool // read-only variables
	unexports bool // exported variables that are so no longer
	caseless  bool // nocasematch
	unsets    bool // unset
	traces    bool // "set -x"

	attributed, integers map[string]bool // names with the attributes -i, -l or -u, and those with -i
}

// featuresOf returns those of a text, with file as its tree. unknown tells that it may
// run other texts.
func featuresOf(text string, file *syntax.File, unknown bool) features {
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	f := features{
		special:   unknown || namesSpecials(text),
		stack:     unknown || has("FUNCNAME", "BASH_SOURCE", "BASH_LINENO", "caller"),
		lastWord:  unknown || namesLastWord(text),
		commands:  unknown || has("BASH_COMMAND"),
		subshells: has("BASH_SUBSHELL", "BASHPID", "SECONDS="),
		exports:   unknown || has("export -f", "-fx", "-xf", "-fr", "-rf", "readonly -f"),
		unexports: has("export -n", "+x"),
		readonly:  has("readonly", "SHELLOPTS=", "BASHOPTS=", "UID=", "PPID=") || has("declare -", "typeset -", "local -") && has("r "),
		caseless:  has("nocasematch"),
		traces:    mayTrace(text),
		unsets:    unknown || has("unset"),
		integers:  make(map[string]bool), attributed: make(map[string]bool),
	}
	if !mayDeclareFlags(text, "declare", "typeset", "local") {
		return f
	}
	tree.Walk(file, func(n syntax.Node) bool {
		d, is := n.(*syntax.DeclClause)
		if !is {
			return true
		}
		flags := ""
		for _, as := range d.Args {
			if as.Name == nil && as.Value != nil {
				if lit := as.Value.Lit(); isFlag(lit) {
					flags += lit
				}
			}
		}
		if d.Variant.Value != "export" && strings.ContainsAny(flags, "ilu") {
			f.subshells, f.special = true, true
			for _, as := range d.Args {
				if as.Name != nil {
					f.attributed[as.Name.Value] = true
				}
			}
		}
		if strings.Contains(flags, "i") {
			for _, as := range d.Args {
				if as.Name != nil {
					f.integers[as.Name.Value] = true
				}
			}
		}
		return true
	})
	return f
}

// mayDeclareFlags reports whether a word other than a name may follow one of the commands
// in a text.
func mayDeclareFlags(text string, commands ...string) bool {
	for _, command := range commands {
		rest, found := text, false
		for {
			if _, rest, found = strings.Cut(rest, command); !found {
				break
			}
			if next := strings.TrimLeft(rest, " \t\\\r\n"); next != "" && !isNameByte(next[0]) {
				return true
			}
		}
	}
	return false
}

// namesLastWord reports whether $_ may stand in a text.
func namesLastWord(text string) bool {
	for {
		i := strings.Index(text, "_")
		if i < 0 {
			return false
		}
		before, after := text[:i], text[i+1:]
		if strings.HasSuffix(before, "$") || strings.HasSuffix(before, "${") {
			if after == "" || after[0] != '_' && !isNameByte(after[0]) {
				return true
			}
		}
		text = after
	}
}

func isNameByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// native reports whether the interpreter's own declaration does what bash does.
func (l *lifter) native(d *syntax.DeclClause) bool {
	if l.uses.unexports || l.main.unexports || len(d.Args) == 0 || refersBack(d) {
		return false
	}
	for _, as := range d.Args {
		if as.Name != nil && (l.uses.attributed[as.Name.Value] || l.main.attributed[as.Name.Value]) {
			return false
		}
	}
	variant := d.Variant.Value
	known := ""
	switch variant {
	case "nameref":
		return true
	case "declare", "typeset", "local":
		known = "arx"
	}
	if !slices.ContainsFunc(d.Args, func(as *syntax.Assign) bool { return as.Name != nil }) {
		return false
	}
	for _, as := range d.Args {
		if as.Name == nil {
			lit := as.Value.Lit()
			if len(lit) < 2 || lit[0] != '-' || strings.Trim(lit[1:], known) != "" || len(lit) > 2 {
				return false
			}
			continue
		}
		if as.Index != nil || as.Append || as.Naked && variant != "export" && variant != "readonly" {
			return false
		}
		if as.Array != nil {
			for _, e := range as.Array.Elems {
				if e.Index != nil {
					return false
				}
			}
		}
	}
	return true
}

// refersBack reports whether a value of a declaration may hold one that is assigned in
// front of it. All are expanded before the first is assigned.
func refersBack(d *syntax.DeclClause) (found bool) {
	assigned := make(map[string]bool)
	for _, as := range d.Args {
		if as.Value != nil && len(assigned) > 0 {
			tree.Walk(as.Value, func(n syntax.Node) bool {
				switch n := n.(type) {
				case *syntax.CmdSubst:
					found = true
				case *syntax.ParamExp:
					found = found || n.Excl || n.Param != nil && assigned[n.Param.Value]
				case *syntax.Lit:
					found = found || assigned[n.Value] // in arithmetic
				}
				return !found
			})
		}
		if as.Name != nil && !as.Naked {
			assigned[as.Name.Value] = true
		}
	}
	return found
}

// declaration makes a declaration that the interpreter does not do as bash does a mark.
// It returns false for all others.
func (l *lifter) declaration(s *syntax.Stmt, decl *syntax.DeclClause) bool {
	if l.native(decl) {
		return false
	}
	l.words(decl)
	l.script.changed = true
	l.script.declarations = append(l.script.declarations, decl)
	m := indexed(s.Position, markDeclare, l.script, len(l.script.declarations)-1)
	s.Cmd, s.Redirs = m.Cmd, append(s.Redirs, m.Redirs...)
	return true
}

// special rewrites what an expansion or an assignment of special variables needs.
func (l *lifter) special(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ParamExp:
		if n.Param != nil && n.Param.Value == "-" {
			n.Param.Value, n.Short = hiddenFlags, false
			l.script.changed = true
		}
	case *syntax.CallExpr:
		for _, as := range n.Assigns {
			if as.Append && as.Value != nil && l.integer(as.Name.Value) {
				pos := as.Value.Pos()
				as.Value.Parts = append([]syntax.WordPart{&syntax.SglQuoted{Left: pos, Right: pos, Value: hiddenAppended}}, as.Value.Parts...)
				l.script.changed = true
			}
		}
	}
}

func (l *lifter) integer(name string) bool { return l.uses.integers[name] || l.main.integers[name] }

// descending returns the statements of a subshell of the interpreter's, which is told
// that it is one.
func (l *lifter) descending(stmts []*syntax.Stmt) []*syntax.Stmt {
	if !l.uses.subshells && !l.main.subshells || len(stmts) == 0 || stmts[0].Cmd == nil {
		return stmts
	}
	l.script.changed = true
	return append([]*syntax.Stmt{quietly(mark(stmts[0].Position, markDescend))}, stmts...)
}

// entered prepares the body of a function that asks where it was called, or keeps
// options.
func (l *lifter) entered(f *syntax.FuncDecl, kept bool) {
	if f.Name == nil {
		return
	}
	pos := f.Body.Position
	body := &syntax.Stmt{Position: pos, Cmd: f.Body.Cmd, Negated: f.Body.Negated, Redirs: nil}
	stmts := []*syntax.Stmt{body}
	if b, is := body.Cmd.(*syntax.Block); is && !body.Negated {
		stmts = b.Stmts
	}
	changed := kept
	if kept {
		function, call := asFunction(stmts)
		stmts = append([]*syntax.Stmt{quietly(mark(pos, markKeep, "begin"))}, function...)
		stmts = append(stmts, call...)
		stmts = append(stmts, quietly(mark(pos, markKeep, "end")))
	}
	if l.uses.stack || l.main.stack {
		stmts = append([]*syntax.Stmt{quietly(mark(pos, markEnter, f.Name.Value))}, stmts...)
		changed = true
	}
	if changed {
		l.script.changed = true
		f.Body.Cmd, f.Body.Negated = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: stmts}, false
	}
}

// keepsOptions reports whether a node is a "local -".
func keepsOptions(n syntax.Node) bool {
	d, is := n.(*syntax.DeclClause)
	if !is || d.Variant.Value != "local" {
		return false
	}
	for _, as := range d.Args {
		if as.Name == nil && as.Value != nil && as.Value.Lit() == "-" {
			return true
		}
	}
	return false
}

// guarded makes an assignment one that ends the shell if a variable is read-only. What
// stands alone on a line of the script is left as it is: bash goes on behind it.
func (l *lifter) guarded(s *syntax.Stmt) {
	if loop, is := s.Cmd.(*syntax.ForClause); is && (l.uses.readonly || l.main.readonly) {
		if words, is := loop.Loop.(*syntax.WordIter); is && !loop.Select {
			s.Cmd = &syntax.BinaryCmd{
				OpPos: s.Position, Op: syntax.AndStmt,
				X: mark(s.Position, markWritable, "", words.Name.Value), Y: &syntax.Stmt{Position: s.Position, Cmd: loop},
			}
			l.script.changed = true
		}
		return
	}
	call, is := s.Cmd.(*syntax.CallExpr)
	if !is || len(call.Args) > 0 || len(call.Assigns) == 0 || !l.uses.readonly && !l.main.readonly || l.alone[s] {
		return
	}
	names := []string{markWritable}
	for _, as := range call.Assigns {
		names = append(names, as.Name.Value)
	}
	l.script.changed = true
	s.Cmd = &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: []*syntax.Stmt{
		quietly(mark(s.Position, names...)), {Position: s.Position, Cmd: call},
	}}
}

// aloneOnLine returns the statements of a list after which a line ends.
func aloneOnLine(stmts []*syntax.Stmt) map[*syntax.Stmt]bool {
	alone := make(map[*syntax.Stmt]bool)
	for i, s := range stmts {
		if i == len(stmts)-1 || stmts[i+1].Pos().Line() > s.End().Line() {
			alone[s] = true
		}
	}
	return alone
}

// scoped makes the call of a function with assignments in front of it one in whose
// scope they are, so that "unset" in the function finds what they hide.
func (l *lifter) scoped(s *syntax.Stmt) {
	call, is := s.Cmd.(*syntax.CallExpr)
	if !is || len(call.Args) == 0 || len(call.Assigns) == 0 || !l.uses.unsets || !l.functions[call.Args[0].Lit()] {
		return
	}
	pos := s.Position
	assigned := make(map[string]bool)
	for _, as := range call.Assigns {
		if as.Append || as.Array != nil || as.Index != nil {
			return
		}
		assigned[as.Name.Value] = true
	}
	depends := holds([]*syntax.Stmt{{Position: pos, Cmd: call}}, func(n syntax.Node) bool {
		p, is := n.(*syntax.ParamExp)
		return is && p.Param != nil && (assigned[p.Param.Value] || p.Param.Value == "?")
	})
	if depends {
		return
	}
	flag := &syntax.Assign{Naked: true, Value: literal(pos, "-x")}
	declared := &syntax.DeclClause{Variant: &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: "local"}, Args: append([]*syntax.Assign{flag}, call.Assigns...)}
	called := &syntax.CallExpr{Args: call.Args}
	function, run := asFunction([]*syntax.Stmt{{Position: pos, Cmd: declared}, {Position: pos, Cmd: called}})
	l.script.changed = true
	s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: append(function, run...)}
}

// statusesInside brings PIPESTATUS up to date behind "!": there it is the status of the
// command itself.
func (l *lifter) statusesInside(s *syntax.Stmt) {
	pos := s.Position
	state := stale
	if isCompound(s.Cmd) {
		state = fresh
	}
	l.script.changed = true
	inner := condition([]*syntax.Stmt{{Position: pos, Cmd: s.Cmd}})
	s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: append(inner, quietly(mark(pos, markStatuses, state)))}
}

// commandNamed reports whether a statement reads BASH_COMMAND in its own words.
func (l *lifter) commandNamed(s *syntax.Stmt) bool {
	if !l.uses.commands {
		return false
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr, *syntax.DeclClause, *syntax.TestClause, *syntax.ArithmCmd, *syntax.LetClause:
		return namesVariable(cmd, "BASH_COMMAND")
	}
	return false
}

// written returns the text of a command, as bash has it in BASH_COMMAND.
func (l *lifter) written(s *syntax.Stmt) string {
	var b strings.Builder
	_ = syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, s.Cmd)
	return b.String()
}

// optionTests makes tests of options that the interpreter does not know ones of
// SHELLOPTS.
func (l *lifter) optionTests(c *syntax.TestClause) {
	tree.Walk(c, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParenTest:
			n.X = l.optionTest(n.X)
		case *syntax.UnaryTest:
			n.X = l.optionTest(n.X)
		case *syntax.BinaryTest:
			n.X, n.Y = l.optionTest(n.X), l.optionTest(n.Y)
		}
		return true
	})
	c.X = l.optionTest(c.X)
}

func (l *lifter) optionTest(e syntax.TestExpr) syntax.TestExpr {
	u, is := e.(*syntax.UnaryTest)
	if !is || u.Op != syntax.TsOptSet {
		return e
	}
	w, is := u.X.(*syntax.Word)
	if !is || w.Lit() == "pipefail" || w.Lit() == "errexit" {
		return e
	}
	l.script.changed = true
	pos := u.OpPos
	lit := func(s string) *syntax.Lit { return &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: s} }
	options := &syntax.ParamExp{Dollar: pos, Rbrace: pos, Param: lit("SHELLOPTS"), Exp: &syntax.Expansion{
		Op: syntax.DefaultUnset, Word: &syntax.Word{Parts: []syntax.WordPart{lit(defaultShellOptions)}},
	}}
	subject := &syntax.DblQuoted{Left: pos, Right: pos, Parts: []syntax.WordPart{lit(":"), options, lit(":")}}
	name := &syntax.DblQuoted{Left: pos, Right: pos, Parts: w.Parts}
	if w.Lit() == "" && len(w.Parts) == 1 {
		if q, is := w.Parts[0].(*syntax.DblQuoted); is {
			name = q
		}
	}
	return &syntax.BinaryTest{
		OpPos: pos, Op: syntax.TsMatch,
		X: &syntax.Word{Parts: []syntax.WordPart{subject}},
		Y: &syntax.Word{Parts: []syntax.WordPart{lit("*:"), name, lit(":*")}},
	}
}
