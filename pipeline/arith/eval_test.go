package arith

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// table is a Vars of plain variables, of indexed arrays by "name[index]", and of an
// associative array A.
type table map[string]string

func (t table) name(r Ref) string {
	switch {
	case !r.Element:
		return r.Name
	case r.Name == "A":
		return r.Name + "[" + r.Key + "]"
	}
	return r.Name + "[" + strconv.FormatInt(r.Index, 10) + "]"
}

func (t table) Load(r Ref) (string, error)   { return t[t.name(r)], nil }
func (t table) Store(r Ref, v string) error  { t[t.name(r)] = v; return nil }
func (t table) Associative(name string) bool { return name == "A" }
func newTable() table                        { return table{"x": "3", "y": "x+1", "z": "", "a[1]": "7", "A[k+1]": "5"} }

const declared = `x=3; y=x+1; z=; a=(0 7); declare -A A; A['k+1']=5; `

var expressions = []string{
	"1+2*3", "(1+2)*3", "-2**2", "2**3**2", "7/2", "-7/2", "-7%3", "1<<3", "-16>>2", "5&3|4^1",
	"1<2", "2<=1", "3==3", "3!=3", "!0", "!5", "~5", "+4", "- -4", "--4", "++4", "1?2:3", "0?2:3", "1?0?4:5:6", "1,2,3",
	"x", "y", "z", "unset", "x++ + x", "++x", "x--", "--x", "x=5,x", "x+=2,x", "x-=1", "x*=4", "x/=2", "x%=2", "x<<=2", "x>>=1",
	"x&=1", "x|=4", "x^=1", "x=y=2,x+y", "a[1]", "a[1]++,a[1]", "a[x-2]+=3,a[1]", "a[5]=9", "A[k+1]", "A[k+1]*2",
	"0x1F", "0X1f", "010", "2#101", "16#ff", "16#FF", "36#Z", "62#Z", "64#_", "64#@", "37#A",
	"9223372036854775807+1", "-9223372036854775808", "9223372036854775808", "0||1", "1&&0", "1||(x=9)", "0&&(x=9)", "0 && 1/0", "1 || 1/0",
	" 1 + 1 ", "1\n+\n1", "", " ", "x+++x", "x- -1", "1 ? x : 1/0", "1<<64", "1<<65", "((3))", "x=1?2:3", "a[a[0]]", "y*2", "-x**2",
	"2 ** 63", "3 ** 50", "5 %3", "x == 3 && y == 4", "x!=3", "! x", "x=!x",
}

var wrong = []string{
	"1/0", "1%0", "x/z", "1+", "*3", "(1", "1)", "1 2", "08", "0x", "1x", "2#2", "65#1", "1#0", "5=3", "x y", "2**-1", "1?2", "1 ? : 2", "@", "x[", "1||x=9", "=3",
	"1#", "x/=0", "7 = x", "x++ = 3", "#3", "3#3#3", "''", "$",
}

func TestExpressionsHaveTheValueOfBash(t *testing.T) {
	for _, e := range expressions {
		got, err := Eval(e, newTable())
		if err != nil {
			t.Errorf("%q: %v", e, err)
			continue
		}
		if want, ok := byBash(t, e); !ok || want != strconv.FormatInt(got, 10) {
			t.Errorf("%q is %d here, %q in bash", e, got, want)
		}
	}
}

func TestWhatIsWrongInBashIsWrongHere(t *testing.T) {
	for _, e := range wrong {
		got, err := Eval(e, newTable())
		want, ok := byBash(t, e)
		if err == nil && (!ok || want != strconv.FormatInt(got, 10)) || err != nil && ok {
			t.Errorf("%q is %d, %v here, %q, %v in bash", e, got, err, want, ok)
		}
	}
}

// byBash evaluates an expression with bash, as text that is expanded already.
func byBash(t *testing.T, expr string) (string, bool) {
	t.Helper()
	path, err := exec.LookPath("bash")
	if err != nil {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("bash is needed")
		}
		t.Skip("needs bash")
	}
	cmd := exec.CommandContext(t.Context(), path, "--norc", "-c", declared+`v=$(($1)) && echo "$v"`, "bash", expr)
	out, err := cmd.Output()
	return strings.TrimSuffix(string(out), "\n"), err == nil
}

func TestEndlessRecursionIsAnError(t *testing.T) {
	if _, err := Eval("r", table{"r": "r+1"}); err == nil {
		t.Error("a variable that names itself has a value")
	}
	if _, err := Eval(strings.Repeat("(", 1<<20), table{}); err == nil {
		t.Error("a million parentheses have a value")
	}
}

func FuzzEval(f *testing.F) {
	for _, e := range append(expressions, wrong...) {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		n, err := Eval(expr, newTable())
		if err != nil && n != 0 {
			t.Errorf("%q has a value and an error", expr)
		}
	})
}
