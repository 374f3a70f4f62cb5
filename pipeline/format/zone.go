package format

import "time"

// Zone returns the time zone that a rule in the form of POSIX stands for, such as
// "CET-1CEST,M3.5.0,M10.5.0/3"; UTC where it is none.
func Zone(rule string) *time.Location {
	for i := range len(rule) {
		if rule[i] < ' ' || rule[i] > '~' {
			return time.UTC
		}
	}
	// A file of RFC 8536 without transitions: times are by the rule in its footer.
	header := func() []byte {
		h := make([]byte, 44, 54)
		copy(h, "TZif2")
		h[39], h[43] = 1, 4 // one type of local time, and the bytes of its name
		return append(h, 0, 0, 0, 0, 0, 0, 'U', 'T', 'C', 0)
	}
	data := append(header(), header()...)
	data = append(append(append(data, '\n'), rule...), '\n')
	zone, err := time.LoadLocationFromTZData(rule, data)
	if err != nil {
		return time.UTC
	}
	return zone
}
