package pipeline_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rpipe/pipeline"
)

func TestHiddenNamesAreNeverSeen(t *testing.T) {
	script := `declare -i n=1; n+=2; set -uf; readonly r=1
f() { local -i q=2; local -; set +f; x=$FUNCNAME; export -n HOME; while :; do break; done; declare -p; set; env; declare -p | cat; eval 'declare -p; n+=1; set'; }
f; (set; declare -x); echo "$(set)"; declare -F; unset SECONDS BASH; set; for v in "${!_@}"; do echo "$v=1"; done`
	got, stderr, _ := runHere(t, script)
	if got.status != 0 || stderr != "" {
		t.Fatalf("%d %s", got.status, stderr)
	}
	for _, line := range strings.Split(got.stdout, "\n") {
		name, _, is := strings.Cut(strings.TrimPrefix(line, "declare "), "=")
		if fields := strings.Fields(name); is && len(fields) > 0 {
			name = fields[len(fields)-1]
		}
		if strings.ContainsAny(line, "\x00") || len(name) > 26 && is && strings.ToUpper(name) == name {
			t.Errorf("%q", line)
		}
	}
}

func TestUnsupportedOptionsAreRefused(t *testing.T) {
	for _, command := range []string{
		"set -k", "set -o keyword", "set +B", "set +o braceexpand", "shopt -s failglob", "shopt -s lastpipe",
		"shopt -s extdebug", "shopt -s execfail", "shopt -u patsub_replacement", "shopt -s compat44", "shopt -so keyword",
	} {
		got, stderr, _ := runHere(t, command+"; echo $?")
		if got.stdout != "2\n" || !strings.HasPrefix(stderr, "rpipe: line 1: ") || !strings.Contains(stderr, "not supported; ") {
			t.Errorf("%s: %+v %q", command, got, stderr)
		}
	}
	for _, command := range []string{"set -B", "set +k", "shopt -u failglob lastpipe", "shopt -s extquote", "set -t"} {
		if got, stderr, _ := runHere(t, command+"; echo $?"); got.stdout != "0\n" || stderr != "" {
			t.Errorf("%s: %+v %q", command, got, stderr)
		}
	}
}

func TestSourcesOfAFileAreThoseOfBash(t *testing.T) {
	script := `echo "$0 ${BASH_SOURCE[0]} ${#BASH_SOURCE[@]} ${FUNCNAME[0]} $-"
f() { echo "${FUNCNAME[*]} ${BASH_SOURCE[*]} ${BASH_LINENO[*]}"; caller; caller 0; }
f
cat >lib.sh <<'X'
g() { f; echo "${BASH_SOURCE[0]} ${FUNCNAME[*]}"; }
echo "${BASH_SOURCE[*]} ${BASH_LINENO[*]}"
g
X
. ./lib.sh
g
set -u; echo $-
[[ ${BASH_SOURCE[0]} == "$0" ]] && echo main`
	dir := t.TempDir()
	path := filepath.Join(dir, "script.sh")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bashPath(t), path)
	cmd.Dir, cmd.Env = dir, environ(dir)
	want, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got, stderr, _ := runHere(t, script, func(o *pipeline.Options) { o.Name, o.Command, o.Dir = path, false, dir })
	if got.stdout != string(want) {
		t.Errorf("%s\nwant\n%s\n%s", got.stdout, want, stderr)
	}
}

func TestTracesAreThoseOfBash(t *testing.T) {
	script := `PS4='+${x}:'; x=0; set -x
echo a "b c" '' 'x y' '*'
y="a b"
for i in 1 "2 3"; do :; done
case $x in 0) echo one;; esac
[[ $x == 0 ]]
z=$(echo sub)
f() { echo in; }
f 2>/dev/null
if [ $x = 0 ]; then echo yes 2>/dev/null; fi
set -- a b
echo "$*" >/dev/null
w=$(echo out 2>&1)
eval 'q=5; echo $q'
set +x
echo done`
	cmd := exec.Command(bashPath(t), "-c", script)
	var want strings.Builder
	cmd.Stderr = &want
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	_, got, _ := runHere(t, script)
	// bash shows an "eval" as one level more.
	if expected := strings.ReplaceAll(want.String(), "++", "+"); strings.ReplaceAll(got, "++", "+") != expected {
		t.Errorf("%s\nwant\n%s", got, expected)
	}
}
