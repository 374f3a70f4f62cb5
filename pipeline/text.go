package pipeline

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
	"rpipe/parser/tree"
)

const (
	maxSourced = 16 << 20 // bytes of a text that is prepared
	maxTexts   = 256      // texts that are kept though they do not run, of those that may be dropped
)

// texts are the texts that a program runs, prepared. plan.mu is held for all but
// secret, which does not change.
type texts struct {
	secret string // begins the names of marks in what is printed
	byText map[string]*text
	sorted []*script // by number, and so by offset
	latest int       // number
	end    uint      // of the offsets that are taken
}

// A text is one that a program runs. The interpreter reads it: so it is printed when
// it was rewritten, with marks for what this package runs itself.
type text struct {
	written, printed string
	script           *script // nil if it was not rewritten
	refused          error   // not nil: nothing of it is run, as it cannot be run as bash would
	users            int
}

func newTexts() texts {
	return texts{
		secret: "_" + rand.Text(), // as the names of variables begin
		byText: make(map[string]*text),
	}
}

// search returns the index of the script of a number.
func (t *texts) search(id int) (int, bool) {
	return slices.BinarySearchFunc(t.sorted, id, func(s *script, id int) int { return s.id - id })
}

// find returns the index of a script; nil is none.
func (t *texts) find(sc *script) (int, bool) {
	if sc == nil {
		return 0, false
	}
	return t.search(sc.id)
}

// unmasked returns a word with the name of a mark in the form that it has in trees.
func (p *plan) unmasked(word string) string {
	if rest, is := strings.CutPrefix(word, p.texts.secret); is {
		return "\x00" + rest
	}
	return word
}

// unmaskedPath is unmasked for the word of a redirection, in which there may be several.
func (p *plan) unmaskedPath(path string) string {
	return strings.ReplaceAll(path, p.texts.secret, "\x00")
}

// mayNeedMarks is false for texts that surely are left as they are.
func (p *plan) mayNeedMarks(text string) bool {
	if p.main.uses.traces || p.errs || p.debugs || p.descriptors && strings.ContainsAny(text, "<>&") {
		return true
	}
	for _, s := range []string{"|", "while", "until", "time", "let", "PIPESTATUS", "-f", "return", "local", "trap",
		"declare", "typeset", "export", "readonly", "unset", "()", "$-", "${-", "+=", "FUNCNAME", "BASH_", "function", "SECONDS", "nocasematch", "[[", "/dev/", "${", "{", "~", "IFS", "]=", "&&", "break", "continue", "\\", "set", "alias", "((", "!", "=("} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return mayNeedJobs(text)
}

// prepare returns a text as it has to be run, and keeps it until it is released. What
// cannot be prepared (bad syntax, for one) is left as it is, and the interpreter
// reports it.
func (p *plan) prepare(written string) *text {
	if !p.mayNeedMarks(written) {
		return &text{written: written, printed: written}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.texts.byText[written]
	if t == nil {
		t = &text{written: written, printed: written}
		p.texts.byText[written] = t
		p.rewrite(t)
	}
	t.users++
	return t
}

// release says that a run of a text is over.
func (p *plan) release(t *text) {
	if t == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t.users--
	if t.users > 0 || len(p.texts.byText) <= maxTexts || t.script != nil && t.script.lasting || p.texts.byText[t.written] != t {
		return
	}
	delete(p.texts.byText, t.written)
	if i, found := p.texts.find(t.script); found {
		p.texts.sorted = slices.Delete(p.texts.sorted, i, i+1)
	}
}

// rewrite prepares a text if that is necessary and possible.
func (p *plan) rewrite(t *text) {
	shift := max(p.texts.end, p.main.end)
	if strings.IndexByte(t.written, 0) >= 0 || len(t.written) > maxSourced || shift+uint(len(t.written)) >= maxOffset {
		return
	}
	prog, err := parser.Parse("", []byte(t.written))
	if err != nil {
		if _, unsupported := errors.AsType[*parser.UnsupportedError](err); unsupported {
			t.refused = err
		}
		return
	}
	sc := p.newScript(p.texts.latest+1, prog, p.main.file.Name, shift)
	if !sc.changed && bytes.Equal(prog.Source, []byte(t.written)) {
		return
	}
	printed, ok := print(sc.file)
	if !ok {
		return
	}
	p.texts.latest++
	p.texts.end = sc.end
	p.texts.sorted = append(p.texts.sorted, sc)
	t.script, t.printed = sc, strings.ReplaceAll(printed, "\x00", p.texts.secret)
}

// print returns the text of a tree, with each of its statements on its line. It returns
// false if the text, read again, is not the same tree.
func print(file *syntax.File) (string, bool) {
	var b strings.Builder
	line, column := uint(1), uint(1)
	tree.Walk(file, func(n syntax.Node) bool {
		if s, ok := n.(*syntax.Stmt); ok {
			s.Semicolon = syntax.Pos{} // it may be lines behind what stands there now
		}
		return true
	})
	printer := syntax.NewPrinter()
	for i, s := range file.Stmts {
		at := s.Pos()
		switch {
		case line < at.Line():
			b.WriteString(strings.Repeat("\n", int(at.Line()-line)))
			line, column = at.Line(), 1
		case i == 0 || column == 1:
		case file.Stmts[i-1].Background:
			b.WriteString(" ")
			column++
		default:
			b.WriteString("; ")
			column += 2
		}
		if column < at.Col() {
			b.WriteString(strings.Repeat(" ", int(at.Col()-column)))
			column = at.Col()
		}
		var one strings.Builder
		if err := printer.Print(&one, s); err != nil {
			return "", false
		}
		if holds([]*syntax.Stmt{s}, isHereDocument) {
			one.WriteByte('\n') // it may end with a delimiter
		}
		b.WriteString(one.String())
		if n := strings.Count(one.String(), "\n"); n > 0 {
			line, column = line+uint(n), 1
		}
		column += uint(len(one.String()) - strings.LastIndexByte(one.String(), '\n') - 1)
	}
	again, err := syntax.NewParser().Parse(strings.NewReader(strings.ReplaceAll(b.String(), "\x00", "_")), "")
	if err != nil {
		return "", false
	}
	var before, after strings.Builder
	flat := syntax.NewPrinter(syntax.SingleLine(true))
	if flat.Print(&before, file) != nil || flat.Print(&after, again) != nil {
		return "", false
	}
	return b.String(), strings.ReplaceAll(before.String(), "\x00", "_") == after.String()
}

func isHereDocument(n syntax.Node) bool {
	r, ok := n.(*syntax.Redirect)
	return ok && (r.Op == syntax.Hdoc || r.Op == syntax.DashHdoc)
}
