package pipeline

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A content is a set of what a part of a text holds, at any depth.
type content uint16

const (
	hasSubst        content = 1 << iota // $( ), <( ) or >( ), or what else lifter.words rewrites
	hasProcSubst                        // <( ) or >( )
	hasForFunctions                     // what isForFunctions knows
	hasForShell                         // what needsShell knows
	hasTime                             // "time"
	hasLoop                             // "while" or "until"
	hasTrace                            // what may show the commands that run: "set -x", a trap
	holdsJobs                           // commands in the background
	hasLeave                            // "break" or "continue", or what may run one
)

// contents are those of the statements of a tree's copy, as they were written. One that
// is not known here has been made by a rewriting, and may hold everything.
type contents map[*syntax.Stmt]content

// may reports whether a statement may hold something of a kind.
func (l *lifter) may(s *syntax.Stmt, kind content) bool {
	held, known := l.contents[s]
	return !known || held&kind != 0
}

// contentOf returns what a node is, without what is in it.
func contentOf(n syntax.Node) (c content) {
	switch n := n.(type) {
	case *syntax.Stmt:
		if n.Background || n.Disown {
			return holdsJobs
		}
	case *syntax.CmdSubst:
		return hasSubst
	case *syntax.ParamExp:
		if n.Param != nil && n.Param.Value == "-" {
			return hasSubst
		}
	case *syntax.Assign:
		if n.Append {
			return hasSubst
		}
	case *syntax.ProcSubst:
		return hasSubst | hasProcSubst
	case *syntax.TimeClause:
		return hasTime
	case *syntax.WhileClause, *syntax.CStyleLoop:
		return hasLoop
	case *syntax.CallExpr, *syntax.DeclClause:
		if isForFunctions(n) {
			c |= hasForFunctions
		}
		if needsShell(n) {
			c |= hasForShell
		}
		if call, ok := n.(*syntax.CallExpr); ok && tracesCalls(call) {
			c |= hasTrace
		}
		if mayLeaveLoop(n) {
			c |= hasLeave
		}
	}
	return c
}

// tracesCalls reports whether a command may be "set -x" or "trap".
func tracesCalls(call *syntax.CallExpr) bool {
	if len(call.Args) == 0 {
		return false
	}
	switch call.Args[0].Lit() {
	case "trap":
		return true
	case "set":
		return slices.ContainsFunc(call.Args[1:], func(w *syntax.Word) bool {
			lit := w.Lit()
			return lit == "" || strings.Contains(lit, "x")
		})
	}
	return false
}

func isProcSubst(n syntax.Node) bool {
	_, is := n.(*syntax.ProcSubst)
	return is
}

// A contentsPath is the way from the root of a tree to a node, with what was found on
// it so far.
type contentsPath struct {
	nodes []pathNode
	all   content
}

type pathNode struct {
	stmt *syntax.Stmt // nil if the node is none
	held content
}

func (p *contentsPath) enter(n syntax.Node) {
	stmt, _ := n.(*syntax.Stmt)
	p.nodes = append(p.nodes, pathNode{stmt, contentOf(n)})
}

// leave ends the latest node: what it holds, the one around it holds.
func (p *contentsPath) leave(l *lifter) {
	last := len(p.nodes) - 1
	n := p.nodes[last]
	p.nodes = p.nodes[:last]
	if n.stmt != nil {
		l.contents[l.copies[n.stmt]] = n.held
	}
	if last > 0 {
		p.nodes[last-1].held |= n.held
	} else {
		p.all = n.held
	}
}
