package parser

import "mvdan.cc/sh/v3/syntax"

// Redirs returns the redirections of a fused call in place of the stages of c:
// the standard input of the first, then the standard output of the last. No
// other stage of a chain has any.
func (p *Pipeline) Redirs(c Chain) []*syntax.Redirect {
	var redirs []*syntax.Redirect
	redirs = append(redirs, p.Stages[c.First].Stmt.Redirs...)
	return append(redirs, p.Stages[c.Last].Stmt.Redirs...)
}

// chains returns the longest runs of stages of which each may fuse with the next.
func chains(stages []*Stage) []Chain {
	var found []Chain
	first := 0
	for i := range stages {
		if i+1 < len(stages) && mayFuse(stages[i], stages[i+1]) {
			continue
		}
		if i > first {
			found = append(found, Chain{first, i})
		}
		first = i + 1
	}
	return found
}

func mayFuse(a, b *Stage) bool {
	if !a.Kind.mayBeRemote() || !b.Kind.mayBeRemote() || a.PipeAll {
		return false
	}
	for _, r := range a.Stmt.Redirs {
		if !givesInput(r) {
			return false
		}
	}
	for _, r := range b.Stmt.Redirs {
		if !takesOutput(r) {
			return false
		}
	}
	return true
}

// givesInput reports whether r feeds standard input from the script itself,
// which cannot fail to open.
func givesInput(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		return r.N == nil || r.N.Value == "0"
	}
	return false
}

// takesOutput reports whether r sends standard output to a file and does
// nothing else.
func takesOutput(r *syntax.Redirect) bool {
	switch r.Op {
	case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
		return r.N == nil || r.N.Value == "1"
	}
	return false
}
