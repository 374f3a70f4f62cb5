package pipeline

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A layout prints commands as bash does where it prints functions: with its line
// breaks and its indentation. Words stand as they are written.
type layout struct {
	out    strings.Builder
	source []byte // that the offsets of the tree are in; nil: words are printed from the tree

	indentation int
	amount      int  // of one step
	skip        int  // how many commands follow on the line
	inside      int  // functions around
	wasHeredoc  bool // a here-document ended the line
	heredocs    []*syntax.Redirect
}

// functionText returns the definition of a function as bash prints it, without a
// newline at its end.
func functionText(name string, body *syntax.Stmt, source []byte) string {
	l := &layout{source: source, amount: 4}
	l.out.WriteString(name + " () \n")
	l.body(body, "{ \n")
	return l.out.String()
}

// exportedFunction returns the value that the variable of a function has in the
// environment.
func exportedFunction(body *syntax.Stmt, source []byte) string {
	l := &layout{source: source, indentation: 1}
	l.out.WriteString("() ")
	l.body(body, "{ ")
	return l.out.String()
}

// body prints the body of a function, in braces.
func (l *layout) body(body *syntax.Stmt, open string) {
	outer := l.indentation
	l.inside++
	l.out.WriteString(open)
	l.indentation += l.amount
	var redirs []*syntax.Redirect
	if b, is := body.Cmd.(*syntax.Block); is && !body.Negated {
		l.list(b.Stmts)
		redirs = body.Redirs
	} else {
		l.stmt(body)
	}
	l.documents("")
	l.inside--
	l.indentation = outer
	if l.amount == 0 {
		l.indentation = 0
	}
	l.newline("}")
	if len(redirs) > 0 {
		l.out.WriteString(" ")
		l.redirects(redirs)
		if l.inside > 0 {
			l.out.WriteString("\n")
		}
	}
	l.indentation = outer
}

func (l *layout) indent() {
	for range l.indentation {
		l.out.WriteByte(' ')
	}
}

func (l *layout) newline(s string) {
	l.out.WriteByte('\n')
	l.indent()
	l.out.WriteString(s)
}

func (l *layout) semicolon() {
	if s := l.out.String(); strings.HasSuffix(s, "&") || strings.HasSuffix(s, "\n") {
		return
	}
	l.out.WriteByte(';')
}

// documents prints the here-documents that are due, behind s.
func (l *layout) documents(s string) {
	if s != "" && s != ";" {
		l.out.WriteString(s)
	}
	if len(l.heredocs) == 0 {
		return
	}
	l.out.WriteByte('\n')
	for _, r := range l.heredocs {
		body := ""
		if r.Hdoc != nil {
			body = l.word(r.Hdoc)
		}
		if r.Op == syntax.DashHdoc {
			lines := strings.SplitAfter(body, "\n")
			for i := range lines {
				lines[i] = strings.TrimLeft(lines[i], "\t")
			}
			body = strings.Join(lines, "")
		}
		end := unquotedDelimiter(r.Word)
		if cut, is := strings.CutSuffix(body, end); is && (cut == "" || strings.HasSuffix(cut, "\n")) {
			body = cut // the tree has it in the body
		}
		l.out.WriteString(body + end + "\n")
	}
	if s != "" && s != ";" {
		l.out.WriteByte(' ')
	}
	l.heredocs, l.wasHeredoc = nil, true
}

func unquotedDelimiter(w *syntax.Word) string {
	var b strings.Builder
	for _, part := range w.Parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescaped(p.Value))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			b.WriteString(unquotedDelimiter(&syntax.Word{Parts: p.Parts}))
		}
	}
	return b.String()
}

// list prints statements that follow each other.
func (l *layout) list(stmts []*syntax.Stmt) {
	for i, s := range stmts {
		l.stmt(s)
		last := i == len(stmts)-1
		switch {
		case s.Background:
			l.documents(" &")
			if !last {
				l.out.WriteByte(' ')
				l.skip++
			}
		case last:
		default:
			switch {
			case len(l.heredocs) > 0 && l.inside > 0:
				l.documents("")
			case len(l.heredocs) > 0:
				l.documents(";")
			case l.wasHeredoc:
				l.wasHeredoc = false
			default:
				l.out.WriteByte(';')
			}
			if l.inside > 0 {
				l.out.WriteByte('\n')
			} else {
				l.out.WriteByte(' ')
				l.skip++
			}
		}
	}
}

func (l *layout) stmt(s *syntax.Stmt) {
	if l.skip > 0 {
		l.skip--
	} else {
		l.indent()
	}
	if t, is := s.Cmd.(*syntax.TimeClause); is {
		l.out.WriteString("time ")
		if t.PosixFormat {
			l.out.WriteString("-p ")
		}
		if t.Stmt != nil {
			l.skip++
			l.stmt(t.Stmt)
		}
		return
	}
	if s.Negated {
		l.out.WriteString("! ")
	}
	if s.Cmd != nil {
		l.command(s.Cmd)
	}
	if len(s.Redirs) > 0 {
		if s.Cmd != nil {
			l.out.WriteByte(' ')
		}
		l.redirects(s.Redirs)
	}
}

// action prints a list one step further in.
func (l *layout) action(stmts []*syntax.Stmt) {
	l.indentation += l.amount
	l.list(stmts)
	l.documents("")
	l.indentation -= l.amount
}

func (l *layout) condition(stmts []*syntax.Stmt) {
	l.skip++
	l.list(stmts)
	l.documents("")
	l.semicolon()
}

func (l *layout) loop(stmts []*syntax.Stmt) {
	l.newline("do\n")
	l.action(stmts)
	l.semicolon()
	l.newline("done")
}

func (l *layout) command(cmd syntax.Command) {
	switch c := cmd.(type) {
	case *syntax.CallExpr:
		var words []string
		for _, as := range c.Assigns {
			words = append(words, l.text(as))
		}
		for _, w := range c.Args {
			words = append(words, l.word(w))
		}
		l.out.WriteString(strings.Join(words, " "))
	case *syntax.DeclClause:
		words := []string{c.Variant.Value}
		for _, as := range c.Args {
			words = append(words, l.text(as))
		}
		l.out.WriteString(strings.Join(words, " "))
	case *syntax.LetClause:
		words := []string{"let"}
		for _, e := range c.Exprs {
			words = append(words, l.text(e))
		}
		l.out.WriteString(strings.Join(words, " "))
	case *syntax.Block:
		l.out.WriteString("{ ")
		if l.inside > 0 {
			l.out.WriteByte('\n')
			l.action(c.Stmts)
			l.newline("")
		} else {
			l.skip++
			l.list(c.Stmts)
			l.documents("")
			l.semicolon()
			l.out.WriteByte(' ')
		}
		l.out.WriteByte('}')
	case *syntax.Subshell:
		l.out.WriteString("( ")
		l.skip++
		l.list(c.Stmts)
		l.documents("")
		l.out.WriteString(" )")
	case *syntax.BinaryCmd:
		l.skip++
		l.stmt(c.X)
		switch c.Op {
		case syntax.AndStmt:
			l.documents(" && ")
		case syntax.OrStmt:
			l.documents(" || ")
		case syntax.PipeAll:
			l.out.WriteString(" 2>&1")
			l.documents(" |")
			l.out.WriteByte(' ')
		default:
			l.documents(" |")
			l.out.WriteByte(' ')
		}
		l.skip++
		l.stmt(c.Y)
		l.documents("")
	case *syntax.IfClause:
		l.conditional(c)
	case *syntax.WhileClause:
		if c.Until {
			l.out.WriteString("until ")
		} else {
			l.out.WriteString("while ")
		}
		l.condition(c.Cond)
		l.out.WriteString(" do\n")
		l.action(c.Do)
		l.semicolon()
		l.newline("done")
	case *syntax.ForClause:
		l.forLoop(c)
	case *syntax.CaseClause:
		l.out.WriteString("case " + l.word(c.Word) + " in ")
		l.indentation += l.amount
		for _, item := range c.Items {
			var patterns []string
			for _, w := range item.Patterns {
				patterns = append(patterns, l.word(w))
			}
			l.newline(strings.Join(patterns, " | ") + ")\n")
			l.action(item.Stmts)
			op := item.Op.String()
			if item.Op == syntax.CaseOperator(0) {
				op = ";;"
			}
			l.newline(op)
		}
		l.indentation -= l.amount
		l.newline("esac")
	case *syntax.FuncDecl:
		name := ""
		if c.Name != nil {
			name = c.Name.Value
		}
		l.out.WriteString("function " + name + " () \n")
		l.indent()
		l.body(c.Body, "{ \n")
	case *syntax.ArithmCmd:
		l.out.WriteString(l.between(c.Left, 2, c.Right, c))
	case *syntax.TestClause:
		l.out.WriteString("[[ ")
		l.test(c.X)
		l.out.WriteString(" ]]")
	case *syntax.CoprocClause:
		name := "COPROC"
		if c.Name != nil {
			name = l.word(c.Name)
		}
		l.out.WriteString("coproc " + name + " ")
		l.skip++
		l.stmt(c.Stmt)
	default:
		_ = syntax.NewPrinter().Print(&l.out, cmd)
	}
}

func (l *layout) conditional(c *syntax.IfClause) {
	l.out.WriteString("if ")
	l.condition(c.Cond)
	l.out.WriteString(" then\n")
	l.action(c.Then)
	if e := c.Else; e != nil {
		l.semicolon()
		l.newline("else\n")
		l.indentation += l.amount
		if len(e.Cond) > 0 {
			l.indent()
			l.conditional(e)
		} else {
			l.list(e.Then)
		}
		l.documents("")
		l.indentation -= l.amount
	}
	l.semicolon()
	l.newline("fi")
}

func (l *layout) forLoop(c *syntax.ForClause) {
	switch loop := c.Loop.(type) {
	case *syntax.WordIter:
		word := "for "
		if c.Select {
			word = "select "
		}
		l.out.WriteString(word + loop.Name.Value + " in ")
		if !loop.InPos.IsValid() {
			l.out.WriteString(`"$@"`)
		}
		var items []string
		for _, w := range loop.Items {
			items = append(items, l.word(w))
		}
		l.out.WriteString(strings.Join(items, " ") + ";")
		l.loop(c.Do)
	case *syntax.CStyleLoop:
		part := func(e syntax.ArithmExpr) string {
			if e == nil {
				return "1"
			}
			return l.text(e)
		}
		l.out.WriteString("for ((" + part(loop.Init) + "; " + part(loop.Cond) + "; " + part(loop.Post) + "))")
		l.loop(c.Do)
	}
}

func (l *layout) test(e syntax.TestExpr) {
	switch e := e.(type) {
	case *syntax.Word:
		l.out.WriteString(l.word(e))
	case *syntax.ParenTest:
		l.out.WriteString("( ")
		l.test(e.X)
		l.out.WriteString(" )")
	case *syntax.UnaryTest:
		l.out.WriteString(e.Op.String() + " ")
		l.test(e.X)
	case *syntax.BinaryTest:
		l.test(e.X)
		op := e.Op.String()
		if e.Op == syntax.TsMatch {
			op = l.operator(e)
		}
		l.out.WriteString(" " + op + " ")
		l.test(e.Y)
	}
}

// operator returns whether == or = is written in a test.
func (l *layout) operator(e *syntax.BinaryTest) string {
	if at := e.OpPos.Offset(); l.source != nil && int(at)+1 < len(l.source) && l.source[at] == '=' && l.source[at+1] != '=' {
		return "="
	}
	return "=="
}

// redirects prints redirections. The bodies of here-documents become due.
func (l *layout) redirects(list []*syntax.Redirect) {
	for i, r := range list {
		if i > 0 {
			l.out.WriteByte(' ')
		}
		n := ""
		if r.N != nil {
			n = r.N.Value
		}
		word := ""
		if r.Word != nil {
			word = l.word(r.Word)
		}
		switch r.Op {
		case syntax.Hdoc, syntax.DashHdoc:
			l.heredocs = append(l.heredocs, r)
			if d := unquotedDelimiter(r.Word); d != word {
				word = "'" + d + "'"
			}
			l.out.WriteString(n + r.Op.String() + word)
		case syntax.DplOut, syntax.DplIn:
			_, number := isNumber(strings.TrimSuffix(word, "-"))
			if n == "" && (number || word == "-") {
				n = "1"
				if r.Op == syntax.DplIn {
					n = "0"
				}
			}
			op := r.Op.String()
			if word == "-" {
				op = ">&"
			}
			l.out.WriteString(n + op + word)
		default:
			if r.Op == syntax.RdrInOut && n == "" {
				n = "0"
			}
			if n == "1" && r.Op != syntax.RdrIn || n == "0" && r.Op == syntax.RdrIn {
				n = ""
			}
			l.out.WriteString(n + r.Op.String() + " " + word)
		}
	}
}

func isNumber(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

// word returns a word as it is written, with the lists in substitutions as bash
// prints them.
func (l *layout) word(w *syntax.Word) string { return l.text(w) }

// text returns a part of the source.
func (l *layout) text(n syntax.Node) string {
	from, to := n.Pos(), n.End()
	if l.source != nil && from.IsValid() && to.IsValid() && from.Offset() <= to.Offset() && int(to.Offset()) <= len(l.source) {
		return l.substituted(n, string(l.source[from.Offset():to.Offset()]), from.Offset())
	}
	var b strings.Builder
	if e, is := n.(syntax.ArithmExpr); is {
		if _, word := n.(*syntax.Word); !word {
			_ = syntax.NewPrinter().Print(&b, &syntax.LetClause{Let: n.Pos(), Exprs: []syntax.ArithmExpr{e}})
			return strings.TrimPrefix(b.String(), "let ")
		}
	}
	if as, is := n.(*syntax.Assign); is {
		n = &syntax.CallExpr{Assigns: []*syntax.Assign{as}}
		if as.Naked || as.Name == nil {
			_ = syntax.NewPrinter().Print(&b, &syntax.DeclClause{Variant: &syntax.Lit{Value: "declare"}, Args: []*syntax.Assign{as}})
			return strings.TrimPrefix(b.String(), "declare ")
		}
	}
	_ = syntax.NewPrinter().Print(&b, n)
	return b.String()
}

// substituted returns a part of the source that begins at an offset, with the lists in
// its $( ) as bash prints them.
func (l *layout) substituted(n syntax.Node, text string, offset uint) string {
	if !strings.Contains(text, "$(") {
		return text
	}
	var b strings.Builder
	done := offset
	tree.Walk(n, func(n syntax.Node) bool {
		cs, is := n.(*syntax.CmdSubst)
		if !is {
			return true
		}
		if cs.Backquotes || len(cs.Stmts) == 0 || !cs.Right.IsValid() || cs.Left.Offset() < done {
			return false
		}
		inner := &layout{source: l.source, amount: 4, skip: 1}
		inner.list(cs.Stmts)
		inner.documents("")
		b.WriteString(text[done-offset : cs.Left.Offset()-offset])
		printed := inner.out.String()
		if strings.HasPrefix(printed, "(") {
			printed = " " + printed
		}
		b.WriteString("$(" + printed + ")")
		done = cs.Right.Offset() + 1
		return false
	})
	b.WriteString(text[done-offset:])
	return b.String()
}

// between returns the text of an arithmetic command with its parentheses.
func (l *layout) between(left syntax.Pos, width uint, right syntax.Pos, n syntax.Node) string {
	if l.source != nil && right.IsValid() && int(right.Offset()+width) <= len(l.source) {
		return string(l.source[left.Offset() : right.Offset()+width])
	}
	var b strings.Builder
	_ = syntax.NewPrinter().Print(&b, n)
	return b.String()
}
