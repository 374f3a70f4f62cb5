package parser

import (
	"fmt"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A planner collects the pipelines of a tree, and all that is wrong with them.
type planner struct {
	source    *source
	pipelines []*Pipeline
	errors    ErrorList
	tooDeep   *Error // not nil: the rest was not visited

	// The way from the root to the node that is visited: for each node whether
	// what is in it runs in a shell of its own.
	apart []bool

	// inside holds the statements that are part of a pipeline which is listed.
	inside map[*syntax.Stmt]bool
}

// plan fills p.
func (p *planner) plan(file *syntax.File) {
	p.inside = make(map[*syntax.Stmt]bool)
	tree.Walk(file, func(node syntax.Node) bool {
		if node == nil {
			p.apart = p.apart[:len(p.apart)-1]
			return true
		}
		if len(p.apart) == maxDepth && p.tooDeep == nil {
			p.tooDeep = tooDeep(p.source, node)
		}
		if p.tooDeep != nil {
			return false
		}
		outer := len(p.apart) > 0 && p.apart[len(p.apart)-1]
		p.apart = append(p.apart, p.visit(node, outer))
		return true
	})
	byPlace := func(a, b *Pipeline) int {
		return int(a.Stmt.Position.Offset()) - int(b.Stmt.Position.Offset())
	}
	if !slices.IsSortedFunc(p.pipelines, byPlace) { // here-documents stand behind what follows them in the tree
		slices.SortStableFunc(p.pipelines, byPlace)
	}
}

// visit lists the pipeline that node is and returns whether what is in node
// runs apart from the shell of the script, in which outer tells whether node does.
func (p *planner) visit(node syntax.Node, outer bool) bool {
	switch node := node.(type) {
	case *syntax.FuncDecl:
		p.checkFunction(node)
		return true
	case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst, *syntax.CoprocClause:
		return true
	case *syntax.Stmt:
		outer = outer || node.Background
		if p.inside[node] {
			return outer
		}
		switch cmd := node.Cmd.(type) {
		case *syntax.CallExpr:
			one := &single{stage: Stage{Stmt: node}}
			one.stages[0] = &one.stage
			one.pipeline.Stages = one.stages[:]
			p.add(&one.pipeline, node, outer)
		case *syntax.BinaryCmd:
			if isPipe(cmd) {
				p.add(&Pipeline{Stages: p.flatten(cmd)}, node, outer)
				return true
			}
		}
	}
	return outer
}

func isPipe(cmd *syntax.BinaryCmd) bool {
	return cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll
}

// flatten returns the stages of a pipeline, which is a tree that leans to the
// left.
func (p *planner) flatten(cmd *syntax.BinaryCmd) []*Stage {
	var stages []*Stage
	all := false // the operator behind the stage is |&
	add := func(stmt *syntax.Stmt) {
		p.inside[stmt] = true
		stages = append(stages, &Stage{Stmt: stmt, PipeAll: all})
	}
	for {
		add(cmd.Y)
		all = cmd.Op == syntax.PipeAll
		left, ok := cmd.X.Cmd.(*syntax.BinaryCmd)
		if !ok || !isPipe(left) {
			add(cmd.X)
			break
		}
		p.inside[cmd.X] = true
		cmd = left
	}
	slices.Reverse(stages)
	return stages
}

// A single is a pipeline of one stage, as most are, in one piece.
type single struct {
	pipeline Pipeline
	stages   [1]*Stage
	stage    Stage
}

// add lists the pipeline of a statement. Stmt and PipeAll of its stages are set.
func (p *planner) add(pl *Pipeline, stmt *syntax.Stmt, apart bool) {
	for i, s := range pl.Stages {
		s.Number = i + 1
		p.describe(s)
	}
	pl.Stmt, pl.Chains, pl.Main = stmt, chains(pl.Stages), !apart
	p.pipelines = append(p.pipelines, pl)
}

// describe fills in what a stage is.
func (p *planner) describe(s *Stage) {
	s.Pos = s.Stmt.Pos()
	if s.Stmt.Cmd != nil {
		s.Pos = s.Stmt.Cmd.Pos()
	}
	s.Call, _ = s.Stmt.Cmd.(*syntax.CallExpr)
	if s.Call != nil && len(s.Call.Args) > 0 {
		w := s.Call.Args[0]
		s.Pos = w.Pos()
		s.Text = p.source.slice(w.Pos(), w.End())
		s.Kind = classify(p.source.text, w)
		if s.Kind == Remote {
			p.checkRemote(s)
		}
	}
	s.source = p.source
}

// checkRemote reads the address of a stage that is remote.
func (p *planner) checkRemote(s *Stage) {
	n := readName(p.source.text, s.Call.Args[0])
	a, f := checkAddress(n)
	if f != nil {
		cause := &AddressError{Word: n.text, Offset: f.offset, Problem: f.problem}
		at := n.at[f.offset]
		if len(n.holes) > 0 {
			cause.Word, cause.Offset = s.Text, max(at-int(s.Pos.Offset()), 0)
		}
		p.fail(at, cause)
		return
	}
	s.Address = a
	if !a.IsService() {
		return
	}
	s.Kind = Service
	i := slices.IndexFunc(s.Call.Args[1:], surelyFields)
	if i >= 0 {
		arg := s.Call.Args[1+i]
		cause := &AddressError{Word: n.text, Offset: len(n.text), Problem: a.argsProblem(arg.Lit())}
		p.fail(int(arg.Pos().Offset()), cause)
	}
}

func (p *planner) fail(offset int, cause *AddressError) {
	p.errors = append(p.errors, p.source.errorAt(offset, cause.Error(), cause))
}

// checkFunction refuses a function whose calls would be remote stages.
func (p *planner) checkFunction(f *syntax.FuncDecl) {
	if f.Name != nil && strings.HasPrefix(f.Name.Value, "@") {
		message := fmt.Sprintf(`a function cannot be called %s: names that begin with "@" are addresses; write another name`, quote(f.Name.Value))
		p.errors = append(p.errors, p.source.errorAt(int(f.Name.Pos().Offset()), message, nil))
	}
}

// maxBrief is how long a stage may be in messages, in bytes.
const maxBrief = 60

// String returns the stage in one line, shortened, without redirections, fit
// for messages.
func (s *Stage) String() string {
	var words []string
	length := 0
	word := func(from, to syntax.Pos) {
		if length > maxBrief {
			return
		}
		w := strings.Join(strings.Fields(brief(s.source.slice(from, to), maxBrief)), " ")
		words = append(words, w)
		length += len(w) + 1
	}
	switch cmd := s.Stmt.Cmd.(type) {
	case nil:
		for _, r := range s.Stmt.Redirs {
			word(r.Pos(), r.Word.End())
		}
	case *syntax.CallExpr:
		for _, a := range cmd.Assigns {
			word(a.Pos(), a.End())
		}
		for _, a := range cmd.Args {
			word(a.Pos(), a.End())
		}
	default:
		word(cmd.Pos(), cmd.End())
	}
	return brief(visible(strings.Join(words, " ")), maxBrief)
}
