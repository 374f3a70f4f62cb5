package names

import "time"

// NextSerial returns the serial of zones that are made at now and follow those
// with the serial previous: SerialOf(now), or previous+1 where that would not be
// greater in the sense of RFC 1982.
//
// So serials grow over restarts too, without a file that holds the last one, as
// long as the clock does not go back and there are no more changes than seconds.
func NextSerial(previous uint32, now time.Time) uint32 {
	if serial := SerialOf(now); serialGreater(serial, previous) {
		return serial
	}
	return previous + 1
}

// SerialOf returns the serial of the first zones of a process: the seconds of Unix
// time modulo 2^32.
func SerialOf(now time.Time) uint32 {
	return uint32(now.Unix())
}

// serialGreater is the comparison of RFC 1982 section 3.2 for 32 bits. Of two
// serials 2^31 apart neither is greater.
func serialGreater(a, b uint32) bool {
	return a != b && a-b < 1<<31
}
