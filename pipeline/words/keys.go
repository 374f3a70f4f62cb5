package words

import (
	"slices"
	"strings"
)

// Keys returns the keys of an associative array in the order in which bash lists them,
// which is that of its hash table (1024 buckets, FNV-1). Keys that share a bucket are
// sorted here; bash has the latest first.
func Keys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if x, y := bucket(a), bucket(b); x != y {
			return int(x) - int(y)
		}
		return strings.Compare(a, b)
	})
	return keys
}

func bucket(key string) uint32 {
	h := uint32(2166136261)
	for i := range len(key) {
		h *= 16777619
		h ^= uint32(int32(int8(key[i])))
	}
	return h & 1023
}
