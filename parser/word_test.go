package parser

import (
	"math/rand/v2"
	"testing"
)

// TestWhatExpansionCouldMendIsNoFault compares the verdict on the literal parts
// of an address with that on the whole, for many ways to fill its hole.
func TestWhatExpansionCouldMendIsNoFault(t *testing.T) {
	symbols := []string{"a", "x", "1", "0", "80", ":", ":", ":", "[", "]", "::1", "[::1]", "/", "unix", "unix:/", "@", "*", ".", "-", " "}
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) (s string) {
		for range random.IntN(n + 1) {
			s += symbols[random.IntN(len(symbols))]
		}
		return s
	}
	refused, valid := 0, 0
	for range 100_000 {
		before, behind := "@"+some(4), some(4)
		_, f := checkAddress(name{text: before + behind, holes: []int{len(before)}})
		if f != nil {
			refused++
			if f.offset < 0 || f.offset > len(before+behind) {
				t.Fatalf("@%s$X%s: offset %d", before, behind, f.offset)
			}
		}
		for range 5 {
			whole := before + some(4) + behind
			if _, bad := parseAddress(whole); bad == nil {
				valid++
				if f != nil {
					t.Fatalf("%s is an address, but %s$X%s is refused: %s", whole, before, behind, f.problem)
				}
			}
		}
	}
	if refused == 0 || valid == 0 {
		t.Errorf("%d refused, %d valid: nothing was compared", refused, valid)
	}
}
