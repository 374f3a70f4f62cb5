package main

import (
	"slices"
	"strings"
	"testing"
)

func TestTheCommandLineIsThatOfSh(t *testing.T) {
	for _, test := range []struct{ args, set, long, words, letters string }{
		{"text a b", "", "", "text a b", ""},
		{"-c text -x", "", "", "text -x", "c"},
		{"-euo pipefail -f file -- -e", "-e -u -o pipefail", "", "file -- -e", "f"},
		{"-ef - x", "-e", "", "- x", "f"},
		{"+o pipefail +x text", "+o pipefail +x", "", "text", ""},
		{"+q text", "", "", "+q text", ""},
		{"-s a", "", "", "a", "s"},
		{"-vn -- -x", "", "", "-x", "nv"},
		{"--config a -e --timeout=5 --loopback text --loopback", "-e", "--config=a --timeout=5 --loopback", "text --loopback", ""},
		{"-O extglob +O nullglob", "", "", "", "O"},
	} {
		a, err := takeApart(strings.Fields(test.args))
		if err != nil {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		var letters strings.Builder
		for _, flag := range []struct {
			letter string
			on     bool
		}{{"c", a.command}, {"f", a.file}, {"n", a.check}, {"s", a.stdin}, {"v", a.verbose}, {"O", len(a.shopt) > 0}} {
			if flag.on {
				letters.WriteString(flag.letter)
			}
		}
		if strings.Join(a.set, " ") != test.set || strings.Join(a.long, " ") != test.long || strings.Join(a.words, " ") != test.words || letters.String() != test.letters {
			t.Errorf("%s: %+v", test.args, a)
		}
		if test.letters == "O" && !slices.Equal(a.shopt, []string{"-s", "extglob", "-u", "nullglob"}) {
			t.Errorf("%s: %q", test.args, a.shopt)
		}
	}
	for _, args := range []string{"-o", "-z", "-i", "--list", "--list=", "-eo", "--config"} {
		if a, err := takeApart(strings.Fields(args)); err == nil {
			t.Errorf("%s: %+v", args, a)
		}
	}
}
