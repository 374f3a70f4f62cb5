package parser_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

func FuzzParse(f *testing.F) {
	for _, src := range scripts(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := string(src)
		p, err := parser.Parse("fuzz", src)
		if string(src) != kept {
			t.Fatal("the source was changed")
		}
		if err != nil {
			if p != nil {
				t.Error("a program and an error")
			}
			checkErrors(t, src, err)
			return
		}
		last := -1
		listed := make(map[*syntax.Stmt]bool)
		for _, pl := range p.Pipelines {
			offset := int(pl.Stmt.Pos().Offset())
			if offset < last {
				t.Errorf("%v is out of order", pl)
			}
			last = offset
			if listed[pl.Stmt] {
				t.Errorf("%v is listed twice", pl)
			}
			listed[pl.Stmt] = true
			checkPipeline(t, p, pl)
		}
		checkComplete(t, p, listed)
		for _, h := range p.Hosts() {
			if h == "" {
				t.Error("an empty host")
			}
		}
	})
}

// checkErrors holds for whatever Parse refuses.
func checkErrors(t *testing.T, src []byte, err error) {
	list, ok := err.(parser.ErrorList)
	if !ok || len(list) == 0 {
		t.Fatalf("%T, want a list of errors", err)
	}
	for i, e := range list {
		lines := strings.Split(string(src), "\n")
		if e.Line < 1 || e.Line > len(lines) || e.SourceLine != lines[e.Line-1] {
			t.Fatalf("%+v is not in a line of the source", *e)
		}
		if e.Column < 1 || e.Column > len(e.SourceLine)+1 {
			t.Errorf("%+v is not in its line", *e)
		}
		if i > 0 && (e.Line < list[i-1].Line || e.Line == list[i-1].Line && e.Column < list[i-1].Column) {
			t.Errorf("%+v is out of order", *e)
		}
		if strings.Contains(e.Message, "the parser failed") {
			t.Errorf("the parser panicked: %v", e)
		}
		if bad, ok := errors.AsType[*parser.AddressError](e); ok && (bad.Offset < 0 || bad.Offset > len(bad.Word)) {
			t.Errorf("%+v is not in its word", *bad)
		}
	}
	text := err.Error()
	if !utf8.ValidString(text) {
		t.Errorf("the text is not UTF-8: %q", text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) && r != '\n' && r != '\t' {
			t.Errorf("a control character is shown: %q", text)
			break
		}
	}
}

// checkPipeline holds for every pipeline of a program.
func checkPipeline(t *testing.T, p *parser.Program, pl *parser.Pipeline) {
	lines := strings.Split(string(p.Source), "\n")
	if len(pl.Stages) == 0 {
		t.Fatal("a pipeline without stages")
	}
	for i, s := range pl.Stages {
		if s.Number != i+1 {
			t.Errorf("stage %d of %v has number %d", i+1, pl, s.Number)
		}
		if s.Line() < 1 || s.Line() > len(lines) || s.Column() < 1 || s.Column() > len(lines[s.Line()-1])+1 {
			t.Errorf("stage %v is at %d:%d", s, s.Line(), s.Column())
		}
		if int(s.Pos.Offset()) > len(p.Source) || !strings.HasPrefix(string(p.Source[s.Pos.Offset():]), s.Text) {
			t.Errorf("stage %v does not begin with %q", s, s.Text)
		}
		if (len(pl.Stages) == 1) != (s.Stmt == pl.Stmt) {
			t.Errorf("stage %v has the wrong statement", s)
		}
		zero := s.Address == parser.Address{}
		switch s.Kind {
		case parser.Local, parser.Dynamic:
			if !zero {
				t.Errorf("%v stage %v has an address", s.Kind, s)
			}
		case parser.Remote:
			if s.Address.IsService() {
				t.Errorf("remote stage %v is a service", s)
			}
		case parser.Service:
			if !s.Address.IsService() {
				t.Errorf("service %v is none", s)
			}
		}
		if !zero {
			checkAddress(t, s.Address)
		}
		for _, r := range s.String() {
			if !unicode.IsPrint(r) {
				t.Errorf("a control character is shown: %q", s.String())
				break
			}
		}
	}
	next := 0
	for _, c := range pl.Chains {
		if c.First < next || c.Last <= c.First || c.Last >= len(pl.Stages) {
			t.Fatalf("chain %v of %v", c, pl)
		}
		for _, s := range pl.Stages[c.First : c.Last+1] {
			if s.Kind != parser.Remote && s.Kind != parser.Dynamic {
				t.Errorf("%v stage %v is in a chain", s.Kind, s)
			}
		}
		for _, s := range pl.Stages[c.First+1 : c.Last] {
			if len(s.Stmt.Redirs) > 0 {
				t.Errorf("stage %v between others of a chain is redirected", s)
			}
		}
		next = c.Last + 1
	}
}

// checkComplete finds simple commands and pipes that are in no pipeline.
func checkComplete(t *testing.T, p *parser.Program, listed map[*syntax.Stmt]bool) {
	stages := 0
	for _, pl := range p.Pipelines {
		for _, s := range pl.Stages {
			if s.Call != nil {
				stages++
			}
		}
	}
	calls := 0
	syntax.Walk(p.File, func(node syntax.Node) bool {
		if _, ok := node.(*syntax.CallExpr); ok {
			calls++
		}
		return true
	})
	if calls != stages {
		t.Errorf("%d of %d simple commands are stages", stages, calls)
	}
}

// checkAddress holds for every address that ParseAddress gives.
func checkAddress(t *testing.T, a parser.Address) {
	again, err := parser.ParseAddress(a.String())
	if err != nil || again != a {
		t.Errorf("%+v is written %q, which reads as %+v, %v", a, a, again, err)
	}
	if a.Port < 0 || a.Port > 65535 || (a.Host == "") == (a.Socket == "") {
		t.Errorf("%+v cannot be", a)
	}
}

func FuzzParseAddress(f *testing.F) {
	seeds := 0
	for _, src := range scripts(f) {
		for _, word := range strings.Fields(string(src)) {
			if strings.HasPrefix(word, "@") {
				f.Add(word)
				seeds++
			}
		}
	}
	if seeds == 0 {
		f.Fatal("no addresses in the golden files")
	}
	f.Fuzz(func(t *testing.T, word string) {
		a, err := parser.ParseAddress(word)
		if err == nil {
			checkAddress(t, a)
			checkUnquoted(t, word, a)
		} else {
			bad, ok := errors.AsType[*parser.AddressError](err)
			if !ok || bad.Word != word || bad.Offset < 0 || bad.Offset > len(word) || bad.Problem == "" {
				t.Errorf("ParseAddress(%q) fails with %#v", word, err)
			}
			if text := err.Error(); !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("the text is not printable: %q", text)
			}
		}
		if inside, ok := strings.CutPrefix(word, "@["); ok {
			inside, _, _ = strings.Cut(inside, "]")
			if !strings.Contains(inside, "%") {
				checkIPv6(t, inside)
			}
		}
	})
}

// checkUnquoted holds for a word that is an address: a script says the same
// with it, unless the shell reads it in another way.
func checkUnquoted(t *testing.T, word string, a parser.Address) {
	quoted, err := syntax.Quote(word, syntax.LangBash)
	if err != nil || a.Socket != "" {
		return // the path of a socket may hold anything
	}
	for _, script := range []string{word, quoted, "'" + word + "'"} {
		p, err := parser.Parse("x", []byte(script))
		if err != nil || len(p.Pipelines) != 1 || p.Pipelines[0].Stages[0].Address != a {
			t.Errorf("the script %q has not the address %+v: %v", script, a, err)
		}
	}
}
