package words

import (
	"errors"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/pipeline/arith"
)

// Arithmetic returns the value of an expression. Nil is 0.
func (s *Shell) Arithmetic(x syntax.ArithmExpr) (int64, error) {
	if x == nil {
		return 0, nil
	}
	expr, err := s.expression(x)
	if err != nil {
		return 0, err
	}
	return s.Evaluate(expr)
}

// Evaluate returns the value of an expression that is expanded.
func (s *Shell) Evaluate(expr string) (int64, error) {
	n, err := arith.Eval(expr, numbers{s})
	if bad := (*arith.Error)(nil); errors.As(err, &bad) {
		return 0, wrong(Line, "", "%s", bad.Error())
	}
	return n, err
}

// expression returns an expression as text, with its expansions done.
func (s *Shell) expression(x syntax.ArithmExpr) (string, error) {
	p := &printer{shell: s}
	err := p.print(x)
	return p.String(), err
}

// key returns the key that a subscript is.
func (s *Shell) key(index syntax.ArithmExpr) (string, error) {
	if w, ok := index.(*syntax.Word); ok {
		return s.Literal(w)
	}
	return s.expression(index)
}

// A printer writes an expression as it was written, with its blanks.
type printer struct {
	strings.Builder
	shell *Shell
	end   uint // offset behind what was written; 0 is unknown
}

// upTo writes the blanks in front of a position.
func (p *printer) upTo(pos syntax.Pos) {
	if p.end > 0 && pos.IsValid() && pos.Offset() > p.end && pos.Offset()-p.end < 64 {
		p.WriteString(strings.Repeat(" ", int(pos.Offset()-p.end)))
	}
}

func (p *printer) op(pos syntax.Pos, op string) {
	p.upTo(pos)
	p.WriteString(op)
	p.end = 0
	if pos.IsValid() {
		p.end = pos.Offset() + uint(len(op))
	}
}

func (p *printer) print(x syntax.ArithmExpr) error {
	switch x := x.(type) {
	case *syntax.Word:
		p.upTo(x.Pos())
		err := p.word(x)
		p.end = x.End().Offset()
		return err
	case *syntax.ParenArithm:
		p.op(x.Lparen, "(")
		if err := p.print(x.X); err != nil {
			return err
		}
		p.op(x.Rparen, ")")
		return nil
	case *syntax.UnaryArithm:
		if x.Post {
			err := p.print(x.X)
			p.op(x.OpPos, x.Op.String())
			return err
		}
		p.op(x.OpPos, x.Op.String())
		return p.print(x.X)
	case *syntax.BinaryArithm:
		if err := p.print(x.X); err != nil {
			return err
		}
		p.op(x.OpPos, x.Op.String())
		return p.print(x.Y)
	}
	return wrong(Line, "", "syntax error in expression")
}

// word writes an operand: text that is expanded, or an element of an array, whose
// subscript is expanded.
func (p *printer) word(w *syntax.Word) error {
	for _, part := range w.Parts {
		if pe, ok := part.(*syntax.ParamExp); ok && pe.Short && pe.Index != nil && !pe.Dollar.IsValid() {
			sub := &printer{shell: p.shell}
			if p.shell.isAssociative(pe.Param.Value) {
				key, err := p.shell.key(pe.Index)
				if err != nil {
					return err
				}
				sub.WriteString(key)
			} else if err := sub.print(pe.Index); err != nil {
				return err
			}
			p.WriteString(pe.Param.Value + "[" + sub.String() + "]")
			continue
		}
		if q, ok := part.(*syntax.SglQuoted); ok && !q.Dollar {
			p.WriteString(q.Value)
			continue
		}
		b := &builder{shell: p.shell, ifs: p.shell.ifs()}
		if err := b.part(part, true); err != nil {
			return err
		}
		p.WriteString(b.cur.text())
	}
	return nil
}

// numbers are the variables of a shell as arithmetic sees them.
type numbers struct{ shell *Shell }

func (n numbers) Associative(name string) bool { return n.shell.isAssociative(name) }

func (s *Shell) isAssociative(name string) bool {
	_, vr := s.get(name)
	return vr.Kind == expand.Associative
}

func (n numbers) Load(r arith.Ref) (string, error) {
	name, vr := n.shell.get(r.Name)
	if r.Index < 0 {
		if r.Index += int64(lastIndex(vr)) + 1; r.Index < 0 {
			n.shell.Warn(wrong(Word, name, "bad array subscript"))
			return "", nil
		}
	}
	if !r.Element {
		r.Key = "0"
	}
	str, set := element(vr, int(r.Index), r.Key)
	if !set && n.shell.NoUnset {
		what := r.Name
		if r.Element {
			what += "[" + strconv.FormatInt(r.Index, 10) + "]"
		}
		return "", &Error{Subject: what, What: "unbound variable", Reach: Whole, Unset: true}
	}
	return str, nil
}

func (n numbers) Store(r arith.Ref, value string) error {
	if !r.Element {
		return n.shell.assign(r.Name, nil, nil, value, false)
	}
	return n.shell.assign(r.Name, nil, &r, value, false)
}
