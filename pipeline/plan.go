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
	"rpipe/parser/tree"
)

// A plan is a program prepared for the interpreter: its own script, and the texts
// that it runs by "eval", "source" or a trap. It may be used concurrently.
type plan struct {
	main     *script
	services []*plannedStage // stages of main that name a service, in order
	jobs     bool            // the program has commands in the background
	linger   bool            // and to wait for those of a stage cannot take for ever
	errexit  bool            // "set -e" may be on
	unknown  bool            // it may run texts that are known only then
	traps    bool            // traps may be set
	errs     bool            // that for ERR too
	debugs   bool            // and that for DEBUG
	leaving  bool            // functions may set traps, or start commands in the background
	signals  bool            // programs may send signals to this process
	statuses bool            // PIPESTATUS may be read
	aliases  bool            // there may be aliases
	disables bool            // builtins may be disabled

	descriptors bool // redirections are done here
	persists    bool // and an "exec" may open something in a function, or in a text
	trace       bool // the script begins with "set -x"

	mu     sync.RWMutex
	texts  texts
	files  map[*syntax.Stmt]string // in which the bodies of functions stand, where that is not the script
	habits habits
}

// A script is a text prepared for the interpreter, with what the marks in it stand
// for. It is not changed when it is finished.
type script struct {
	id           int  // 0 is the program's own
	end          uint // of the offsets in its tree
	file         *syntax.File
	source       []byte // that was written
	uses         features
	pipelines    []*plannedPipeline // of two or more stages
	shells       []*plannedShell
	expansions   []*plannedExpansion // that marks do
	functions    []*syntax.FuncDecl  // that marks define
	jobs         []*plannedJob
	declarations []*syntax.DeclClause
	refusals     []*parser.Error               // of statements that cannot be run
	bodies       map[*syntax.Stmt]*syntax.Stmt // of functions, with what the user has written
	stages       map[syntax.Pos]*plannedStage  // every stage with a name, by the name's position in the copy
	alone        map[syntax.Pos]bool           // simple commands in the background, by the position of their name
	changed      bool                          // something in it was rewritten
	traps        bool                          // it says where the traps of signals may run
	lasting      bool                          // what is in it may run when the text has been run
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
	*parser.Stage                  // its Number is 0 in a text that the program runs
	pipeline      int              // number in the program, from 1; 0 in a text that the program runs
	file          *syntax.File     // the statement, in pipelines of two or more stages; else nil
	pos           syntax.Pos       // of the name in the copy; not valid if the stage has none
	assigned      []string         // variables assigned in front of the name
	last          bool             // no stage follows
	survey        func() *surveyor // of its text; nil for none

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
	whole    bool // it is all that a command in the background does

	substitution bool // it is the list of $( ), <( ) or >( )
	jobs         bool // it may start commands in the background
}

// newPlan prepares prog, whose tree is not changed, to run in an environment with options
// of "set".
func newPlan(prog *parser.Program, name string, env expand.Environ, set ...string) *plan {
	p := &plan{texts: newTexts(), habits: habits{bytes: localeIsC(env)}, statuses: bytes.Contains(prog.Source, []byte("PIPESTATUS"))}
	for word, may := range map[string]*bool{"alias": &p.aliases, "enable": &p.disables} {
		*may = bytes.Contains(prog.Source, []byte(word))
	}
	p.background(prog.File)
	p.conditions(prog)
	p.errexit = p.errexit || slices.Contains(set, "-e") || slices.Contains(set, "errexit")
	p.trace = slices.Contains(set, "-x") || slices.Contains(set, "xtrace")
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

// isAway reports whether the text tells that the stage is remote, or a service.
func (s *plannedStage) isAway() bool { return s.Kind == parser.Remote || s.Kind == parser.Service }

// place returns that of the stage's statement. The text is surveyed when this is first
// asked for: only a failure asks.
func (s *plannedStage) place() place {
	if s.survey == nil {
		return place{}
	}
	return s.survey().place(s.Stmt)
}

// early reports whether the stage belongs to the first phase of a start: it may
// need a host.
func (s *plannedStage) early() bool {
	return s.pos.IsValid() && s.Kind != parser.Local
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
	tree.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			p.jobs = p.jobs || n.Background || n.Disown || n.Coprocess
			p.persists = p.persists || len(n.Redirs) > 0 && isExec(n.Cmd) || slices.ContainsFunc(n.Redirs, namesDescriptor)
		case *syntax.ProcSubst:
			p.jobs = true
		case *syntax.CallExpr:
			if len(n.Args) > 0 {
				name := n.Args[0].Lit()
				unknown = unknown || runsText(name)
				p.errexit = p.errexit || name == "set" && len(n.Args) > 1
			}
		case *syntax.FuncDecl:
			if n.Name != nil {
				functions[n.Name.Value] = true
			}
		}
		p.descriptors = p.descriptors || n != nil && needsDescriptors(n)
		return true
	})
	p.unknown, p.persists = unknown, p.persists || unknown
	p.jobs, p.statuses, p.errexit = p.jobs || unknown, p.statuses || unknown, p.errexit || unknown
	p.aliases, p.disables = p.aliases || unknown, p.disables || unknown
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
	if !p.linger {
		return
	}
	tree.Walk(file, func(n syntax.Node) bool {
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

// conditions finds out what traps and signals there may be, behind background.
func (p *plan) conditions(prog *parser.Program) {
	in := func(word string) bool { return bytes.Contains(prog.Source, []byte(word)) }
	p.traps, p.errs, p.debugs = in("trap"), in(trapERR), in("trap") && in(trapDEBUG)
	p.signals = p.traps || in("kill") || in("PPID")
	p.leaving = p.unknown
	if !p.traps && !p.jobs {
		return
	}
	tree.Walk(prog.File, func(n syntax.Node) bool {
		if f, ok := n.(*syntax.FuncDecl); ok {
			p.leaving = p.leaving || f.Body != nil && holds([]*syntax.Stmt{f.Body}, outlasts)
		}
		return !p.leaving
	})
}

// outlasts reports whether a node is a trap, or a command in the background.
func outlasts(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.Stmt:
		return n.Background
	case *syntax.CallExpr:
		return len(n.Args) > 0 && n.Args[0].Lit() == "trap"
	}
	return false
}

// expectText prepares the plan for texts that are not in the program.
func (p *plan) expectText() {
	p.jobs, p.statuses, p.errexit, p.linger = true, true, true, false
	p.unknown, p.traps, p.leaving, p.signals = true, true, true, true
	p.aliases, p.disables, p.descriptors, p.persists = true, true, true, true
	p.main.uses = featuresOf("", p.main.file, true)
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
		return s.place()
	}
	return place{}
}

// outlives reports whether the command at pos may outlive the program.
func (p *plan) outlives(pos syntax.Pos) bool {
	sc := p.at(pos)
	return sc != nil && sc.alone[pos]
}

// marksTraps reports whether the command at pos is in a text that says itself where the
// traps of signals may run.
func (p *plan) marksTraps(pos syntax.Pos) bool {
	if pos.Offset() < positionShift {
		return false
	}
	sc := p.at(pos)
	return sc != nil && sc.traps
}

// feeds reports whether the command at pos is a stage with a stage behind it. It
// runs, as in bash, though that one has gone already.
func (p *plan) feeds(pos syntax.Pos) bool {
	s := p.stage(pos)
	return s != nil && !s.last
}

// body returns what the user has written as the body of a function that the
// interpreter has, and the text that it stands in, nil if that is not known.
func (p *plan) body(b *syntax.Stmt) (written *syntax.Stmt, source []byte) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, sc := range append([]*script{p.main}, p.texts.sorted...) {
		if written := sc.bodies[b]; written != nil {
			return written, sc.source
		}
	}
	return b, nil
}

// defined notes the file that the body of a function stands in.
func (p *plan) defined(body *syntax.Stmt, file string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.files == nil {
		p.files = make(map[*syntax.Stmt]string)
	}
	p.files[body] = file
}

// fileOf returns the file that the body of a function stands in.
func (p *plan) fileOf(body *syntax.Stmt, script string) string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if file, ok := p.files[body]; ok {
		return file
	}
	return script
}
