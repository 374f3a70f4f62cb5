package pipeline

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// wordNeeds reports whether a word must be expanded by us.
func (rw *reworder) wordNeeds(w *syntax.Word, kind expansionKind) bool {
	for i, part := range w.Parts {
		if lit, ok := part.(*syntax.Lit); ok && litNeeds(lit.Value, i, kind) {
			return true
		}
		if rw.partNeeds(part, false) {
			return true
		}
		if kind == fieldsOf && rw.split {
			switch part.(type) {
			case *syntax.ParamExp, *syntax.CmdSubst, *syntax.ArithmExp:
				return true
			}
		}
	}
	return false
}

// litNeeds reports whether literal text holds a tilde or an empty alternative of braces
// that the interpreter does not know.
func litNeeds(s string, i int, kind expansionKind) bool {
	if kind == fieldsOf && strings.Contains(s, "{") && (strings.Contains(s, ",,") || strings.Contains(s, "{,") || strings.Contains(s, ",}")) {
		return true
	}
	if !strings.Contains(s, "~") {
		return false
	}
	if i == 0 && (strings.HasPrefix(s, "~+") || strings.HasPrefix(s, "~-")) {
		return true
	}
	switch kind {
	case valueOf:
		return strings.Contains(s, ":~")
	case fieldsOf:
		return strings.Contains(s, "=~") || strings.Contains(s, "=") && strings.Contains(s, ":~")
	}
	return false
}

func (rw *reworder) partNeeds(part syntax.WordPart, quoted bool) bool {
	switch part := part.(type) {
	case *syntax.DblQuoted:
		for _, inner := range part.Parts {
			if rw.partNeeds(inner, true) {
				return true
			}
			if pe, ok := inner.(*syntax.ParamExp); ok && len(part.Parts) > 1 && isList(pe) {
				return true
			}
		}
	case *syntax.ParamExp:
		return rw.paramNeeds(part, quoted)
	case *syntax.ArithmExp:
		return rw.numberNeeds(part.X)
	}
	return false
}

// isList reports whether a parameter is "$@" or all of an array.
func isList(pe *syntax.ParamExp) bool {
	if pe.Param == nil || pe.Length {
		return false
	}
	at := indexLit(pe.Index)
	return pe.Param.Value == "@" || pe.Param.Value == "*" || at == "@" || at == "*"
}

func indexLit(x syntax.ArithmExpr) string {
	if w, ok := x.(*syntax.Word); ok {
		return w.Lit()
	}
	return ""
}

func (rw *reworder) paramNeeds(pe *syntax.ParamExp, quoted bool) bool {
	if pe.Param == nil {
		return false
	}
	name := pe.Param.Value
	if len(name) > 1 && name[0] >= '0' && name[0] <= '9' {
		return true
	}
	if pe.Index != nil && (rw.any || rw.arrays[name]) {
		if at := indexLit(pe.Index); at == "@" || at == "*" || pe.Excl || pe.Length {
			return true
		}
		if w, ok := pe.Index.(*syntax.Word); !ok || rw.wordNeeds(w, literalWord) {
			return true
		}
	} else if pe.Index != nil && (rw.numberNeeds(pe.Index) || isNegative(pe.Index)) {
		return true
	}
	if pe.Excl {
		return pe.Names == 0
	}
	if pe.Length {
		at := indexLit(pe.Index)
		return rw.bytes && at != "@" && at != "*" && name != "@" && name != "*" && name != "#" && name != "?"
	}
	switch {
	case pe.Repl != nil:
		return true
	case pe.Slice != nil:
		return rw.bytes || rw.numberNeeds(pe.Slice.Offset) || rw.numberNeeds(pe.Slice.Length)
	case pe.Exp == nil:
		return false
	case pe.Exp.Op == syntax.OtherParamOps || isList(pe):
		return true
	}
	if pe.Exp.Word == nil {
		return false
	}
	for _, part := range pe.Exp.Word.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			if strings.Contains(part.Value, `\`) || strings.Contains(part.Value, "~") || strings.Contains(part.Value, "(") ||
				rw.bytes && strings.ContainsAny(part.Value, "?[") {
				return true
			}
		case *syntax.ParamExp:
			if part.Exp != nil || part.Repl != nil || isList(part) || rw.paramNeeds(part, quoted) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// numberNeeds reports whether an expression must be evaluated by us: it changes elements
// of arrays, divides by what is no constant, or holds what is neither a plain number nor
// the name of a variable.
func (rw *reworder) numberNeeds(x syntax.ArithmExpr) bool {
	switch x := x.(type) {
	case *syntax.Word:
		return rw.operandNeeds(x)
	case *syntax.ParenArithm:
		return rw.numberNeeds(x.X)
	case *syntax.UnaryArithm:
		if (x.Op == syntax.Inc || x.Op == syntax.Dec) && !syntax.ValidName(indexLit(x.X)) {
			return true
		}
		return rw.numberNeeds(x.X) || rw.fixed[indexLit(x.X)]
	case *syntax.BinaryArithm:
		switch x.Op {
		case syntax.Quo, syntax.Rem, syntax.QuoAssgn, syntax.RemAssgn:
			if d := indexLit(x.Y); !isDecimal(d) || d == "0" {
				return true
			}
		case syntax.Pow, syntax.Shl, syntax.Shr, syntax.ShlAssgn, syntax.ShrAssgn:
			return true
		}
		if name := indexLit(x.X); isAssignment(x.Op) && !isMark(name) && (!syntax.ValidName(name) || rw.fixed[name]) {
			return true
		}
		return rw.numberNeeds(x.X) || rw.numberNeeds(x.Y)
	case nil:
		return false
	}
	return true
}

// isNegative reports whether a subscript may count from the end of an array, and miss it.
func isNegative(x syntax.ArithmExpr) bool {
	u, ok := x.(*syntax.UnaryArithm)
	return ok && u.Op == syntax.Minus
}

func isAssignment(op syntax.BinAritOperator) bool {
	switch op {
	case syntax.Assgn, syntax.AddAssgn, syntax.SubAssgn, syntax.MulAssgn, syntax.QuoAssgn, syntax.RemAssgn,
		syntax.AndAssgn, syntax.OrAssgn, syntax.XorAssgn, syntax.ShlAssgn, syntax.ShrAssgn:
		return true
	}
	return false
}

// operandNeeds is numberNeeds for an operand.
func (rw *reworder) operandNeeds(w *syntax.Word) bool {
	if len(w.Parts) != 1 {
		return true
	}
	switch part := w.Parts[0].(type) {
	case *syntax.Lit:
		if syntax.ValidName(part.Value) {
			return rw.formulas[part.Value] || !rw.assigned[part.Value]
		}
		return !isDecimal(part.Value) && !isMark(part.Value) && part.Value != "@" && part.Value != "*"
	case *syntax.ParamExp:
		return rw.paramNeeds(part, true)
	case *syntax.ArithmExp:
		return rw.numberNeeds(part.X)
	case *syntax.CmdSubst:
		return false
	}
	return true
}

// assignNeeds reports whether an assignment must be done by us.
func (rw *reworder) assignNeeds(as *syntax.Assign) bool {
	name := as.Name.Value
	associative := rw.any || rw.arrays[name]
	if as.Append && as.Index != nil || associative && (as.Array != nil || as.Append) {
		return true
	}
	if as.Index != nil {
		w, isWord := as.Index.(*syntax.Word)
		if associative && (!isWord || rw.wordNeeds(w, literalWord)) || !associative && (rw.numberNeeds(as.Index) || isNegative(as.Index)) {
			return true
		}
	}
	if as.Value != nil && rw.wordNeeds(as.Value, valueOf) {
		return true
	}
	if as.Array == nil {
		return false
	}
	for _, e := range as.Array.Elems {
		switch {
		case e.Index == nil && rw.wordNeeds(e.Value, fieldsOf):
			return true
		case e.Index != nil && (rw.numberNeeds(e.Index) || e.Value != nil && rw.wordNeeds(e.Value, valueOf)):
			return true
		}
	}
	return false
}
