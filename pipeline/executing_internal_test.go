package pipeline

import (
	"testing"

	"mvdan.cc/sh/v3/interp"
)

func TestOptionsOfTheInterpreterAreInTheOrderOfItsTable(t *testing.T) {
	for _, name := range optionNames {
		r, err := interp.New(interp.Params("-o", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range optionNames {
			if got := optionOf(r, other); got != (name == other) {
				t.Errorf("with %s: %s is %v", name, other, got)
			}
		}
	}
}
