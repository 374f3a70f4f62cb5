package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rpipe/pipeline"
	"rpipe/remote"
)

// linksOf runs a script and returns its output, and how the output of each of its
// remote stages went, in the order of the text.
func linksOf(t *testing.T, h *hosts, script string) (stdout, links string) {
	t.Helper()
	names := map[remote.Link]string{remote.Fused: "fused", remote.Hop: "hop", remote.Relay: "relay"}
	var reports []pipeline.StageReport
	got, stderr, _ := runHere(t, script, h.use, func(o *pipeline.Options) {
		o.StageDone = func(r pipeline.StageReport) { reports = append(reports, r) }
	})
	if got.status != 0 {
		t.Errorf("%s\nstatus %d: %s", script, got.status, stderr)
	}
	slices.SortStableFunc(reports, func(a, b pipeline.StageReport) int {
		return 1000*(a.Line-b.Line) + a.Column - b.Column
	})
	var all []string
	for _, r := range reports {
		if name := names[r.Link.How]; name != "" {
			all = append(all, name)
		}
	}
	return got.stdout, strings.Join(all, " ")
}

func TestNeighbouringRemoteStagesAreOneChain(t *testing.T) {
	h := newHosts(t, "a", "b")
	for _, c := range []struct{ script, stdout, links string }{
		{"echo x | @a:cat | @a:tr x y", "y\n", "fused"},
		{"@a:echo x | @b:tr x y", "y\n", "hop"},
		{"@a:echo x | @b:cat | @b:cat | @a:tr x y", "y\n", "hop fused hop"},
		{"@a:echo x | @a:cat | cat | @b:cat | @b:cat", "x\n", "fused fused"},
		{"LC_ALL=C @a:printenv LC_ALL | LC_ALL=en_US.UTF-8 @a:sh -c 'cat; printenv LC_ALL'", "C\nen_US.UTF-8\n", "fused"},
		{"c=@a:cat; echo x | $c | $c | cat", "x\n", "fused"},
		{"c=cat; @a:echo x | $c | @a:cat", "x\n", ""},
		{"H=a; @$H:echo x | @${H}:cat", "x\n", "fused"},
		{"@a:echo $(echo x) | @a:cat", "x\n", "fused"},
		{"<<<x @a:cat | @a:tr x y", "y\n", "fused"},
		{"@a:cat <<E | @a:tr x y\nx\nE", "y\n", "fused"},
		{"echo x >f; @a:cat <f | @a:cat", "x\n", ""},
		{"@a:echo x 2>e | @a:cat", "x\n", ""},
		{"@a:sh -c 'echo x >&2' |& @a:cat", "x\n", ""},
		{"@a:echo x | @a:cat >f; cat f", "x\n", "fused"},
		{"@a:echo x | { @a:cat; }", "x\n", ""},
		{"for i in 1 2; do @a:echo $i | @a:cat; done", "1\n2\n", "fused fused"},
		{"! @a:false | @a:false", "", "fused"},
		{"f() { @a:echo $1 | @a:cat; }; f x; f y", "x\ny\n", "fused fused"},
		{"f() { local n=$1; [ $n -gt 0 ] || return 0; @a:echo $n | @b:cat; f $((n-1)); }; f 2", "2\n1\n", "hop hop"},
		{"(@a:echo x | @b:cat)", "x\n", "hop"},
		{"y=$(@a:echo x | @a:cat); echo $y", "x\n", "fused"},
		{"cat <(@a:echo x | @a:cat)", "x\n", "fused"},
		{"@a:echo x | @a:cat & wait", "x\n", "fused"},
		{"eval '@a:echo x | @a:cat'", "x\n", "fused"},
		{"@a:echo x | @a:cat && @b:echo y | @b:cat", "x\ny\n", "fused fused"},
		{"i=0; while [ $i -lt 3 ]; do i=$((i+1)); @a:echo $i | @b:cat; done", "1\n2\n3\n", "hop hop hop"},
	} {
		stdout, links := linksOf(t, h, c.script)
		if stdout != c.stdout || links != c.links {
			t.Errorf("%s\nstdout %q, want %q; links %q, want %q", c.script, stdout, c.stdout, links, c.links)
		}
	}
}

func TestEachStageOfAChainHasItsOwnStatus(t *testing.T) {
	for _, hop := range []bool{true, false} {
		h := newHostsThat(t, hop, "a", "b")
		for _, script := range []string{
			"@a:sh -c 'exit 3' | @a:sh -c 'cat; exit 4' | @b:sh -c 'cat; exit 5' | @b:cat",
			"@b:sh -c 'exit 3' | @a:sh -c 'cat; exit 4' | @b:sh -c 'cat; exit 5' | @a:cat",
		} {
			got, stderr, _ := runHere(t, script+`; echo "$? ${PIPESTATUS[*]}"`, h.use)
			if got.stdout != "5 3 4 5 0\n" {
				t.Errorf("%s: %q\n%s", script, got.stdout, stderr)
			}
		}
	}
}

func TestAllRefusalsOfAChainAreReportedAndNothingRuns(t *testing.T) {
	h := newHosts(t, "a", "b")
	dir, in := inDir(t)
	script := fmt.Sprintf("@a:nosuch-1 | @a:touch %s/ran | @a:nosuch-2 | @b:nosuch-3; echo ${PIPESTATUS[*]}", dir)
	got, stderr, _ := runHere(t, script, h.use, in)
	if got.stdout != "127 127 127 127\n" {
		t.Errorf("stdout %q", got.stdout)
	}
	for _, want := range []string{"stage 1 @a:nosuch-1", "stage 3 @a:nosuch-2", "stage 4 @b:nosuch-3"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no word of %s in %q", want, stderr)
		}
	}
	if exists(dir, "ran") {
		t.Error("a stage ran")
	}
}
