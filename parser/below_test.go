package parser

import (
	"errors"
	"testing"
)

func TestAPartOfAScriptCountsTheLinesAboveIt(t *testing.T) {
	_, err := ParseBelow("script", []byte("echo\nif then\n"), 40)
	var list ErrorList
	if !errors.As(err, &list) || list[0].Line != 42 || list[0].Column != 1 || list[0].SourceLine != "if then" {
		t.Errorf("%v", err)
	}
	prog, err := ParseBelow("script", []byte("echo\n a | b\n"), 40)
	if err != nil {
		t.Fatal(err)
	}
	s := prog.Pipelines[1].Stages[0]
	line, column := prog.Position(s.Pos)
	if s.Line() != 42 || s.Column() != 2 || line != 42 || column != 2 || prog.Above != 40 || s.String() != "a" {
		t.Errorf("the stage %v is in line %d, column %d", s, s.Line(), s.Column())
	}
}
