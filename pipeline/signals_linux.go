package pipeline

// The real-time signals that the C library leaves to programs: signal(7).
const (
	firstRealTime = 34
	lastRealTime  = 64
)
