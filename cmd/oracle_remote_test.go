//go:build linux

package cmd_test

import (
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// oracleHosts are where the remote stages of cases run.
var oracleHosts = []string{"a", "b", "c"}

// remotePrograms are the programs of those hosts, and how many of their operands are
// no files: -1 is all.
var remotePrograms = map[string]int{
	"cat": 0, "sort": 0, "uniq": 0, "wc": 0, "head": 0, "tail": 0, "tac": 0, "nl": 0, "rev": 0, "od": 0,
	"grep": 1, "sed": 1, "cut": 0, "tr": -1, "seq": -1, "expr": -1, "yes": -1, "true": -1, "false": -1, "sh": -1,
}

// unreading are those that take nothing from an input that they share with others.
var unreading = []string{"seq", "expr", "yes", "true", "false"}

// greedy are those that may take more of it than they need, or less than there is:
// with a host between, what they do not need cannot be given back.
var greedy = []string{"head", "sed", "grep", "sh"}

// harmless is a script for sh -c that is the same on any host.
var harmless = regexp.MustCompile(`^[a-z0-9 ;$-]*$`)

// withHosts puts a host before the stages of a script that can run there: those that
// choose picks. n is how many it can pick.
func withHosts(script string, choose func(i int) bool) (remote string, n int) {
	prog, err := parser.Parse("", []byte(script))
	if err != nil || strings.Contains(script, "@") || string(prog.Source) != script {
		return script, 0
	}
	own := make(map[string]bool) // functions and aliases
	syntax.Walk(prog.File, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.FuncDecl:
			if node.Name != nil {
				own[node.Name.Value] = true
			}
		case *syntax.CallExpr:
			if len(node.Args) > 0 && node.Args[0].Lit() == "alias" {
				own["cat"] = true
			}
		}
		return true
	})
	var offsets []int
	for _, p := range prog.Pipelines {
		for i, s := range p.Stages {
			if eligible(s, i == 0) && !own[s.Call.Args[0].Lit()] {
				offsets = append(offsets, int(s.Call.Args[0].Pos().Offset()))
			}
		}
	}
	slices.Sort(offsets)
	offsets = slices.Compact(offsets)
	for i, at := range slices.Backward(offsets) {
		if choose(i) {
			host := oracleHosts[i%len(oracleHosts)]
			script = script[:at] + "@" + host + ":" + script[at:]
		}
	}
	return script, len(offsets)
}

// eligible reports whether a stage does the same on a host.
func eligible(s *parser.Stage, first bool) bool {
	if s.Call == nil || len(s.Call.Args) == 0 || len(s.Call.Assigns) > 0 {
		return false
	}
	name := s.Call.Args[0].Lit()
	operands, known := remotePrograms[name]
	if !known {
		return false
	}
	shares := first && !slices.ContainsFunc(s.Stmt.Redirs, func(r *syntax.Redirect) bool {
		switch r.Op {
		case syntax.RdrIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
			return r.N == nil || r.N.Value == "0"
		}
		return false
	})
	if shares && slices.Contains(greedy, name) {
		return false
	}
	for _, w := range s.Call.Args[1:] {
		if holdsNode(w, isProcSubst) {
			return false
		}
		text, literal := wordText(w)
		switch {
		case name == "sh":
			if text != "-c" && !(literal && harmless.MatchString(text)) {
				return false
			}
		case operands < 0:
		case literal && (strings.HasPrefix(text, "-") && text != "--" || strings.HasPrefix(text, "+")):
		case literal && isNumber(text): // of -n
		case operands == 0:
			return false
		default:
			operands--
		}
	}
	return true
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

func isProcSubst(n syntax.Node) bool {
	_, is := n.(*syntax.ProcSubst)
	return is
}

func holdsNode(in syntax.Node, is func(syntax.Node) bool) (found bool) {
	syntax.Walk(in, func(n syntax.Node) bool {
		found = found || n != nil && is(n)
		return !found
	})
	return found
}

// wordText returns a word without its quotes; literal is false where it holds
// expansions.
func wordText(w *syntax.Word) (text string, literal bool) {
	var b strings.Builder
	literal = true
	for _, part := range w.Parts {
		switch part := part.(type) {
		case *syntax.Lit:
			b.WriteString(part.Value)
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			for _, p := range part.Parts {
				lit, ok := p.(*syntax.Lit)
				if !ok {
					return b.String(), false
				}
				b.WriteString(lit.Value)
			}
		default:
			return b.String(), false
		}
	}
	return b.String(), literal
}

// halfOf picks about half of the stages of a script, always the same.
func halfOf(script string) func(int) bool {
	h := fnv.New64a()
	h.Write([]byte(script))
	r := rand.New(rand.NewPCG(h.Sum64(), 0))
	picks := make([]bool, 256)
	for i := range picks {
		picks[i] = r.IntN(2) == 0
	}
	return func(i int) bool { return picks[i%len(picks)] }
}

func all(int) bool { return true }
