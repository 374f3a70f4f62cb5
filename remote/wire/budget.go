package wire

import "sync/atomic"

// Budget bounds the memory that the windows of many connections grow to,
// beyond the [InitialWindow] that each stream always has. It is safe for
// concurrent use. A nil Budget has no bound.
type Budget struct {
	left atomic.Int64
}

// NewBudget returns a Budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.left.Store(n)
	return b
}

func (b *Budget) take(n int) bool {
	if b == nil {
		return true
	}
	if b.left.Add(-int64(n)) >= 0 {
		return true
	}
	b.left.Add(int64(n))
	return false
}

func (b *Budget) give(n int) {
	if b != nil {
		b.left.Add(int64(n))
	}
}
