//go:build unix && !linux

package pipeline

// Without real-time signals.
const (
	firstRealTime = 0
	lastRealTime  = 0
)
