package parser

import "testing"

func TestParenthesesThatAreNoArithmeticAreSubshells(t *testing.T) {
	for _, script := range []string{"((echo c); echo d)", "x=$((echo a); echo b)", "((1+2))", "((a || b) && c)\n((echo x) ; y)"} {
		prog, err := Parse("test", []byte(script))
		if err != nil {
			t.Errorf("%q: %v", script, err)
			continue
		}
		for _, pl := range prog.Pipelines {
			for _, s := range pl.Stages {
				if s.Call != nil && len(s.Call.Args) > 0 && s.Text == "" {
					t.Errorf("%q has a stage without text", script)
				}
			}
		}
	}
}

func TestNegationsCancelOut(t *testing.T) {
	for _, script := range []string{"! ! true", "! ! ! true", "if ! ! true; then :; fi"} {
		if _, err := Parse("test", []byte(script)); err != nil {
			t.Errorf("%q: %v", script, err)
		}
	}
}

func TestWhatIsWrongStaysWrong(t *testing.T) {
	for _, script := range []string{"(( 1 + ))", "x=$((1 + ))", "((", "! !", "if then", "((a b))", "echo $((1 2))", "((((((", "((echo a) b"} {
		if _, err := Parse("test", []byte(script)); err == nil {
			t.Errorf("%q is a script", script)
		}
	}
}
