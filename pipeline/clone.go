package pipeline

import (
	"fmt"
	"slices"

	"mvdan.cc/sh/v3/syntax"
)

// positionShift is added at least to the offset of every position in a copied tree.
// What the interpreter itself reads while a script runs has small offsets, so no
// command of it can be taken for one of a prepared text; lines and columns stay.
const positionShift = 1 << 31

// maxOffset bounds the offsets of positions.
const maxOffset = 1<<32 - 1<<10

// cloner copies syntax trees of the Bash language. It remembers where every statement
// went. It knows each type of node by name, as a walk by reflection takes longer than to
// parse the text again; it panics for a node that this language does not have.
type cloner struct {
	stmts map[*syntax.Stmt]*syntax.Stmt
	shift uint // of offsets
	lines uint // added to lines
	split bool // a declaration was given other operands
}

// file returns a copy of f that shares nothing with it that can be changed. It has about
// so many statements.
func (c *cloner) file(f *syntax.File, stmts int) *syntax.File {
	c.stmts = make(map[*syntax.Stmt]*syntax.Stmt, stmts)
	return &syntax.File{Name: f.Name, Stmts: c.list(f.Stmts), Last: c.comments(f.Last)}
}

// pos returns the position that p has in a copied tree.
func (c *cloner) pos(p syntax.Pos) syntax.Pos {
	if !p.IsValid() {
		return p
	}
	return syntax.NewPos(p.Offset()+c.shift, p.Line()+c.lines, p.Col())
}

func (c *cloner) comments(from []syntax.Comment) []syntax.Comment {
	to := slices.Clone(from)
	for i := range to {
		to[i].Hash = c.pos(to[i].Hash)
	}
	return to
}

func (c *cloner) list(from []*syntax.Stmt) []*syntax.Stmt {
	if from == nil {
		return nil
	}
	to := make([]*syntax.Stmt, len(from))
	for i, s := range from {
		to[i] = c.stmt(s)
	}
	return to
}

func (c *cloner) stmt(s *syntax.Stmt) *syntax.Stmt {
	if s == nil {
		return nil
	}
	n := *s
	n.Comments = c.comments(s.Comments)
	n.Cmd = c.command(s.Cmd)
	n.Position, n.Semicolon = c.pos(s.Position), c.pos(s.Semicolon)
	if s.Redirs != nil {
		n.Redirs = make([]*syntax.Redirect, len(s.Redirs))
		for i, r := range s.Redirs {
			n.Redirs[i] = &syntax.Redirect{OpPos: c.pos(r.OpPos), Op: r.Op, N: c.lit(r.N), Word: c.word(r.Word), Hdoc: c.word(r.Hdoc)}
		}
	}
	c.stmts[s] = &n
	return &n
}

func (c *cloner) command(cmd syntax.Command) syntax.Command {
	switch cmd := cmd.(type) {
	case nil:
		return nil
	case *syntax.CallExpr:
		return &syntax.CallExpr{Assigns: c.assigns(cmd.Assigns), Args: c.words(cmd.Args)}
	case *syntax.IfClause:
		return c.ifClause(cmd)
	case *syntax.WhileClause:
		return &syntax.WhileClause{
			WhilePos: c.pos(cmd.WhilePos), DoPos: c.pos(cmd.DoPos), DonePos: c.pos(cmd.DonePos), Until: cmd.Until,
			Cond: c.list(cmd.Cond), CondLast: c.comments(cmd.CondLast), Do: c.list(cmd.Do), DoLast: c.comments(cmd.DoLast),
		}
	case *syntax.ForClause:
		return &syntax.ForClause{
			ForPos: c.pos(cmd.ForPos), DoPos: c.pos(cmd.DoPos), DonePos: c.pos(cmd.DonePos),
			Select: cmd.Select, Braces: cmd.Braces, Loop: c.loop(cmd.Loop),
			Do: c.list(cmd.Do), DoLast: c.comments(cmd.DoLast),
		}
	case *syntax.CaseClause:
		return c.caseClause(cmd)
	case *syntax.Block:
		return &syntax.Block{Lbrace: c.pos(cmd.Lbrace), Rbrace: c.pos(cmd.Rbrace), Stmts: c.list(cmd.Stmts), Last: c.comments(cmd.Last)}
	case *syntax.Subshell:
		return &syntax.Subshell{Lparen: c.pos(cmd.Lparen), Rparen: c.pos(cmd.Rparen), Stmts: c.list(cmd.Stmts), Last: c.comments(cmd.Last)}
	case *syntax.BinaryCmd:
		return &syntax.BinaryCmd{OpPos: c.pos(cmd.OpPos), Op: cmd.Op, X: c.stmt(cmd.X), Y: c.stmt(cmd.Y)}
	case *syntax.FuncDecl:
		n := *cmd
		n.Position, n.Name, n.Body = c.pos(cmd.Position), c.lit(cmd.Name), c.stmt(cmd.Body)
		n.Names = slices.Clone(cmd.Names)
		for i, name := range n.Names {
			n.Names[i] = c.lit(name)
		}
		return &n
	case *syntax.ArithmCmd:
		return &syntax.ArithmCmd{Left: c.pos(cmd.Left), Right: c.pos(cmd.Right), Unsigned: cmd.Unsigned, X: c.arithm(cmd.X)}
	case *syntax.TestClause:
		return &syntax.TestClause{Left: c.pos(cmd.Left), Right: c.pos(cmd.Right), X: c.test(cmd.X)}
	case *syntax.DeclClause:
		return &syntax.DeclClause{Variant: c.lit(cmd.Variant), Args: c.declared(cmd.Args)}
	case *syntax.LetClause:
		n := &syntax.LetClause{Let: c.pos(cmd.Let), Exprs: slices.Clone(cmd.Exprs)}
		for i, x := range n.Exprs {
			n.Exprs[i] = c.arithm(x)
		}
		return n
	case *syntax.TimeClause:
		return &syntax.TimeClause{Time: c.pos(cmd.Time), PosixFormat: cmd.PosixFormat, Stmt: c.stmt(cmd.Stmt)}
	case *syntax.CoprocClause:
		return &syntax.CoprocClause{Coproc: c.pos(cmd.Coproc), Name: c.word(cmd.Name), Stmt: c.stmt(cmd.Stmt)}
	}
	panic(fmt.Sprintf("pipeline: no bash command is a %T", cmd))
}

func (c *cloner) ifClause(cmd *syntax.IfClause) *syntax.IfClause {
	if cmd == nil {
		return nil
	}
	return &syntax.IfClause{
		Position: c.pos(cmd.Position), ThenPos: c.pos(cmd.ThenPos), FiPos: c.pos(cmd.FiPos),
		Cond: c.list(cmd.Cond), CondLast: c.comments(cmd.CondLast),
		Then: c.list(cmd.Then), ThenLast: c.comments(cmd.ThenLast),
		Else: c.ifClause(cmd.Else), Last: c.comments(cmd.Last),
	}
}

func (c *cloner) loop(loop syntax.Loop) syntax.Loop {
	switch loop := loop.(type) {
	case *syntax.WordIter:
		return &syntax.WordIter{Name: c.lit(loop.Name), InPos: c.pos(loop.InPos), Items: c.words(loop.Items)}
	case *syntax.CStyleLoop:
		return &syntax.CStyleLoop{
			Lparen: c.pos(loop.Lparen), Rparen: c.pos(loop.Rparen),
			Init: c.arithm(loop.Init), Cond: c.arithm(loop.Cond), Post: c.arithm(loop.Post),
		}
	}
	panic(fmt.Sprintf("pipeline: no bash loop is a %T", loop))
}

func (c *cloner) caseClause(cmd *syntax.CaseClause) *syntax.CaseClause {
	n := &syntax.CaseClause{
		Case: c.pos(cmd.Case), In: c.pos(cmd.In), Esac: c.pos(cmd.Esac), Braces: cmd.Braces,
		Word: c.word(cmd.Word), Items: slices.Clone(cmd.Items), Last: c.comments(cmd.Last),
	}
	for i, item := range n.Items {
		n.Items[i] = &syntax.CaseItem{
			Op: item.Op, OpPos: c.pos(item.OpPos), Comments: c.comments(item.Comments),
			Patterns: c.words(item.Patterns), Stmts: c.list(item.Stmts), Last: c.comments(item.Last),
		}
	}
	return n
}

func (c *cloner) test(x syntax.TestExpr) syntax.TestExpr {
	switch x := x.(type) {
	case nil:
		return nil
	case *syntax.Word:
		return c.word(x)
	case *syntax.BinaryTest:
		return &syntax.BinaryTest{OpPos: c.pos(x.OpPos), Op: x.Op, X: c.test(x.X), Y: c.test(x.Y)}
	case *syntax.UnaryTest:
		return &syntax.UnaryTest{OpPos: c.pos(x.OpPos), Op: x.Op, X: c.test(x.X)}
	case *syntax.ParenTest:
		return &syntax.ParenTest{Lparen: c.pos(x.Lparen), Rparen: c.pos(x.Rparen), X: c.test(x.X)}
	}
	panic(fmt.Sprintf("pipeline: no bash test is a %T", x))
}
