//go:build unix && !linux

package pollfd

// readNow reads what poll(2) said is there.
func readNow(fd uintptr, p []byte) (int, error) { return read(fd, p) }
