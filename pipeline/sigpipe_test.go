package pipeline_test

import "testing"

func TestSIGPIPEIsForgivenOnlyIfTheReaderHasGone(t *testing.T) {
	h := newHosts(t, "a", "b")
	for script, want := range map[string]int{
		`sh -c 'echo part; kill -PIPE $$' | sort`:                                                  141,
		`sh -c 'echo x; exec >&-; while [ ! -e done ]; do sleep .01; done' | { cat; touch done; }`: 0,
		`{ sh -c 'echo part; kill -PIPE $$'; } | sort`:                                             141,
		`@a:sh -c 'echo part; kill -PIPE $$' | sort`:                                               141,
		`{ @a:sh -c 'echo part; kill -PIPE $$'; } | sort`:                                          141,
		`@a:sh -c 'kill -PIPE $$' | @b:sort`:                                                       141,
		`exit 141 | sort`:                                                                          141,
		`(exit 141) | sort`:                                                                        141,
		`f() { sh -c 'kill -PIPE $$' | sort; }; f`:                                                 141,
		`f() { @a:sh -c 'kill -PIPE $$' | sort; }; f`:                                              141,
		`yes | head -n 1`:                                                                          0,
		`{ yes; } | head -n 1`:                                                                     0,
		`while :; do echo y; done | head -n 1`:                                                     0,
		`@a:yes | head -n 1`:                                                                       0,
		`yes | @b:head -n 1`:                                                                       0,
		`@a:yes | @b:head -n 1`:                                                                    0,
		`{ @a:yes; } | head -n 1`:                                                                  0,
		`f() { yes | head -n 1; }; f`:                                                              0,
		`f() { @a:yes | head -n 1; }; f`:                                                           0,
		`yes | cat | while read x; do echo $x; break; done | head -n1`:                             0,
	} {
		if got, stderr, _ := runHere(t, script, h.use); got.status != want {
			t.Errorf("%s: %+v, want %d\n%s", script, got, want, stderr)
		}
	}
}

func TestALoopOfRemoteCommandsEndsWithItsReader(t *testing.T) {
	h := newHosts(t, "a", "b")
	for script, want := range map[string]string{
		`while :; do @a:echo q; done | head -n 1`:                                       "q\n",
		`until false; do @a:echo q; done | head -n 1`:                                   "q\n",
		`for ((;;)); do @a:echo q; done | head -n 1`:                                    "q\n",
		`yes | while read x; do echo $x | @a:cat; done | head -n 2`:                     "y\ny\n",
		`yes | while read x; do true | echo $x | @a:cat | @b:cat; done | head -n 2`:     "y\ny\n",
		`f() { while :; do @a:echo q; done; }; f | head -n 1`:                           "q\n",
		`f() { yes | while read x; do echo $x | @a:cat; done | head -n 1; }; f || true`: "y\n",
		`for i in 1 2 3; do @a:echo q > f; done | true; cat f`:                          "q\n",
		`{ while :; do @a:echo q; done; echo not reached >&2; } | head -n 1 | @b:cat`:   "q\n",
	} {
		if got, stderr, _ := runHere(t, script, h.use); got != (outcome{want, 0}) || stderr != "" {
			t.Errorf("%s: %+v\n%s", script, got, stderr)
		}
	}
}
