package parser

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// A Program is a script that was read without error.
type Program struct {
	Name   string // as given to Parse; for messages
	Source []byte // as given to Parse, not a copy

	Above int // how many lines of the script stand above Source, of which File knows nothing

	// File is the tree as parsed, not rewritten. Its positions are offsets in
	// Source; Line and Col of a position are zero from line 262144 and column
	// 16384 on, where Position still answers.
	File *syntax.File

	// Refused are the statements that cannot be run as bash would, with what is said
	// when one is reached. What surely is reached is an error of Parse.
	Refused map[*syntax.Stmt]*Error

	// Pipelines are all pipelines of the script, ordered by position; one that
	// stands inside another comes after it.
	Pipelines []*Pipeline

	source *source
}

// Position returns the line and column of pos, both counted from 1, columns in
// bytes.
func (p *Program) Position(pos syntax.Pos) (line, column int) {
	return p.source.position(int(pos.Offset()))
}

// Hosts returns the hosts that the script names literally, each once, in the
// order of their first use. Names are told apart as they are written; IPv6
// addresses are in canonical form, without brackets. Sockets, and hosts that
// are known only when expanded, are not among them.
func (p *Program) Hosts() []string {
	var hosts []string
	seen := map[string]bool{"": true}
	for _, pl := range p.Pipelines {
		for _, s := range pl.Stages {
			if h := s.Address.Host; !seen[h] {
				seen[h] = true
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// A Pipeline is a chain of | and |&, or one simple command.
type Pipeline struct {
	// Stmt is the statement whose Cmd is the pipeline: a BinaryCmd, or the
	// CallExpr of the only stage. Negated and Background are its own; a "time"
	// before it is the statement around.
	Stmt *syntax.Stmt

	Stages []*Stage // at least one
	Chains []Chain  // in order, apart from each other

	// Main tells that the shell of the script itself starts the pipeline: it
	// is not inside a function body, ( ), $( ), <( ), a background command, a
	// coprocess, or a stage of a longer pipeline. Loops, conditions, groups in
	// braces and lists of && and || do not matter.
	Main bool
}

// String returns the pipeline in one line, shortened, without redirections, fit
// for messages.
func (p *Pipeline) String() string {
	var b strings.Builder
	for i, s := range p.Stages {
		if i > 0 {
			op := " | "
			if p.Stages[i-1].PipeAll {
				op = " |& "
			}
			b.WriteString(op)
		}
		b.WriteString(s.String())
	}
	return b.String()
}

// A Stage is one command of a pipeline.
type Stage struct {
	Number int // in its pipeline, from 1

	// Stmt is the statement of the stage, with its redirections. Its Cmd is nil
	// if it has nothing else. In a pipeline of one stage it is the pipeline's.
	Stmt *syntax.Stmt

	// Call is Stmt.Cmd if that is a simple command, else nil. The name of the
	// command is Call.Args[0]; there is none in a stage of assignments only.
	Call *syntax.CallExpr

	Kind    Kind
	Address Address // zero unless Remote or Service, and if the word holds expansions
	Text    string  // the name of the command as written, quotes included; "" if none
	PipeAll bool    // |& follows: standard error goes into the pipe as well

	// Pos is where the name of the command begins, or else the command: the
	// place that messages about the stage point to. Stmt.Pos may be before it.
	Pos syntax.Pos

	source *source // of the script
}

// Line returns the line of Pos, from 1.
func (s *Stage) Line() int {
	line, _ := s.source.position(int(s.Pos.Offset()))
	return line
}

// Column returns the column of Pos, in bytes, from 1.
func (s *Stage) Column() int {
	_, column := s.source.position(int(s.Pos.Offset()))
	return column
}

// Kind tells what is known of a stage before anything is expanded.
type Kind int

const (
	Local   Kind = iota // runs here
	Remote              // runs on a host; a service if its Address is zero and expands to one
	Service             // a literal address without a program
	Dynamic             // a name that begins with an expansion: any of these
)

func (k Kind) String() string {
	switch k {
	case Local:
		return "local"
	case Remote:
		return "remote"
	case Service:
		return "service"
	case Dynamic:
		return "dynamic"
	}
	return "unknown"
}

// mayBeRemote reports whether a stage may run a program of a daemon.
func (k Kind) mayBeRemote() bool { return k == Remote || k == Dynamic }

// A Chain is a run of two or more neighbouring stages whose bytes need not come
// through this process, as far as the text can tell: they are remote, or Dynamic. A
// stage of it whose Address is zero may still expand to a service, and a Dynamic one
// to a local command, which take no part in it.
type Chain struct{ First, Last int } // indexes in Pipeline.Stages, inclusive
