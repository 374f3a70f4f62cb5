package pipeline

import (
	"slices"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A place says who looks at the status of a statement, as far as the text tells.
type place struct {
	// tested tells that the status comes to a condition, or to the left side of
	// && or ||, with nothing on the way that hides it: the script decides what
	// the failure means.
	tested bool

	// negated tells that "!" makes success of it on the way.
	negated bool
}

// hidesRefusal reports whether "!" would make success of a host that could not be
// reached or that refused an identity, without anybody looking.
func (p place) hidesRefusal(status int) bool {
	return p.negated && !p.tested && (status == statusUnreachable || status == statusIdentity || status == statusLost)
}

// A surveyor finds places in a tree that was not rewritten.
type surveyor struct {
	parents map[syntax.Node]syntax.Node
	bodies  map[string]bool           // names of functions
	calls   map[string][]*syntax.Stmt // statements that call a literal name
	open    bool                      // functions are called from elsewhere too
}

func newSurveyor(file *syntax.File) *surveyor {
	sv := &surveyor{
		parents: make(map[syntax.Node]syntax.Node),
		bodies:  make(map[string]bool),
		calls:   make(map[string][]*syntax.Stmt),
	}
	var path []syntax.Node
	tree.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		if len(path) > 0 {
			sv.parents[n] = path[len(path)-1]
		}
		path = append(path, n)
		switch n := n.(type) {
		case *syntax.FuncDecl:
			if n.Name != nil {
				sv.bodies[n.Name.Value] = true
			}
		case *syntax.Stmt:
			if call, ok := n.Cmd.(*syntax.CallExpr); ok && len(call.Args) > 0 {
				name := call.Args[0].Lit()
				sv.calls[name] = append(sv.calls[name], n)
			}
		}
		return true
	})
	return sv
}

// place returns that of a statement.
func (sv *surveyor) place(s *syntax.Stmt) place { return sv.climb(s, false, nil) }

// climb follows a status from node upwards. inside are the functions that it has
// come through.
func (sv *surveyor) climb(node syntax.Node, negated bool, inside []string) place {
	for {
		if s, ok := node.(*syntax.Stmt); ok {
			if s.Background || s.Disown || s.Coprocess {
				return place{negated: negated}
			}
			negated = negated || s.Negated
		}
		passes := true
		switch p := sv.parents[node].(type) {
		case *syntax.Stmt, *syntax.TimeClause, *syntax.CaseClause:
		case *syntax.BinaryCmd:
			if (p.Op == syntax.AndStmt || p.Op == syntax.OrStmt) && node == p.X && !negated {
				return place{tested: true}
			}
		case *syntax.IfClause:
			if isLast(p.Cond, node) {
				return place{true, negated}
			}
			passes = node == p.Else || isLast(p.Then, node)
		case *syntax.WhileClause:
			if isLast(p.Cond, node) {
				return place{true, negated}
			}
			passes = false
		case *syntax.Block:
			passes = isLast(p.Stmts, node)
		case *syntax.Subshell:
			passes = isLast(p.Stmts, node)
		case *syntax.CaseItem:
			passes = isLast(p.Stmts, node)
		case *syntax.CmdSubst:
			if passes = isLast(p.Stmts, node); passes {
				node, passes = sv.assignment(p)
			}
		case *syntax.ProcSubst:
			if passes = p.Op == syntax.CmdIn && isLast(p.Stmts, node); passes {
				node, passes = sv.reader(p)
			}
			if passes {
				continue
			}
		case *syntax.FuncDecl:
			return sv.everyCall(p, negated, inside)
		default:
			passes = false
		}
		if !passes {
			return place{negated: negated}
		}
		node = sv.parents[node]
	}
}

// everyCall returns the place of a function's body: tested if all calls of it are
// in the text, and are.
func (sv *surveyor) everyCall(f *syntax.FuncDecl, negated bool, inside []string) place {
	var name string
	if f.Name != nil {
		name = f.Name.Value
	}
	all := place{tested: !sv.open && len(sv.calls[name]) > 0 && !slices.Contains(inside, name), negated: negated}
	for _, call := range sv.calls[name] {
		if !all.tested {
			break
		}
		at := sv.climb(call, negated, append(inside, name))
		all.tested, all.negated = at.tested, all.negated || at.negated
	}
	return all
}

// assignment returns the node in a command of assignments only whose status is
// that of a substitution in its last value. In all other commands the status of a
// substitution is not seen.
func (sv *surveyor) assignment(cs *syntax.CmdSubst) (syntax.Node, bool) {
	node := syntax.Node(cs)
	for {
		parent := sv.parents[node]
		switch p := parent.(type) {
		case *syntax.DblQuoted, *syntax.Word, *syntax.Assign:
			node = parent
		case *syntax.CallExpr:
			return parent, len(p.Args) == 0 && node == syntax.Node(p.Assigns[len(p.Assigns)-1])
		default:
			return nil, false
		}
	}
}

// reader returns the statement of the program that reads <( ), which is killed by
// a loss there. Builtins and functions are not.
func (sv *surveyor) reader(ps *syntax.ProcSubst) (syntax.Node, bool) {
	node := syntax.Node(ps)
	for {
		parent := sv.parents[node]
		switch p := parent.(type) {
		case *syntax.DblQuoted, *syntax.Word, *syntax.Redirect, *syntax.CallExpr:
			node = parent
		case *syntax.Stmt:
			call, ok := p.Cmd.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 {
				return nil, false
			}
			name := call.Args[0].Lit()
			return p, name != "" && !interp.IsBuiltin(name) && !sv.bodies[name]
		default:
			return nil, false
		}
	}
}

func isLast(stmts []*syntax.Stmt, node syntax.Node) bool {
	return len(stmts) > 0 && syntax.Node(stmts[len(stmts)-1]) == node
}
