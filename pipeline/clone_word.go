package pipeline

import (
	"fmt"
	"slices"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

func (c *cloner) lit(l *syntax.Lit) *syntax.Lit {
	if l == nil {
		return nil
	}
	return &syntax.Lit{ValuePos: c.pos(l.ValuePos), ValueEnd: c.pos(l.ValueEnd), Value: l.Value}
}

func (c *cloner) words(from []*syntax.Word) []*syntax.Word {
	if from == nil {
		return nil
	}
	to := make([]*syntax.Word, len(from))
	for i, w := range from {
		to[i] = c.word(w)
	}
	return to
}

func (c *cloner) word(w *syntax.Word) *syntax.Word {
	if w == nil {
		return nil
	}
	if len(w.Parts) == 1 {
		if l, ok := w.Parts[0].(*syntax.Lit); ok { // as most are: one allocation instead of three
			n := &struct {
				word  syntax.Word
				parts [1]syntax.WordPart
				lit   syntax.Lit
			}{lit: syntax.Lit{ValuePos: c.pos(l.ValuePos), ValueEnd: c.pos(l.ValueEnd), Value: l.Value}}
			n.parts[0] = &n.lit
			n.word.Parts = n.parts[:]
			return &n.word
		}
	}
	return &syntax.Word{Parts: c.parts(w.Parts)}
}

func (c *cloner) parts(from []syntax.WordPart) []syntax.WordPart {
	if from == nil {
		return nil
	}
	to := make([]syntax.WordPart, len(from))
	for i, p := range from {
		to[i] = c.part(p)
	}
	return to
}

func (c *cloner) part(part syntax.WordPart) syntax.WordPart {
	switch part := part.(type) {
	case nil:
		return nil
	case *syntax.Lit:
		return c.lit(part)
	case *syntax.SglQuoted:
		n := *part
		n.Left, n.Right = c.pos(part.Left), c.pos(part.Right)
		return &n
	case *syntax.DblQuoted:
		return &syntax.DblQuoted{Left: c.pos(part.Left), Right: c.pos(part.Right), Dollar: part.Dollar, Parts: c.parts(part.Parts)}
	case *syntax.ParamExp:
		return c.param(part)
	case *syntax.CmdSubst:
		n := *part
		n.Left, n.Right = c.pos(part.Left), c.pos(part.Right)
		n.Stmts, n.Last = c.list(part.Stmts), c.comments(part.Last)
		return &n
	case *syntax.ArithmExp:
		n := *part
		n.Left, n.Right, n.X = c.pos(part.Left), c.pos(part.Right), c.arithm(part.X)
		return &n
	case *syntax.ProcSubst:
		n := *part
		n.OpPos, n.Rparen = c.pos(part.OpPos), c.pos(part.Rparen)
		n.Stmts, n.Last = c.list(part.Stmts), c.comments(part.Last)
		return &n
	case *syntax.ExtGlob:
		return &syntax.ExtGlob{OpPos: c.pos(part.OpPos), Op: part.Op, Pattern: c.lit(part.Pattern)}
	case *syntax.BraceExp:
		return &syntax.BraceExp{Sequence: part.Sequence, Elems: c.words(part.Elems)}
	}
	panic(fmt.Sprintf("pipeline: no part of a bash word is a %T", part))
}

func (c *cloner) param(from *syntax.ParamExp) *syntax.ParamExp {
	n := *from
	n.Dollar, n.Rbrace = c.pos(from.Dollar), c.pos(from.Rbrace)
	n.Flags, n.Param, n.NestedParam = c.lit(from.Flags), c.lit(from.Param), c.part(from.NestedParam)
	n.Index, n.Modifiers = c.arithm(from.Index), slices.Clone(from.Modifiers)
	for i, m := range n.Modifiers {
		n.Modifiers[i] = c.lit(m)
	}
	if s := from.Slice; s != nil {
		n.Slice = &syntax.Slice{Offset: c.arithm(s.Offset), Length: c.arithm(s.Length)}
	}
	if r := from.Repl; r != nil {
		n.Repl = &syntax.Replace{All: r.All, Orig: c.word(r.Orig), With: c.word(r.With)}
	}
	if e := from.Exp; e != nil {
		n.Exp = &syntax.Expansion{Op: e.Op, Word: c.word(e.Word)}
	}
	return &n
}

func (c *cloner) arithm(x syntax.ArithmExpr) syntax.ArithmExpr {
	switch x := x.(type) {
	case nil:
		return nil
	case *syntax.Word:
		return c.word(x)
	case *syntax.BinaryArithm:
		return &syntax.BinaryArithm{OpPos: c.pos(x.OpPos), Op: x.Op, X: c.arithm(x.X), Y: c.arithm(x.Y)}
	case *syntax.UnaryArithm:
		return &syntax.UnaryArithm{OpPos: c.pos(x.OpPos), Op: x.Op, Post: x.Post, X: c.arithm(x.X)}
	case *syntax.ParenArithm:
		return &syntax.ParenArithm{Lparen: c.pos(x.Lparen), Rparen: c.pos(x.Rparen), X: c.arithm(x.X)}
	}
	panic(fmt.Sprintf("pipeline: no bash arithmetic is a %T", x))
}

// declared copies the operands of a declaration. The expansion of braces makes several of
// one, as of the words of a command; not where a substitution would be there twice.
func (c *cloner) declared(from []*syntax.Assign) []*syntax.Assign {
	if !slices.ContainsFunc(from, hasAlternatives) {
		return c.assigns(from)
	}
	var to []*syntax.Assign
	for _, a := range from {
		if !hasAlternatives(a) {
			to = append(to, c.assigns([]*syntax.Assign{a})...)
			continue
		}
		split := *a.Value
		syntax.SplitBraces(&split)
		for value, err := range expand.BracesSeq(nil, &split) {
			if err != nil { // too many
				return c.assigns(from)
			}
			one := *a
			one.Value = value
			to = append(to, c.assigns([]*syntax.Assign{&one})...)
		}
	}
	c.split = true
	return to
}

// hasAlternatives reports whether an operand of a declaration becomes several by the
// expansion of braces.
func hasAlternatives(a *syntax.Assign) bool {
	return a.Name != nil && a.Value != nil && hasBraces(a.Value) && !holdsNode(a.Value, isSubstitution)
}

func (c *cloner) assigns(from []*syntax.Assign) []*syntax.Assign {
	if from == nil {
		return nil
	}
	to := make([]*syntax.Assign, len(from))
	for i, a := range from {
		to[i] = &syntax.Assign{
			Append: a.Append, Naked: a.Naked,
			Name: c.lit(a.Name), Index: c.arithm(a.Index), Value: c.word(a.Value), Array: c.array(a.Array),
		}
	}
	return to
}

func (c *cloner) array(a *syntax.ArrayExpr) *syntax.ArrayExpr {
	if a == nil {
		return nil
	}
	n := &syntax.ArrayExpr{
		Lparen: c.pos(a.Lparen), Rparen: c.pos(a.Rparen),
		Elems: slices.Clone(a.Elems), Last: c.comments(a.Last),
	}
	for i, e := range n.Elems {
		n.Elems[i] = &syntax.ArrayElem{Index: c.arithm(e.Index), Value: c.word(e.Value), Comments: c.comments(e.Comments)}
	}
	return n
}
