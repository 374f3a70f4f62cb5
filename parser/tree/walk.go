package tree

import "mvdan.cc/sh/v3/syntax"

// Walk visits the nodes of a tree as syntax.Walk does, and in its order, but for
// comments, which it leaves out: it calls f for node, which must not be nil, then, if
// that returned true, itself for every child and at last f(nil). What f changes below
// its node is seen. It is faster, since it defers nothing.
func Walk(node syntax.Node, f func(syntax.Node) bool) {
	if !f(node) {
		return
	}
	switch node := node.(type) {
	case *syntax.Lit, *syntax.SglQuoted:
	case *syntax.Word:
		parts(node.Parts, f)
	case *syntax.DblQuoted:
		parts(node.Parts, f)
	case *syntax.ParamExp:
		param(node, f)
	case *syntax.Stmt:
		if node.Cmd != nil {
			Walk(node.Cmd, f)
		}
		for _, r := range node.Redirs {
			Walk(r, f)
		}
	case *syntax.CallExpr:
		for _, as := range node.Assigns {
			Walk(as, f)
		}
		words(node.Args, f)
	case *syntax.Assign:
		assign(node, f)
	case *syntax.Redirect:
		if node.N != nil {
			Walk(node.N, f)
		}
		Walk(node.Word, f)
		if node.Hdoc != nil {
			Walk(node.Hdoc, f)
		}
	default:
		if compound(node, f) {
			break
		}
		first := true
		syntax.Walk(node, func(n syntax.Node) bool {
			if first { // f has had it
				first = false
				return true
			}
			return f(n)
		})
		return // f(nil) was called
	}
	f(nil)
}

// compound visits the children of a command that holds others, and of what is in such
// commands. It returns false for any other node.
func compound(node syntax.Node, f func(syntax.Node) bool) bool {
	switch node := node.(type) {
	case *syntax.File:
		stmts(node.Stmts, f)
	case *syntax.Block:
		stmts(node.Stmts, f)
	case *syntax.Subshell:
		stmts(node.Stmts, f)
	case *syntax.CmdSubst:
		stmts(node.Stmts, f)
	case *syntax.ProcSubst:
		stmts(node.Stmts, f)
	case *syntax.IfClause:
		stmts(node.Cond, f)
		stmts(node.Then, f)
		if node.Else != nil {
			Walk(node.Else, f)
		}
	case *syntax.WhileClause:
		stmts(node.Cond, f)
		stmts(node.Do, f)
	case *syntax.ForClause:
		Walk(node.Loop, f)
		stmts(node.Do, f)
	case *syntax.WordIter:
		Walk(node.Name, f)
		words(node.Items, f)
	case *syntax.CaseClause:
		Walk(node.Word, f)
		for _, item := range node.Items {
			Walk(item, f)
		}
	case *syntax.CaseItem:
		words(node.Patterns, f)
		stmts(node.Stmts, f)
	case *syntax.BinaryCmd:
		Walk(node.X, f)
		Walk(node.Y, f)
	case *syntax.DeclClause:
		for _, as := range node.Args {
			Walk(as, f)
		}
	case *syntax.TestClause:
		Walk(node.X, f)
	case *syntax.BinaryTest:
		Walk(node.X, f)
		Walk(node.Y, f)
	case *syntax.UnaryTest:
		Walk(node.X, f)
	case *syntax.ArithmExp:
		Walk(node.X, f)
	case *syntax.ArithmCmd:
		Walk(node.X, f)
	case *syntax.BinaryArithm:
		Walk(node.X, f)
		Walk(node.Y, f)
	case *syntax.UnaryArithm:
		Walk(node.X, f)
	case *syntax.ParenArithm:
		Walk(node.X, f)
	case *syntax.FuncDecl:
		if node.Name != nil {
			Walk(node.Name, f)
		}
		for _, name := range node.Names {
			Walk(name, f)
		}
		Walk(node.Body, f)
	default:
		return false
	}
	return true
}

func stmts(list []*syntax.Stmt, f func(syntax.Node) bool) {
	for _, s := range list {
		Walk(s, f)
	}
}

func words(list []*syntax.Word, f func(syntax.Node) bool) {
	for _, w := range list {
		Walk(w, f)
	}
}

func parts(list []syntax.WordPart, f func(syntax.Node) bool) {
	for _, p := range list {
		Walk(p, f)
	}
}

func assign(as *syntax.Assign, f func(syntax.Node) bool) {
	if as.Name != nil {
		Walk(as.Name, f)
	}
	if as.Value != nil {
		Walk(as.Value, f)
	}
	if as.Index != nil {
		Walk(as.Index, f)
	}
	if as.Array != nil {
		Walk(as.Array, f)
	}
}

func param(p *syntax.ParamExp, f func(syntax.Node) bool) {
	if p.Flags != nil {
		Walk(p.Flags, f)
	}
	if p.Param != nil {
		Walk(p.Param, f)
	}
	if p.NestedParam != nil {
		Walk(p.NestedParam, f)
	}
	if p.Index != nil {
		Walk(p.Index, f)
	}
	if p.Slice != nil {
		if p.Slice.Offset != nil {
			Walk(p.Slice.Offset, f)
		}
		if p.Slice.Length != nil {
			Walk(p.Slice.Length, f)
		}
	}
	if p.Repl != nil {
		if p.Repl.Orig != nil {
			Walk(p.Repl.Orig, f)
		}
		if p.Repl.With != nil {
			Walk(p.Repl.With, f)
		}
	}
	if p.Exp != nil && p.Exp.Word != nil {
		Walk(p.Exp.Word, f)
	}
}
