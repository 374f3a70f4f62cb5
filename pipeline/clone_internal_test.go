package pipeline

import (
	"fmt"
	"reflect"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// everything has each kind of node that the Bash language has.
const everything = `# a comment
c[3]=4 d=(x [5]=y "z")
a=1 b+=2 >f 2>&1 <<END cmd 'q' "d$e" $'x' $"y" ${p} ${!q} ${#r} ${s[1]} ${t:1:2} ${u//a/b} ${v:-w} ${!x*} $((1 + 2 * (3))) $[y++] {a,b} {1..3} *.c @(x|y)
$body
END
if a; then b; elif c; then d; else e; fi
while a; do b; done
until a; do b; done
for i in 1 2; do b; done
for ((i = 0; i < 3; i++)); do b; done
select i in a; do b; done
case $x in a | b) c ;; d) e ;& f) g ;;& *) ;; esac
{ a; b; }
(a; b)
a && b || ! c | d |& e &
f() { a; }
function g { a; }
(( x = 1 ? 2 : 3, y[1] ))
[[ -f x && ( a == b* || ! c =~ d ) && -n $x ]]
declare -a x=1 y
local z
let x=1+2 y++
time -p a
cat <(a) >(b) $(c) ` + "`d`" + `
`

// differ tells where a copy is not the equal of its original, with the offsets of its
// positions shifted, or shares with it what could be changed.
func differ(path string, a, b reflect.Value, shift uint, copies map[*syntax.Stmt]*syntax.Stmt) error {
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return fmt.Errorf("%s: one is nil", path)
			}
			return nil
		}
		if a.Kind() == reflect.Pointer {
			if a.Pointer() == b.Pointer() {
				return fmt.Errorf("%s: it is shared", path)
			}
			if s, ok := a.Interface().(*syntax.Stmt); ok && copies[s] != b.Interface().(*syntax.Stmt) {
				return fmt.Errorf("%s: the copy of the statement is not known", path)
			}
		}
		return differ(path, a.Elem(), b.Elem(), shift, copies)
	case reflect.Slice:
		if a.IsNil() != b.IsNil() || a.Len() != b.Len() {
			return fmt.Errorf("%s: %d elements, the copy has %d", path, a.Len(), b.Len())
		}
		for i := range a.Len() {
			if err := differ(fmt.Sprintf("%s[%d]", path, i), a.Index(i), b.Index(i), shift, copies); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		if a.Type() != b.Type() {
			return fmt.Errorf("%s: a %v, the copy is a %v", path, a.Type(), b.Type())
		}
		if pos, ok := a.Interface().(syntax.Pos); ok {
			want := pos
			if pos.IsValid() {
				want = syntax.NewPos(pos.Offset()+shift, pos.Line(), pos.Col())
			}
			if b.Interface().(syntax.Pos) != want {
				return fmt.Errorf("%s: position %v", path, b.Interface())
			}
			return nil
		}
		for i := range a.NumField() {
			if f := a.Type().Field(i); f.IsExported() {
				if err := differ(path+"."+f.Name, a.Field(i), b.Field(i), shift, copies); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if a.Interface() != b.Interface() {
		return fmt.Errorf("%s: %v, the copy has %v", path, a.Interface(), b.Interface())
	}
	return nil
}

func TestACopyOfATreeIsItsEqualAndSharesNothing(t *testing.T) {
	prog, err := parser.Parse("test", []byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	const shift = 1000
	c := cloner{shift: shift}
	copied := c.file(prog.File, 0)
	if err := differ("File", reflect.ValueOf(prog.File), reflect.ValueOf(copied), shift, c.stmts); err != nil {
		t.Error(err)
	}
	seen := make(map[string]bool)
	syntax.Walk(prog.File, func(n syntax.Node) bool {
		if n != nil {
			seen[reflect.TypeOf(n).Elem().Name()] = true
		}
		return true
	})
	for _, name := range []string{
		"ArithmCmd", "ArithmExp", "ArrayElem", "ArrayExpr", "Assign", "BinaryArithm", "BinaryCmd", "BinaryTest", "Block",
		"CStyleLoop", "CallExpr", "CaseClause", "CaseItem", "CmdSubst", "DblQuoted", "DeclClause", "ExtGlob",
		"File", "ForClause", "FuncDecl", "IfClause", "LetClause", "Lit", "ParamExp", "ParenArithm", "ParenTest", "ProcSubst",
		"Redirect", "SglQuoted", "Stmt", "Subshell", "TestClause", "TimeClause", "UnaryArithm", "UnaryTest", "WhileClause",
		"Word", "WordIter",
	} {
		if !seen[name] {
			t.Errorf("the script of the test has no %s", name)
		}
	}
}
