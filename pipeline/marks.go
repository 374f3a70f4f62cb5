package pipeline

import (
	"strconv"

	"mvdan.cc/sh/v3/syntax"
)

// Commands that stand in a rewritten tree for what this package does itself.
// They begin with a NUL byte, which no word of a shell can hold. Where a text is
// rewritten, which cannot hold it either, a secret stands in its place.
const (
	markPipeline = "\x00pipeline" // with a script and an index in its pipelines: runs it
	markShell    = "\x00shell"    // with a script and an index in its shells: runs it
	markFunction = "\x00function" // with a script and an index in its functions: defines it
	markDeclare  = "\x00declare"  // with a script and an index in its declarations: runs it
	markBuiltin  = "\x00builtin"  // with the words of a builtin that is ours
	markProgram  = "\x00program"  // with the words of a command whose builtin is disabled
	markEval     = "\x00eval"     // with the words of an "eval"
	markSource   = "\x00source"   // with those of a "source", without its name
	markJob      = "\x00job"      // with a script and an index in its jobs: starts it
	markTrap     = "\x00trap"     // with what to run: the commands of traps; keeps the status
	markArm      = "\x00arm"      // lets the interpreter tell of failed commands; keeps the status
	markEnds     = "\x00ends"     // with a status: ends with it
	markCalled   = "\x00called"   // counts as the call of a command; keeps the status
	markRefuse   = "\x00refuse"   // with a script and an index in its refusals: tells it
	markPlain    = "\x00plain"    // switches "set -e" off; keeps the status
	markStatus   = "\x00status"   // ends with the status of the command before it
	markName     = "\x00name"     // gives the shell its $0; keeps the status
	markLoop     = "\x00loop"     // with a status: ends with that of the command before it, else with this one
	markStatuses = "\x00statuses" // brings PIPESTATUS up to date; keeps the status
	markExpand   = "\x00expand"   // in $( ), with a script and an index in its expansions: does it
	markPerform  = "\x00perform"  // with the same: assignments and arithmetic that are commands
	markNoLoop   = "\x00noloop"   // with "break" or "continue": says that there is no loop
	markRetain   = "\x00retain"   // with a variable, and a status or none: keeps it, or the one before
	markKept     = "\x00kept"     // with the variable: ends with what was kept
	markTime     = "\x00time"     // measures; keeps the status
	markDescend  = "\x00descend"  // begins a subshell; keeps the status
	markEnter    = "\x00enter"    // with its name: begins a function; keeps the status
	markKeep     = "\x00keep"     // with "begin" or "end": of a function that keeps options; keeps the status
	markWritable = "\x00writable" // with names: ends the shell if one is read-only; keeps the status
	markOption   = "\x00option"   // with an option's name: succeeds if it is on
	markTrace    = "\x00trace"    // with what it is for: of "set -x"; keeps the status
	markCommand  = "\x00command"  // with the text of the command behind it; keeps the status

	markBody     = "\x00body"     // the name of a function that holds what may "return"
	markRedirect = "\x00redirect" // as a file for stderr, with what redirect_words.go says: a redirection

	markVeil   = "\x00veil"   // as a file for stderr: hides what is traced of a mark
	markUnveil = "\x00unveil" // as a file for stderr, behind the veil: what that hides
	markOutput = "\x00output" // as a file: takes the output of a builtin
	markFree   = "\x00free"   // prints the lowest number for a descriptor of "{name}"
)

func isMark(name string) bool { return name != "" && name[0] == 0 }

// mark returns a statement that calls one of our own commands. Its stderr is the
// veil, so that "set -x" does not show it.
func mark(pos syntax.Pos, words ...string) *syntax.Stmt {
	call := &syntax.CallExpr{}
	for _, w := range words {
		call.Args = append(call.Args, quoted(pos, w))
	}
	return &syntax.Stmt{Position: pos, Cmd: call, Redirs: []*syntax.Redirect{intoStderr(pos, markVeil)}}
}

// indexed returns the mark of something that a script holds.
func indexed(pos syntax.Pos, name string, sc *script, index int) *syntax.Stmt {
	return mark(pos, name, strconv.Itoa(sc.id), strconv.Itoa(index))
}

func intoStderr(pos syntax.Pos, file string) *syntax.Redirect {
	return &syntax.Redirect{
		OpPos: pos,
		Op:    syntax.RdrOut,
		N:     &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: "2"},
		Word:  quoted(pos, file),
	}
}

// quietly returns a statement that ends with the status of a mark. In a list of
// && neither "set -e" nor a trap acts on that.
func quietly(m *syntax.Stmt) *syntax.Stmt {
	return &syntax.Stmt{Position: m.Position, Cmd: &syntax.BinaryCmd{
		OpPos: m.Position, Op: syntax.AndStmt, X: m, Y: mark(m.Position, markStatus),
	}}
}

// condition returns statements on which "set -e" does not act, and which end with
// the status of stmts. The interpreter forgets in subshells, and behind "!", that
// they are part of a condition; a list of || makes them one. It is written as it
// reads, { stmts; } || mark && mark, so that it can be printed.
func condition(stmts []*syntax.Stmt) []*syntax.Stmt {
	pos := stmts[0].Position
	either := &syntax.Stmt{Position: pos, Cmd: &syntax.BinaryCmd{
		OpPos: pos,
		Op:    syntax.OrStmt,
		X:     &syntax.Stmt{Position: pos, Cmd: &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: stmts}},
		Y:     mark(pos, markStatus),
	}}
	return []*syntax.Stmt{quietly(either)}
}

// adapt returns a script that runs in a shell of its own so that it behaves as in
// the shell that this is the situation of. returns tells that it may hold what is for
// functions only.
func (s situation) adapt(file *syntax.File, returns bool) *syntax.File {
	returns = returns && s.returns
	if !returns && !s.ignored {
		return file
	}
	stmts := file.Stmts
	var function []*syntax.Stmt
	if returns {
		function, stmts = asFunction(stmts)
	}
	if s.ignored {
		stmts = condition(stmts)
	}
	return &syntax.File{Name: file.Name, Stmts: append(function, stmts...)}
}

// asFunction returns the definition of a function that runs stmts, and its call with
// the parameters of the shell.
func asFunction(stmts []*syntax.Stmt) (function, call []*syntax.Stmt) {
	pos := stmts[0].Position
	body := &syntax.Stmt{
		Position: pos,
		Cmd:      &syntax.Block{Lbrace: pos, Rbrace: pos, Stmts: stmts},
		Redirs:   []*syntax.Redirect{intoStderr(pos, markUnveil)},
	}
	function = []*syntax.Stmt{{Position: pos, Cmd: &syntax.FuncDecl{
		Position: pos, Name: &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: markBody}, Body: body,
	}}}
	all := &syntax.DblQuoted{Left: pos, Right: pos, Parts: []syntax.WordPart{expansion(pos, "@")}}
	return function, []*syntax.Stmt{withWord(mark(pos, markBody), all)}
}

// withWord adds a word to a mark. It is quoted: whatever IFS is, the word is one, and what is
// done with the unquoted expansions of a script is not done with it.
func withWord(m *syntax.Stmt, part syntax.WordPart) *syntax.Stmt {
	call := m.Cmd.(*syntax.CallExpr)
	if _, is := part.(*syntax.DblQuoted); !is {
		part = &syntax.DblQuoted{Left: part.Pos(), Right: part.Pos(), Parts: []syntax.WordPart{part}}
	}
	call.Args = append(call.Args, &syntax.Word{Parts: []syntax.WordPart{part}})
	return m
}

func quoted(pos syntax.Pos, value string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Left: pos, Right: pos, Value: value}}}
}

func literal(pos syntax.Pos, value string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: value}}}
}

// expansion returns "$name".
func expansion(pos syntax.Pos, name string) *syntax.ParamExp {
	return &syntax.ParamExp{
		Dollar: pos, Short: true,
		Param: &syntax.Lit{ValuePos: pos, ValueEnd: pos, Value: name},
	}
}
