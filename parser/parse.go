package parser

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

const (
	maxSource = 1 << 30 // positions of the syntax package end at 4 GiB
	maxFrames = 20_000  // of the stack while parsing: some hundreds of nested commands
	maxDepth  = 20_000  // of the tree; a list or pipeline of n commands is 2n deep
)

// Parse reads a script in the Bash language. The name is for messages. On error
// the Program is nil and the error an [ErrorList].
//
// Parse keeps src, which must not change as long as the Program is in use.
func Parse(name string, src []byte) (*Program, error) {
	text := newSource(name, src)
	if len(src) > maxSource {
		return nil, ErrorList{text.errorAt(0, fmt.Sprintf("the script is too long: %d bytes, of at most %d", len(src), maxSource), nil)}
	}
	file, failed := parseFile(text, src)
	for range maxRepairs {
		if failed == nil {
			break
		}
		better := false
		for _, next := range repaired(src, text.lines[failed.Line-1]+failed.Column-1) {
			t := newSource(name, next)
			f, bad := parseFile(t, next)
			if bad == nil || bad.Line > failed.Line || bad.Line == failed.Line && bad.Column > failed.Column+1 {
				text, src, file, failed, better = t, next, f, bad, true
				break
			}
		}
		if !better {
			break
		}
	}
	if failed != nil {
		return nil, ErrorList{failed}
	}
	p := &planner{source: text}
	p.plan(file)
	if len(p.errors) > 0 {
		slices.SortStableFunc(p.errors, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, p.errors
	}
	return &Program{Name: name, Source: src, File: file, Pipelines: p.pipelines, source: text}, nil
}

// parseFile lets the syntax package parse src, which is the text as bytes.
func parseFile(text *source, src []byte) (file *syntax.File, failed *Error) {
	masked, disguised := maskInvalid(src)
	in := &reader{rest: masked}
	defer func() {
		if r := recover(); r != nil {
			// The parser reads ahead, so the place may be a KiB too late.
			file, failed = nil, text.errorAt(len(src)-len(in.rest), fmt.Sprintf("the parser failed on what stands before here: %v", r), nil)
		}
	}()
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(in, text.name)
	if err != nil {
		return nil, syntaxError(text, err, len(src)-len(in.rest))
	}
	return file, finish(text, file, disguised)
}

// finish refuses a tree that is too deep to be walked by whoever works with it,
// and takes off the disguise of bytes everywhere in it.
func finish(text *source, file *syntax.File, d *disguise) (failed *Error) {
	depth := 0
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case nil:
			depth--
			return true
		case *syntax.Lit:
			d.restore(&node.Value)
		case *syntax.SglQuoted:
			d.restore(&node.Value)
		}
		if depth == maxDepth && failed == nil {
			failed = text.errorAt(int(node.Pos().Offset()), fmt.Sprintf("this is nested too deeply, or a list of more than %d commands", maxDepth/2), nil)
		}
		if failed != nil {
			return false
		}
		depth++
		return true
	})
	return failed
}

// syntaxError gives an error of the syntax package the form of ours. The offset
// is how much of the text was read.
func syntaxError(text *source, err error, offset int) *Error {
	if parse, ok := errors.AsType[syntax.ParseError](err); ok {
		return text.errorAt(int(parse.Pos.Offset()), parse.Text, nil)
	}
	if lang, ok := errors.AsType[syntax.LangError](err); ok {
		pos := lang.Pos
		lang.Filename, lang.Pos = "", syntax.Pos{}
		return text.errorAt(int(pos.Offset()), strings.TrimPrefix(lang.Error(), lang.Pos.String()+": "), nil)
	}
	return text.errorAt(offset, err.Error(), nil)
}

// errNested ends the reading of a script that is nested too deeply.
var errNested = errors.New("commands are nested too deeply around here; put the inner ones into functions")

// A reader hands a script to the parser, and no more of it when that has
// recursed too far. The parser calls Read from inside its recursion for each
// KiB, of which a few cannot add more frames than the stack has room for. A look
// from outside would have to know every way to nest.
type reader struct {
	rest  []byte
	reads int
}

func (r *reader) Read(p []byte) (int, error) {
	r.reads++
	if r.reads%4 == 0 { // to count frames takes longer than to parse
		var pc [1]uintptr
		if runtime.Callers(maxFrames, pc[:]) > 0 {
			return 0, errNested
		}
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
