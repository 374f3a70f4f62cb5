package names

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// Whatever comes and when, a network has never had more answers since any moment than its
// burst and its rate allow.
func TestANetworkNeverHasMoreThanItsRateAndItsBurst(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		rate := 1 + random.IntN(300)
		l := newLimiter(rate, nil)
		now, given, cut, none := l.start, 0, 0, 0
		const queries = 5000
		for range queries {
			now = now.Add(time.Duration(random.Int64N(int64(2 * time.Second / time.Duration(rate)))))
			if random.IntN(50) == 0 {
				now = now.Add(time.Duration(random.Int64N(int64(3 * time.Second))))
			}
			addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(random.IntN(256))})
			switch l.check(addr, now) {
			case answerAll:
				given++
			case answerCut:
				cut++
			case answerNone:
				none++
			}
			if most := rate + int(now.Sub(l.start).Seconds()*float64(rate)) + 1; given > most {
				t.Fatalf("seed %d: %d answers after %s at %d/s", seed, given, now.Sub(l.start), rate)
			}
		}
		if given+cut+none != queries || none-cut > 1 || none-cut < 0 {
			t.Errorf("seed %d: %d given, %d cut, %d not answered", seed, given, cut, none)
		}
	}
}

func TestAFloodFromOneNetworkLeavesOthersTheirAnswers(t *testing.T) {
	l := newLimiter(10, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	now := l.start
	count := func(from string) (given int) {
		for range 100 {
			if l.check(netip.MustParseAddr(from), now) == answerAll {
				given++
			}
		}
		return given
	}
	for _, test := range []struct {
		from string
		want int
	}{
		{"192.0.2.1", 10},
		{"192.0.2.255", 0},          // the same /24
		{"::ffff:192.0.2.7", 0},     // the same, on a socket of both families
		{"192.0.3.1", 10},           // another
		{"2001:db8:0:1200::1", 10},  //
		{"2001:db8:0:12ff::1", 0},   // the same /56
		{"2001:db8:0:1300::1", 10},  // another
		{"fe80::1%eth0", 10},        //
		{"fe80::2%eth1", 0},         // a zone is no other network
		{"127.0.0.1", 100},          // has no limit
		{"::ffff:127.255.0.1", 100}, //
		{"::1", 10},                 // is not in the list
	} {
		if got := count(test.from); got != test.want {
			t.Errorf("%s had %d answers, want %d", test.from, got, test.want)
		}
	}
	now = now.Add(500 * time.Millisecond)
	if got := count("192.0.2.1"); got != 5 {
		t.Errorf("after half a second %d answers, want 5", got)
	}
}

func TestAFloodFromManyNetworksTakesNoMemory(t *testing.T) {
	l := newLimiter(1, nil)
	before := len(l.buckets)
	given := 0
	for i := range 4 * limitBuckets {
		addr := netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1})
		if l.check(addr, l.start) == answerAll {
			given++
		}
	}
	if len(l.buckets) != before || given > limitBuckets {
		t.Errorf("%d buckets were %d; %d answers", len(l.buckets), before, given)
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(DefaultRate, nil)
	b.RunParallel(func(pb *testing.PB) {
		addr := netip.MustParseAddr(fmt.Sprintf("192.0.%d.1", rand.IntN(256)))
		for pb.Next() {
			l.check(addr, time.Now())
		}
	})
}
