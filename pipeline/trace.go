package pipeline

import (
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A tracer prints what "set -x" shows. The interpreter's own is never on.
type tracer struct {
	mu sync.Mutex
	on atomic.Bool                  // it was switched on once, in any shell
	to map[*interp.Runner]io.Writer // stderr of the shell, where the next command has another
}

// expect notes what is stderr around the redirections of the next command.
func (t *tracer) expect(r *interp.Runner, stderr io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.to == nil {
		t.to = make(map[*interp.Runner]io.Writer)
	}
	t.to[r] = stderr
}

// take returns what was noted for r, once, or nil.
func (t *tracer) take(r *interp.Runner) io.Writer {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.to[r]
	delete(t.to, r)
	return w
}

// trace shows a command that is about to run, if the shell of hc traces.
func (x *execution) trace(hc interp.HandlerContext, line func(quoting) string) {
	r := runnerOf(hc)
	stderr := x.tracer.take(r)
	if !x.shellOption(hc, "xtrace") {
		return
	}
	if stderr == nil {
		stderr = veiled(hc)
	}
	c := &builtinCall{x: x, hc: hc}
	_, _ = io.WriteString(stderr, x.tracePrefix(hc, r)+line(c.quoting())+"\n")
}

// tracePrefix returns PS4, expanded, with its first character once more for every
// substitution around.
func (x *execution) tracePrefix(hc interp.HandlerContext, r *interp.Runner) string {
	prefix := "+ "
	if v := hc.Env.Get("PS4"); v.Declared() {
		prefix = v.Str
	}
	if strings.ContainsAny(prefix, "$`\\") {
		number := strconv.Itoa(int(hc.Pos.Line()))
		prefix = strings.NewReplacer("${LINENO}", number, "$LINENO", number).Replace(prefix)
		if w, err := syntax.NewParser().Document(strings.NewReader(prefix)); err == nil {
			substitutes := false
			tree.Walk(w, func(n syntax.Node) bool {
				_, is := n.(*syntax.CmdSubst)
				substitutes = substitutes || is
				return true
			})
			config := *expansionOf(r)
			config.NoUnset = false
			if !substitutes {
				if text, err := expand.Document(&config, w); err == nil {
					prefix = text
				}
			}
		}
	}
	if level, _ := strconv.Atoi(hc.Env.Get(hiddenTrace).Str); level > 0 && prefix != "" {
		prefix = strings.Repeat(prefix[:1], level) + prefix
	}
	return prefix
}

// tracedWords returns words as they are shown.
func tracedWords(words []string) func(quoting) string {
	return func(q quoting) string {
		shown := make([]string, len(words))
		for i, w := range words {
			switch {
			case w == "":
				shown[i] = "''"
			case hasMeta(w):
				shown[i] = singlyQuoted(w)
			default:
				shown[i] = q.reusable(w)
			}
		}
		return strings.Join(shown, " ")
	}
}

// traceMark is trace for a mark: of assignments that have been made, of a command that
// is shown as it is written, or of the beginning of a substitution.
func (x *execution) traceMark(hc interp.HandlerContext, args []string) {
	switch args[0] {
	case traceAssigned:
		for _, name := range args[1:] {
			x.trace(hc, func(q quoting) string {
				v := hc.Env.Get(name)
				if v.Kind == expand.String && hasMeta(v.Str) {
					return name + "=" + singlyQuoted(v.Str)
				}
				return q.assignment(name, v)
			})
		}
	case traceText:
		for i, a := range args {
			if a == "" {
				args[i] = "''"
			}
		}
		x.trace(hc, func(quoting) string { return strings.Join(args[1:], " ") })
	case traceDeeper:
		level, _ := strconv.Atoi(hc.Env.Get(hiddenTrace).Str)
		_ = variablesOf(runnerOf(hc)).Set(hiddenTrace, stringValue(strconv.Itoa(level+1)))
	case traceStderr:
		if x.tracer.on.Load() {
			x.tracer.expect(runnerOf(hc), veiled(hc))
		}
	}
}

// What a markTrace is for.
const (
	traceAssigned = "assigned" // with the names of variables
	traceText     = "text"     // with words that are shown as they are
	traceDeeper   = "deeper"   // the list of a substitution begins
	traceStderr   = "stderr"   // the next command redirects stderr
)

// mayTrace reports whether a text may switch tracing on.
func mayTrace(text string) bool {
	if strings.Contains(text, "xtrace") {
		return true
	}
	for {
		_, after, found := strings.Cut(text, "set -")
		if !found {
			return false
		}
		flags := after
		if end := strings.IndexAny(after, " \t\n;&|)"); end >= 0 {
			flags = after[:end]
		}
		if strings.Contains(flags, "x") {
			return true
		}
		text = after
	}
}

// traced gives a command that the interpreter runs without a call a mark that shows it.
func (l *lifter) traced(s *syntax.Stmt) {
	if !l.uses.traces && !l.main.traces || s.Cmd == nil {
		return
	}
	pos := s.Position
	show := func(words ...string) *syntax.Stmt {
		return quietly(mark(pos, append([]string{markTrace, traceText}, words...)...))
	}
	printed := func(n syntax.Node) string {
		var b strings.Builder
		_ = syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, n)
		return b.String()
	}
	before := func(m *syntax.Stmt) {
		s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: []*syntax.Stmt{m, {Position: pos, Cmd: s.Cmd}}}
		l.script.changed = true
	}
	switch cmd := s.Cmd.(type) {
	case *syntax.CallExpr:
		if len(cmd.Args) > 0 || len(cmd.Assigns) == 0 {
			return
		}
		words := []string{markTrace, traceAssigned}
		for _, as := range cmd.Assigns {
			words = append(words, as.Name.Value)
		}
		s.Cmd = &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: []*syntax.Stmt{{Position: pos, Cmd: cmd}, quietly(mark(pos, words...))}}
		l.script.changed = true
	case *syntax.ForClause:
		if loop, is := cmd.Loop.(*syntax.WordIter); is && !cmd.Select {
			head := "for " + loop.Name.Value + " in"
			for _, w := range loop.Items {
				head += " " + printed(w)
			}
			if !loop.InPos.IsValid() {
				head += ` "$@"`
			}
			cmd.Do = append([]*syntax.Stmt{show(head)}, cmd.Do...)
			l.script.changed = true
		}
	case *syntax.CaseClause:
		before(show("case " + printed(cmd.Word) + " in"))
	case *syntax.ArithmCmd:
		inner := strings.TrimSuffix(strings.TrimPrefix(printed(cmd), "(("), "))")
		before(show("(( " + strings.TrimSpace(inner) + " ))"))
	case *syntax.TestClause:
		m := mark(pos, markTrace, traceText, "[[")
		call := m.Cmd.(*syntax.CallExpr)
		call.Args = append(call.Args, testWords(cmd.X)...)
		call.Args = append(call.Args, quoted(pos, "]]"))
		before(quietly(m))
	}
}

// testWords returns words that expand to what a test compares.
func testWords(e syntax.TestExpr) []*syntax.Word {
	switch e := e.(type) {
	case *syntax.Word:
		return []*syntax.Word{shownWord(e)}
	case *syntax.ParenTest:
		return append(append([]*syntax.Word{quoted(e.Lparen, "(")}, testWords(e.X)...), quoted(e.Lparen, ")"))
	case *syntax.UnaryTest:
		return append([]*syntax.Word{quoted(e.OpPos, e.Op.String())}, testWords(e.X)...)
	case *syntax.BinaryTest:
		return append(append(testWords(e.X), quoted(e.OpPos, e.Op.String())), testWords(e.Y)...)
	}
	return nil
}

// shownWord returns a word that expands to one field without any effect: where w has
// one, it is shown as it is written.
func shownWord(w *syntax.Word) *syntax.Word {
	plain := true
	var parts []syntax.WordPart
	var take func(list []syntax.WordPart)
	take = func(list []syntax.WordPart) {
		for _, part := range list {
			switch p := part.(type) {
			case *syntax.Lit:
				parts = append(parts, &syntax.SglQuoted{Left: p.ValuePos, Right: p.ValueEnd, Value: p.Value})
			case *syntax.SglQuoted:
				parts = append(parts, p)
			case *syntax.DblQuoted:
				if p.Dollar {
					plain = false
					return
				}
				take(p.Parts)
			case *syntax.ParamExp:
				simple := p.Param != nil && p.Exp == nil && p.Index == nil && p.Slice == nil && p.Repl == nil && !p.Excl && !p.Length
				plain = plain && simple
				safe := *p
				if syntax.ValidName(p.Param.Value) {
					// An unset name is shown as nothing, whatever "set -u" says.
					safe.Short, safe.Exp = false, &syntax.Expansion{Op: syntax.DefaultUnset}
				}
				parts = append(parts, &syntax.DblQuoted{Left: p.Pos(), Right: p.Pos(), Parts: []syntax.WordPart{&safe}})
			default:
				plain = false
			}
		}
	}
	take(w.Parts)
	if plain && len(parts) > 0 {
		return &syntax.Word{Parts: parts}
	}
	var b strings.Builder
	_ = syntax.NewPrinter(syntax.SingleLine(true)).Print(&b, w)
	if strings.ContainsAny(b.String(), "\x00\n") {
		return quoted(w.Pos(), "...")
	}
	return quoted(w.Pos(), b.String())
}

// redirectsStderr reports whether a statement has another stderr than its shell.
func redirectsStderr(s *syntax.Stmt) bool {
	for _, r := range s.Redirs {
		if r.Op == syntax.RdrAll || r.Op == syntax.AppAll || r.N != nil && r.N.Value == "2" {
			return true
		}
	}
	return false
}
