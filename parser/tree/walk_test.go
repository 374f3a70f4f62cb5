package tree_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

const everything = `
a=1 b+=2 c=(x [1]=y) d[3]=4
e=1 cmd "$x ${y[1]} ${z:1:2}" 'q' $'c' ${v/a/b} ${w:-${u#x}} $((a + -b * (c))) <in 2>out >>all <<E <<<s
text $x $(y)
E
if a; then b; elif c; then d; else e; fi
while a; do b; break; done; until ! a; do b; done
for x in a b; do c; done; for ((i = 0; i < 3; i++)); do c; done; select x in a; do b; done
case $x in a | b) c ;; *) d ;& e) ;; esac
f() { local -r x=1 y; return; }; function g { a; }
( a | b |& c && d || e & ) ; { a; } >b; let a=1 "b=2"; declare -A m=([k]=v)
[[ -f $x && ! ( a == b* || $y =~ z ) ]]; ((a++, b ? c : d)); time a; coproc n { a; }
diff <(a) >(b) @(a|b) $(<f) ` + "`c`" + ` $!
`

func TestWalkVisitsWhatTheSyntaxPackageVisits(t *testing.T) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(everything), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []string{"nothing", "*syntax.CmdSubst", "*syntax.Word", "*syntax.CaseClause", "*syntax.ArrayExpr", "*syntax.LetClause"} {
		visits := func(walk func(syntax.Node, func(syntax.Node) bool)) (list []string) {
			walk(file, func(n syntax.Node) bool {
				list = append(list, fmt.Sprintf("%T %p", n, n))
				return fmt.Sprintf("%T", n) != cut
			})
			return list
		}
		if got, want := visits(tree.Walk), visits(syntax.Walk); !slices.Equal(got, want) {
			t.Errorf("without what is in %s: %d visits, want %d", cut, len(got), len(want))
		}
	}
}
