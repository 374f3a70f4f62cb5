package pipeline

import (
	"bytes"
	"slices"
	"sort"
	"sync"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// A plan is a program prepared for the interpreter: its own script, and the texts
// that it runs by "eval", "source" or a trap. It may be used concurrently.
type plan struct {
	main     *script
	services []*plannedStage // stages of main that name a service, in order
	jobs     bool            // the program has commands in the background
	linger   bool            // and to wait for those of a stage cannot take for ever
	errexit  bool            // "set -e" may be on
	errtrap  bool            // ERR may be trapped
	statuses bool            // PIPESTATUS may be read

	mu     sync.RWMutex
	texts  texts
	habits habits
}

// A script is a text prepared for the interpreter, with what the marks in it stand
// for. It is not changed when it is finished.
type script struct {
	id         int  // 0 is the program's own
	end        uint // of the offsets in its tree
	file       *syntax.File
	pipelines  []*plannedPipeline // of two or more stages
	shells     []*plannedShell
	expansions []*plannedExpansion           // that marks do
	functions  []*syntax.FuncDecl            // that marks define
	bodies     map[*syntax.Stmt]*syntax.Stmt // of functions, with what the user has written
	stages     map[syntax.Pos]*plannedStage  // every stage with a name, by the name's position in the copy
	alone      map[syntax.Pos]bool           // simple commands in the background, by the position of their name
	changed    bool                          // something in it was rewritten
	lasting    bool                          // what is in it may run when the text has been run
}

// A plannedPipeline is one that this package runs itself: all of two or more stages.
type plannedPipeline struct {
	source  *parser.Pipeline
	number  int  // in the program, from 1; 0 in a text that the program runs
	negated bool // "!" stands before it
	stages  []*plannedStage
}

// A plannedStage is a stage of any pipeline.
type plannedStage struct {
	*parser.Stage              // its Number is 0 in a text that the program runs
	pipeline      int          // number in the program, from 1; 0 in a text that the program runs
	file          *syntax.File // the statement, in pipelines of two or more stages; else nil
	pos           syntax.Pos   // of the name in the copy; not valid if the stage has none
	assigned      []string     // variables assigned in front of the name
	last          bool         // no stage follows
	place         place        // of its statement

	redirected  bool // it has a redirection of standard output
	substitutes bool // <( ) or >( ) stands in it, whose commands inherit its streams
	returns     bool // it may hold what is for functions only
}

// A plannedShell is a list that runs in a shell of its own which this package makes.
type plannedShell struct {
	file     *syntax.File
	ignored  bool // "set -e" does not act in it
	function bool // it stands in a function
	returns  bool // it may hold what is for functions only
}

// newPlan prepares prog, whose tree is not changed.
func newPlan(prog *parser.Program, name string, env expand.Environ) *plan {
	p := &plan{texts: newTexts(), habits: habits{bytes: localeIsC(env)}, statuses: bytes.Contains(prog.Source, []byte("PIPESTATUS"))}
	p.background(prog.File)
	p.main = p.newScript(0, prog, name, positionShift)
	for i, pl := range prog.Pipelines {
		for _, s := range pl.Stages {
			if s.Kind == parser.Service {
				p.services = append(p.services, &plannedStage{Stage: s, pipeline: i + 1})
			}
		}
	}
	return p
}

// early reports whether the stage belongs to the first phase of a start: it may
// need a host.
func (s *plannedStage) early() bool {
	return s.pos.IsValid() && (s.Kind == parser.Remote || s.Kind == parser.Dynamic)
}

// in returns the pipeline for the situation that it is run in.
func (p *plannedPipeline) in(s situation) *plannedPipeline {
	s.ignored = s.ignored || p.negated
	if s == (situation{}) {
		return p
	}
	here := *p
	here.stages = make([]*plannedStage, len(p.stages))
	for i, ps := range p.stages {
		there := *ps
		there.file = s.adapt(ps.file, ps.returns)
		here.stages[i] = &there
	}
	return &here
}

// in returns the list for the situation that it is run in.
func (p *plannedShell) in(s situation) *syntax.File {
	s.ignored, s.returns = s.ignored || p.ignored, s.returns || p.function
	return s.adapt(p.file, p.returns)
}

// background finds out whether the program has commands in the background, and
// whether those of a stage can be waited for. The interpreter counts the commands
// of <( ) and >( ) among them, which block until their FIFO is opened: that is
// sure only where it is a redirection, or the argument of a program.
func (p *plan) background(file *syntax.File) {
	functions, unknown := make(map[string]bool), false
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			p.jobs = p.jobs || n.Background || n.Disown || n.Coprocess
		case *syntax.ProcSubst:
			p.jobs = true
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				name := n.Args[0].Lit()
				unknown = unknown || runsText(name)
				p.errexit = p.errexit || name == "set" && len(n.Args) > 1
				p.errtrap = p.errtrap || name == "trap" && slices.ContainsFunc(n.Args, func(w *syntax.Word) bool { return w.Lit() == "ERR" })
			}
		case *syntax.FuncDecl:
			if n.Name != nil {
				functions[n.Name.Value] = true
			}
		}
		return true
	})
	p.jobs, p.statuses, p.errexit = p.jobs || unknown, p.statuses || unknown, p.errexit || unknown
	opened := make(map[*syntax.ProcSubst]bool)
	open := func(words ...*syntax.Word) {
		for _, w := range words {
			for _, part := range w.Parts {
				if ps, ok := part.(*syntax.ProcSubst); ok {
					opened[ps] = true
				}
			}
		}
	}
	p.linger = p.jobs && !unknown
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Redirect:
			open(n.Word)
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				name := n.Args[0].Lit()
				if name != "" && !interp.IsBuiltin(name) && !functions[name] {
					open(n.Args...)
				}
			}
		case *syntax.ProcSubst:
			p.linger = p.linger && opened[n]
		}
		return true
	})
}

// runsText reports whether a command runs text that is not in the script.
func runsText(name string) bool { return name == "eval" || name == "source" || name == "." }

// script returns the one of a number. It is one that runs.
func (p *plan) script(id int) *script {
	if id == 0 {
		return p.main
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if i, found := p.texts.search(id); found {
		return p.texts.sorted[i]
	}
	return nil
}

// at returns the script in whose copied tree pos is, or nil.
func (p *plan) at(pos syntax.Pos) *script {
	offset := pos.Offset()
	if offset < positionShift || offset < p.main.end {
		return p.main
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	i := sort.Search(len(p.texts.sorted), func(i int) bool { return offset < p.texts.sorted[i].end })
	if i == len(p.texts.sorted) {
		return nil
	}
	return p.texts.sorted[i]
}

// stage returns the stage whose name stands at pos, or nil for one that is in no
// prepared text.
func (p *plan) stage(pos syntax.Pos) *plannedStage {
	if sc := p.at(pos); sc != nil {
		return sc.stages[pos]
	}
	return nil
}

// place returns that of the command at pos. One that is not in a prepared text is
// where nobody looks.
func (p *plan) place(pos syntax.Pos) place {
	if s := p.stage(pos); s != nil {
		return s.place
	}
	return place{}
}

// outlives reports whether the command at pos may outlive the program.
func (p *plan) outlives(pos syntax.Pos) bool {
	sc := p.at(pos)
	return sc != nil && sc.alone[pos]
}

// feeds reports whether the command at pos is a stage with a stage behind it. It
// runs, as in bash, though that one has gone already.
func (p *plan) feeds(pos syntax.Pos) bool {
	s := p.stage(pos)
	return s != nil && !s.last
}

// body returns what the user has written as the body of a function that the
// interpreter has.
func (p *plan) body(b *syntax.Stmt) *syntax.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, sc := range append([]*script{p.main}, p.texts.sorted...) {
		if written := sc.bodies[b]; written != nil {
			return written
		}
	}
	return b
}
