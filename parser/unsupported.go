package parser

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// A Construct is something that bash has and that cannot be run as bash runs it. It is
// refused, never run in another way.
type Construct struct {
	Name    string // as messages have it
	Instead string // what to write instead
	Example string // a script that is refused for it

	// needs is a text without which no script has the construct, so that most scripts
	// need not be searched.
	needs string

	// is reports whether a node of the tree is the construct; nil for one that the
	// syntax package does not read, which syntaxOf finds. source is the whole script.
	is func(n syntax.Node, source string) bool
}

// Unsupported returns the constructs that are found in the text of a script. Others, of
// which only their words tell, are refused by the commands themselves.
func Unsupported() []Construct { return slices.Clone(unsupported) }

var unsupported = []Construct{
	{
		Name:    "a network connection by redirection",
		Instead: "call a service, @host:port, or a program such as nc",
		Example: "cat </dev/tcp/localhost/9999",
		needs:   "/dev/",
		is: func(n syntax.Node, _ string) bool {
			r, ok := n.(*syntax.Redirect)
			if !ok || r.Word == nil || len(r.Word.Parts) == 0 {
				return false
			}
			lit, ok := r.Word.Parts[0].(*syntax.Lit)
			return ok && (strings.HasPrefix(lit.Value, "/dev/tcp/") || strings.HasPrefix(lit.Value, "/dev/udp/"))
		},
	},
	{
		Name:    "an alias for a part of the syntax",
		Instead: "write a function, or what the alias stands for",
		Example: "shopt -s expand_aliases\nalias begin='{' end='}'",
		needs:   "expand_aliases",
		is: func(n syntax.Node, _ string) bool {
			call, ok := n.(*syntax.CallExpr)
			return ok && len(call.Args) > 1 && call.Args[0].Lit() == "alias" && slices.ContainsFunc(call.Args[1:], standsForSyntax)
		},
	},
	{
		Name:    "coproc",
		Instead: "make two FIFOs with mkfifo, and run the command in the background",
		Example: "coproc cat",
		needs:   "coproc",
		is: func(n syntax.Node, _ string) bool {
			_, is := n.(*syntax.CoprocClause)
			return is
		},
	},
	{
		Name:    "an array assigned in front of a command",
		Instead: "assign it in a command of its own",
		Example: arrayInFront,
		needs:   "=",
	},
}

// An UnsupportedError is a construct in a script.
type UnsupportedError struct{ Construct Construct }

func (e *UnsupportedError) Error() string {
	return e.Construct.Name + " is not supported: " + e.Construct.Instead
}

// standsForSyntax reports whether a word of "alias" gives a name a value with operators
// or reserved words.
func standsForSyntax(w *syntax.Word) bool {
	_, value, assigns := strings.Cut(readName("", w).text, "=")
	if !assigns {
		return false
	}
	if strings.ContainsAny(value, "(){};|&<>") {
		return true
	}
	return slices.ContainsFunc(strings.Fields(value), func(field string) bool {
		return syntax.IsKeyword(field)
	})
}

// refuse finds what is unsupported in a tree. What surely runs is an error. What may
// never be reached (in a branch, a function, a loop, behind "exit" or "exec") is
// refused when it is: by its statement.
func refuse(text *source, file *syntax.File) (certain ErrorList, guarded map[*syntax.Stmt]*Error) {
	var rows []Construct
	for _, c := range unsupported {
		if c.is != nil && strings.Contains(text.text, c.needs) {
			rows = append(rows, c)
		}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	var path []syntax.Node
	ended := false // what follows may not be reached
	tree.Walk(file, func(n syntax.Node) bool {
		if n == nil {
			path = path[:len(path)-1]
			return true
		}
		path = append(path, n)
		reached := !ended && !slices.ContainsFunc(path, isGuard)
		for _, c := range rows {
			if !c.is(n, text.text) {
				continue
			}
			cause := &UnsupportedError{c}
			e := text.errorAt(int(n.Pos().Offset()), cause.Error(), cause)
			if reached {
				certain = append(certain, e)
			} else if s := statementOf(path); s != nil {
				if guarded == nil {
					guarded = make(map[*syntax.Stmt]*Error)
				}
				guarded[s] = e
			}
		}
		if call, ok := n.(*syntax.CallExpr); ok && reached && len(call.Args) > 0 {
			switch call.Args[0].Lit() {
			case "exit", "exec", "return":
				ended = true
			}
		}
		return true
	})
	return certain, guarded
}

// isGuard reports whether what is in a node may not be run when the node is.
func isGuard(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.IfClause, *syntax.CaseClause, *syntax.FuncDecl, *syntax.WhileClause, *syntax.ForClause:
		return true
	case *syntax.BinaryCmd:
		return n.Op == syntax.AndStmt || n.Op == syntax.OrStmt
	}
	return false
}

// statementOf returns the innermost statement on a path.
func statementOf(path []syntax.Node) *syntax.Stmt {
	for _, n := range slices.Backward(path) {
		if s, ok := n.(*syntax.Stmt); ok {
			return s
		}
	}
	return nil
}

// syntaxOf returns the construct of bash that the syntax package takes for an error at
// an offset of the text, or nil.
func syntaxOf(text *source, offset int) *UnsupportedError {
	here := text.text[min(offset, len(text.text)):]
	i := strings.IndexAny(here, "=[ \t\n;")
	if i <= 0 || here[i] != '[' && !strings.HasPrefix(here[i:], "=(") || !syntax.ValidName(here[:i]) {
		return nil
	}
	row := slices.IndexFunc(unsupported, func(c Construct) bool { return c.Example == arrayInFront })
	return &UnsupportedError{unsupported[row]}
}

// arrayInFront is the example of the one that the syntax package does not read.
const arrayInFront = "a=(1 2) env"
