//go:build linux

package cmd_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A generator makes scripts whose outcome is certain: no stage leaves input unread that
// its writer may be writing still, nothing races, and what is printed is what programs
// and expansions give, not messages of the shell. No variable is used that "set -u" would
// not let pass. Each statement is on lines of its own, so that a script can be made
// smaller by leaving lines out.
type generator struct {
	*rand.Rand
	b      strings.Builder
	indent int
	depth  int // of compound commands
	loops  int // around the statement, in this shell and function
	inFunc bool
	funcs  []string
	files  int
	vars   int
}

// preamble is in front of each script.
const preamble = `printf '%s\n' 3 1 2 2 10 >nums
printf '%s\n' 'b a' 'c  d' a '' 'x*y' >words
a=1 b=two c='c d' n=0 list=(p 'q r' s)
`

// randomScript returns the script of a seed.
func randomScript(seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	g.b.WriteString(preamble)
	if g.one(6) {
		g.line("%s", g.pick("set -u", "set -e", "set +o pipefail", "set -f", "trap 'echo bye $?' EXIT"))
	}
	for range 3 + g.IntN(6) {
		g.statement()
	}
	g.line(`echo "end $? $a $b $c $n"`)
	return g.b.String()
}

// one is true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *generator) line(format string, args ...any) {
	g.b.WriteString(strings.Repeat("  ", g.indent))
	fmt.Fprintf(&g.b, format, args...)
	g.b.WriteByte('\n')
}

// statement writes one statement, and maybe what shows its effect.
func (g *generator) statement() {
	if g.depth > 3 || g.b.Len() > 2500 {
		g.line("%s", g.simple())
		return
	}
	g.depth++
	defer func() { g.depth-- }()
	switch g.IntN(24) {
	case 0, 1, 2, 3:
		g.line("%s", g.simple())
	case 4, 5, 6, 7:
		g.line("%s", g.pipeline())
		g.line(`echo "$? ${PIPESTATUS[*]}"`)
	case 8:
		g.line("%s %s %s", g.condition(), g.pick("&&", "||"), g.simple())
	case 9:
		g.line("%s && %s || %s", g.condition(), g.simple(), g.simple())
	case 10, 11:
		g.ifClause()
	case 12, 13:
		g.forLoop()
	case 14:
		g.whileLoop()
	case 15:
		g.caseClause()
	case 16, 17:
		g.function()
	case 18:
		g.group("(", ")")
	case 19:
		g.group("{", "}")
	case 20:
		g.background()
	case 21:
		g.evaluated()
	case 22:
		g.redirected()
	case 23:
		g.line("%s=$( %s ); echo \"$? [$%[1]s]\"", g.pick("a", "b", "c"), g.pipeline())
	}
}

// block writes statements, one level deeper.
func (g *generator) block() {
	g.indent++
	for range 1 + g.IntN(3) {
		g.statement()
	}
	g.indent--
}

// simple returns a command in one line that reads no input.
func (g *generator) simple() string {
	switch g.IntN(20) {
	case 0, 1, 2:
		return "echo " + g.words()
	case 3:
		return fmt.Sprintf("%s=%s", g.pick("a", "b", "c"), g.word())
	case 4:
		return fmt.Sprintf("n=$((n%s%d))", g.pick("+", "*", "-"), 1+g.IntN(5))
	case 5:
		return fmt.Sprintf("printf '%s\\n' %s", g.pick("%s", "[%s]", "%5s|", "%-4s|", "%q", "%b"), g.words())
	case 6:
		return fmt.Sprintf("list%s", g.pick("=(x y)", "+=(z)", "[1]=w", "=()", "=($b '')"))
	case 7:
		return fmt.Sprintf(`echo "%s"`, g.pick("${list[@]}", "${#list[@]}", "${list[*]}", "${!list[@]}", "${list[@]:1}", "${list[-1]-none}"))
	case 8:
		return fmt.Sprintf("read -r a b <<<%s; echo \"$? $a|$b\"", g.word())
	case 9:
		return g.pick("true", "false", ":", "sh -c 'exit 3'", "(exit 4)", "! true", "! false")
	case 10:
		return fmt.Sprintf("local_%d=%s; echo ${local_%[1]d-}", g.IntN(3), g.word())
	case 11:
		return fmt.Sprintf("export %s; sh -c 'echo \"$a $b\"'", g.pick("a", "b"))
	case 12:
		return fmt.Sprintf("IFS=%s read -r a b <<<'1:2 3'; echo \"$a|$b\"", g.pick(":", "' '", "''"))
	case 13:
		return fmt.Sprintf("echo %s >>out; echo $?", g.word())
	case 14:
		return fmt.Sprintf("cd %s; echo $?; cd - >/dev/null 2>&1", g.pick("/", "/tmp/..", "/nosuch 2>/dev/null"))
	case 15:
		return fmt.Sprintf("set -- %s; echo $# \"${1-}\" \"$*\"", g.words())
	case 16:
		return "echo $((" + g.arithmetic(2) + "))"
	case 17:
		if len(g.funcs) > 0 {
			return g.pick(g.funcs...) + " " + g.words() + "; echo $?"
		}
		return "nosuch 2>/dev/null; echo $?"
	case 18:
		switch {
		case g.loops > 0 && g.one(2):
			return fmt.Sprintf("%s && %s", g.condition(), g.pick("break", "continue", "break 2", "continue 2"))
		case g.inFunc:
			return fmt.Sprintf("%s && return %d", g.condition(), g.IntN(4))
		}
		return "unset " + g.pick("a", "b", "c", "nosuch") + "; a=1 b=2 c=3"
	}
	return fmt.Sprintf("((n%s%d)); echo $?", g.pick("+=", "-=", ">", "=="), g.IntN(4))
}

func (g *generator) words() string {
	var words []string
	for range 1 + g.IntN(3) {
		words = append(words, g.word())
	}
	return strings.Join(words, " ")
}

func (g *generator) word() string {
	v := g.pick("a", "b", "c", "n")
	switch g.IntN(16) {
	case 0, 1, 2:
		return g.pick("x", "one", "'a b'", `"$a $b"`, `'*'`, `\*`, "a\\ b", `""`, "2")
	case 3, 4:
		return "$" + v
	case 5, 6:
		return fmt.Sprintf(`"$%s"`, v)
	case 7:
		return fmt.Sprintf("${%s%s}", v, g.pick(":-none", "-none", "+set", ":+set", "#?", "%?", "##*o", "/o/0", "//[a-c]/-", ":1", ":0:2", "^", "^^", ",,"))
	case 8:
		return fmt.Sprintf(`"${#%s}"`, v)
	case 9:
		return "$((" + g.arithmetic(1) + "))"
	case 10:
		return fmt.Sprintf(`"$( %s)"`, g.inner())
	case 11:
		return fmt.Sprintf("$( %s)", g.inner())
	case 12:
		return g.pick("{1..3}", "x{a,b}y", "nu*", "nosuch*", "$#", "$?")
	case 13:
		return g.pick(`"$@"`, `"$*"`, "${1-}", "${2-}", "${list[1]-}", `"${list[@]}"`)
	}
	return g.pick("1", "2", "x", "z")
}

// inner returns what stands in a substitution.
func (g *generator) inner() string {
	if g.depth > 2 {
		return "echo x"
	}
	g.depth++
	defer func() { g.depth-- }()
	if g.one(3) {
		return g.pipeline()
	}
	return "echo " + g.word()
}

func (g *generator) arithmetic(depth int) string {
	if depth == 0 {
		return g.pick("n", "1", "2", "7", "n", "-3")
	}
	return fmt.Sprintf("%s %s %s", g.arithmetic(depth-1), g.pick("+", "-", "*", "<", "==", "&&", "|", "<<"), g.arithmetic(depth-1))
}

func (g *generator) condition() string {
	return g.pick(
		"true", "false", "! false", "[ $n -gt 2 ]", "[[ $a == 1 ]]", "[[ $b == t* ]]", "((n > 1))", "[ -f nums ]",
		"test -z \"$b\"", "[[ $c =~ ^c ]]", "grep -q 2 nums", "sh -c 'exit 2'", "[[ -n $a && $b != x ]]", "echo cond | grep -c . >/dev/null",
	)
}

// source returns the first stage of a pipeline.
func (g *generator) source() string {
	switch g.IntN(9) {
	case 0:
		return "cat nums"
	case 1:
		return "cat words"
	case 2:
		return fmt.Sprintf("seq %d", 1+g.IntN(20))
	case 3:
		return "echo " + g.words()
	case 4:
		return fmt.Sprintf("printf '%%s\\n' %s", g.words())
	case 5:
		return "for i in 1 2 3; do echo $i $a; done"
	case 6:
		return "{ echo one; " + g.pick("false", "true", "sh -c 'exit 5'", "echo two >&2") + "; } 2>/dev/null"
	case 7:
		return "sort <words"
	}
	return "(cat nums; exit " + g.pick("0", "3") + ")"
}

// sink returns a stage that reads all of its input.
func (g *generator) sink() string {
	switch g.IntN(17) {
	case 0:
		return "cat"
	case 1:
		return "sort"
	case 2:
		return "sort -r | uniq -c | tr -s ' '"
	case 3:
		return "tr a-z A-Z"
	case 4:
		return "wc -l"
	case 5:
		return "grep " + g.pick("1", "a", "nosuch", "-v 1", "-c .")
	case 6:
		return "sed " + g.pick("s/1/one/", "'s/a/[&]/g'", "-n 2p", "'$d'")
	case 7:
		return "tail -n " + g.pick("1", "2", "+2")
	case 8:
		return "while read -r x; do echo \"<$x>\"; done"
	case 9:
		return "while read -r x; do " + g.pick("n=$((n+1))", "[ \"$x\" = 2 ] && echo two", "echo $x | tr 1-3 a-c", "a=$x") + "; done"
	case 10:
		return "{ x=$(cat); echo \"$x\"; " + g.pick("true", "false", "exit 6", "(exit 7)") + "; }"
	case 11:
		return "(cat; " + g.pick("echo more", "false", "exit 8") + ")"
	case 12:
		return "sh -c 'cat; exit " + g.pick("0", "1", "9") + "'"
	case 13:
		return "tee out2 | cut -c1-3"
	case 14:
		return "{ mapfile -t m; echo ${#m[@]} \"${m[0]-}\"; }"
	case 15:
		return "cat - nums"
	}
	if len(g.funcs) > 0 {
		return "{ cat; " + g.pick(g.funcs...) + " " + g.word() + "; }"
	}
	return "cat -n"
}

func (g *generator) pipeline() string {
	stages := []string{g.source()}
	for range 1 + g.IntN(3) {
		stages = append(stages, g.sink())
	}
	bang := ""
	if g.one(8) {
		bang = "! "
	}
	return bang + strings.Join(stages, " | ")
}

func (g *generator) ifClause() {
	g.line("if %s; then", g.condition())
	g.block()
	if g.one(2) {
		g.line("else")
		g.block()
	}
	g.line("fi")
}

func (g *generator) forLoop() {
	g.loops++
	g.vars++
	v := fmt.Sprintf("i%d", g.vars)
	if g.one(3) {
		g.line("for ((%s=0; %[1]s<%d; %[1]s++)); do", v, 1+g.IntN(3))
	} else {
		g.line("for %s in %s; do", v, g.words())
	}
	g.line("  echo loop $%s", v)
	g.block()
	g.line("done%s", g.pick("", "", "", " >out3; cat out3", " | cat", " | sort | head -n 100"))
	g.line("echo $?")
	g.loops--
}

func (g *generator) whileLoop() {
	g.loops++
	g.vars++
	v := fmt.Sprintf("w%d", g.vars)
	if g.one(2) {
		g.line("%s=0", v)
		g.line("while [ $((%s+=1)) -lt %d ]; do", v, 2+g.IntN(3))
		g.block()
		g.line("done")
	} else {
		g.line("while read -r %s; do", v)
		g.line("  echo got $%s", v)
		g.indent++
		g.line("%s", g.simple())
		g.indent--
		g.line("done %s", g.pick("<nums", "<words", "<<<$c", "< <(seq 3)"))
	}
	g.line("echo $?")
	g.loops--
}

func (g *generator) caseClause() {
	g.line("case %s in", g.word())
	g.line("%s)", g.pick("1", "x*", "'a b'", "[a-c]*", "$a", "?"))
	g.block()
	g.line("%s", g.pick(";;", ";;", ";&", ";;&"))
	g.line("*)")
	g.block()
	g.line("esac")
}

func (g *generator) function() {
	if g.inFunc || g.loops > 0 {
		g.line("%s", g.pipeline())
		return
	}
	g.vars++
	name := fmt.Sprintf("f%d", g.vars)
	loops := g.loops
	g.inFunc, g.loops = true, 0
	g.line("%s() {", name)
	if g.one(2) {
		g.line("  local %s=%s", g.pick("a", "b", "c"), g.word())
	}
	g.block()
	if g.one(3) {
		g.line("  return %d", g.IntN(5))
	}
	g.line("}")
	g.inFunc, g.loops = false, loops
	g.funcs = append(g.funcs, name)
	g.line("%s %s; echo $?", name, g.words())
	if g.one(3) {
		g.line("%s 1 2 | cat; echo \"${PIPESTATUS[@]}\"", name)
	}
}

func (g *generator) group(open, shut string) {
	loops := g.loops
	if open == "(" {
		g.loops = 0
	}
	g.line("%s", open)
	g.block()
	if open == "(" && g.one(3) {
		g.line("  exit %d", g.IntN(5))
	}
	g.line("%s%s", shut, g.pick("", "", " >out4", " 2>/dev/null", " | cat", " <nums"))
	g.line("echo $?")
	g.loops = loops
}

func (g *generator) background() {
	switch g.IntN(3) {
	case 0:
		g.line("%s & wait $!; echo $?", g.pick("sh -c 'exit 3'", "{ echo bg; false; }", "(exit 6)", "echo bg | cat", "sleep 0"))
	case 1:
		g.line("{ %s; } >out5 & wait; cat out5", g.pipeline())
	case 2:
		g.line("{ %s; } & p=$!; wait $p; echo $?", g.pick("n=100; exit 2", "a=bg; echo $a", "false"))
	}
}

func (g *generator) evaluated() {
	switch g.IntN(4) {
	case 0:
		g.line("eval %s", shellQuoted(g.pipeline()))
	case 1:
		g.line("eval \"a=\\$n; echo \\$a %s\"", g.pick("$b", "x", "| cat"))
	case 2:
		g.files++
		g.line("echo %s >src%d; . ./src%[2]d %s; echo $?", shellQuoted(g.pipeline()), g.files, g.word())
	case 3:
		g.line("cat <(%s)", g.pipeline())
	}
}

func (g *generator) redirected() {
	switch g.IntN(8) {
	case 0:
		g.line("cat <<E\n$a %s ${b}\nE", g.pick("$(echo sub)", "$((n+1))", "`echo x`", "\\$a"))
	case 1:
		g.line("cat <<'E' | tr a-z A-Z\n$a x\nE")
	case 2:
		g.line("{ echo out; echo err >&2; } %s", g.pick("2>/dev/null", "2>&1 | sort", ">out6 2>&1; sort out6", "&>out6; sort out6", "|& sort"))
	case 3:
		g.line("exec 3>fd; echo hi %s >&3; exec 3>&-; cat fd", g.word())
	case 4:
		g.line("while read -r x <&4; do echo \"<$x>\"; done 4<nums")
	case 5:
		g.line("{ echo a; echo b >&3; } 3>&1 | sort")
	case 6:
		g.line("cat <nums >copy; %s <copy", g.pick("cat", "sort", "wc -l", "tail -n 1"))
	case 7:
		g.line("echo x >/nosuch/dir 2>/dev/null; echo $?")
	}
}

func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
