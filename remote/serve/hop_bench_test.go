//go:build unix

package serve

import (
	"fmt"
	"io"
	"testing"

	"rpipe/remote/wire"
)

// How fast is the way from a program on one host to a program on another? Here both
// hosts are this one, so that the client's way costs what the direct one does, twice.
func BenchmarkFromHostToHost(b *testing.B) {
	const n = 256 << 20
	from, to := program("head", "-c", fmt.Sprint(n), "/dev/zero"), program("wc", "-c")
	ha, hb := newTestHost(b, "a"), newTestHost(b, "b")
	link(ha, hb, hb.address)
	b.Run("hop", func(b *testing.B) {
		b.SetBytes(n)
		for b.Loop() {
			ca, cb := chained(b, ha, hb, from, to)
			ca.ends()
			cb.ends()
		}
	})
	b.Run("relay", func(b *testing.B) {
		b.SetBytes(n)
		for b.Loop() {
			ca := ha.dial(b).accept(wire.Open{Programs: from})
			cb := hb.dial(b).accept(wire.Open{Programs: to})
			cb.start()
			ca.send(wire.Frame{Type: wire.TypeStart})
			pr, pw := io.Pipe()
			go func() {
				_, err := ca.session.Stdout.WriteTo(pw)
				pw.CloseWithError(err)
			}()
			if _, err := cb.session.Stdin.ReadFrom(pr); err != nil {
				b.Fatal(err)
			}
			if err := cb.session.Stdin.Close(); err != nil {
				b.Fatal(err)
			}
			ca.copying.Go(func() { _, _ = ca.session.Stderr.WriteTo(io.Discard) })
			ca.ends()
			cb.ends()
		}
	})
}
