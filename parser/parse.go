package parser

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
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
func Parse(name string, src []byte) (*Program, error) { return ParseBelow(name, src, 0) }

// ParseBelow is Parse for a part of a script that stands below so many lines of it:
// errors, Position and the stages count them. The positions in the tree do not.
func ParseBelow(name string, src []byte, lines int) (*Program, error) {
	text := newSource(name, src, lines)
	if len(src) > maxSource {
		return nil, ErrorList{text.errorAt(0, fmt.Sprintf("the script is too long: %d bytes, of at most %d", len(src), maxSource), nil)}
	}
	file, failed := parseFile(text, src)
	for range maxRepairs {
		if failed == nil {
			break
		}
		better := false
		for _, next := range repaired(src, text.lines[failed.Line-1-lines]+failed.Column-1) {
			t := newSource(name, next, lines)
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
	if p.plan(file); p.tooDeep != nil {
		return nil, ErrorList{p.tooDeep}
	}
	unsupported, guarded := refuse(text, file)
	p.errors = append(p.errors, unsupported...)
	if len(p.errors) > 0 {
		slices.SortStableFunc(p.errors, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, p.errors
	}
	return &Program{Name: name, Source: src, Above: lines, Refused: guarded, File: file, Pipelines: p.pipelines, source: text}, nil
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

// finish takes off the disguise of bytes everywhere in a tree. It refuses one that is
// too deep, as planner does for those without a disguise.
func finish(text *source, file *syntax.File, d *disguise) (failed *Error) {
	if d == nil {
		return nil
	}
	depth := 0
	tree.Walk(file, func(node syntax.Node) bool {
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
			failed = tooDeep(text, node)
		}
		if failed != nil {
			return false
		}
		depth++
		return true
	})
	return failed
}

// tooDeep refuses a tree that is too deep to be walked by whoever works with it, at the
// node where that is seen.
func tooDeep(text *source, node syntax.Node) *Error {
	return text.errorAt(int(node.Pos().Offset()), fmt.Sprintf("this is nested too deeply, or a list of more than %d commands", maxDepth/2), nil)
}

// syntaxError gives an error of the syntax package the form of ours. The offset
// is how much of the text was read.
func syntaxError(text *source, err error, offset int) *Error {
	if parse, ok := errors.AsType[syntax.ParseError](err); ok {
		at := int(parse.Pos.Offset())
		if u := syntaxOf(text, at); u != nil {
			return text.errorAt(at, u.Error(), u)
		}
		return text.errorAt(at, parse.Text, nil)
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
