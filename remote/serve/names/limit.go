package names

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// limitBuckets bounds the memory of a limiter: 16 bytes each.
	limitBuckets = 1 << 14
	// slip is how many answers over the limit there are for one that is sent, cut: it
	// lets a real client come back over TCP, which cannot be forged.
	slip = 2
)

// A limiter bounds the answers to each UDP source network, /24 of IPv4 and /56 of
// IPv6, so that forged queries cannot turn this server against someone. Networks
// fall into a fixed number of buckets by a secret hash, so that the memory is
// bounded; two in one bucket share its rate.
type limiter struct {
	seed     maphash.Seed
	start    time.Time
	interval int64 // nanoseconds between answers; 0: no limit
	exempt   []netip.Prefix
	buckets  []bucket
}

// A bucket is a leaky one in the form of GCRA: full is the time at which it would be
// empty, in nanoseconds from start.
type bucket struct {
	full atomic.Int64
	over atomic.Int64 // answers over the limit
}

// burst is how much time's worth of answers may come at once.
const burst = int64(time.Second)

// newLimiter takes answers per second; 0 or less is no limit.
func newLimiter(rate int, exempt []netip.Prefix) *limiter {
	l := &limiter{seed: maphash.MakeSeed(), start: time.Now(), exempt: exempt}
	if rate > 0 {
		l.interval = max(int64(time.Second)/int64(rate), 1)
		l.buckets = make([]bucket, limitBuckets)
	}
	return l
}

// A verdict is what may be sent.
type verdict int

const (
	answerAll  verdict = iota
	answerCut          // with TC
	answerNone         // silence
)

// check counts an answer to addr at now.
func (l *limiter) check(addr netip.Addr, now time.Time) verdict {
	if l.interval == 0 {
		return answerAll
	}
	addr = addr.Unmap()
	for _, p := range l.exempt {
		if p.Contains(addr) {
			return answerAll
		}
	}
	b := &l.buckets[l.index(addr)]
	at := int64(now.Sub(l.start))
	for {
		full := b.full.Load()
		next := max(full, at) + l.interval
		if next-at > burst {
			if b.over.Add(1)%slip == 0 {
				return answerCut
			}
			return answerNone
		}
		if b.full.CompareAndSwap(full, next) {
			return answerAll
		}
	}
}

func (l *limiter) index(addr netip.Addr) uint64 {
	bits := 56
	if addr.Is4() {
		bits = 24
	}
	network, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return 0
	}
	bytes := network.Addr().As16()
	return maphash.Bytes(l.seed, bytes[:]) % limitBuckets
}
