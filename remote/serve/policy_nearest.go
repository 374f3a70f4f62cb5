package serve

// nearest returns the candidate that name is most likely a slip for: the first of those
// with the fewest edits, and no more than a third of its letters (one at
// least). It returns "" if there is none.
func nearest(name string, candidates []string) string {
	best, bestEdits := "", len(name)+1
	if len(name) > 64 { // no slip, and the work grows with its square
		return ""
	}
	for _, c := range candidates {
		if n := edits(name, c); n <= max(1, len(c)/3) && n < bestEdits {
			best, bestEdits = c, n
		}
	}
	return best
}

// edits counts the insertions, deletions, changes and swaps of neighbours that turn a
// into b, no place being edited twice.
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
