package wire

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

var benchSizes = []int{1, 1 << 10, 16 << 10, ChunkLen}

func BenchmarkAppendFrame(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			f := Frame{Type: TypeData, Stream: Stdout, Payload: make([]byte, n)}
			var buf []byte
			for b.Loop() {
				buf, _ = AppendFrame(buf[:0], f)
			}
		})
	}
}

func BenchmarkReadFrame(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			encoded, _ := AppendFrame(nil, Frame{Type: TypeData, Stream: Stdout, Payload: make([]byte, n)})
			r := bytes.NewReader(encoded)
			for b.Loop() {
				r.Reset(encoded)
				if _, err := ReadFrame(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	o := Open{Programs: []Program{{Name: "grep", Args: []string{"-e", "error", "--", "a b"}, Env: []Env{{Name: "LC_ALL", Value: "C"}}}}}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := o.Frames(); err != nil {
				b.Fatal(err)
			}
		}
	})
	frames, err := o.Frames()
	if err != nil {
		b.Fatal(err)
	}
	body := gather(b, frames)
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeOpen(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStream is a stream in writes of 64 KiB, bare and through two Conns.
func BenchmarkStream(b *testing.B) {
	const size = 64 << 10
	for _, tr := range transports() {
		b.Run(tr.name+"/bare", func(b *testing.B) {
			client, server := tr.pair(b)
			done := make(chan error, 1)
			go func() {
				_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{client}, make([]byte, size))
				done <- err
			}()
			p := make([]byte, size)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := server.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			if err := server.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				b.Fatal(err)
			}
			<-done
		})
		b.Run(tr.name+"/Write", func(b *testing.B) {
			benchmarkStream(b, tr, func(s *Sender, p []byte, more func() bool) error {
				for more() {
					if _, err := s.Write(p); err != nil {
						return err
					}
				}
				return nil
			})
		})
		b.Run(tr.name+"/ReadFrom", func(b *testing.B) {
			benchmarkStream(b, tr, func(s *Sender, _ []byte, more func() bool) error {
				b.SetBytes(ChunkLen)
				_, err := s.ReadFrom(source{more})
				return err
			})
		})
	}
}

// source fills what it is given for as long as more is true.
type source struct{ more func() bool }

func (s source) Read(p []byte) (int, error) {
	if !s.more() {
		return 0, io.EOF
	}
	return len(p), nil
}

func benchmarkStream(b *testing.B, tr transport, send func(s *Sender, p []byte, more func() bool) error) {
	const size = 64 << 10
	a, z := tr.pair(b)
	client, server := newEnd(b, a, Options{Role: Client}), newEnd(b, z, Options{Role: Server})
	cs, ss := client.begin(), server.begin()
	done := run(func() error {
		_, err := cs.Stdout.WriteTo(io.Discard)
		return err
	})
	b.SetBytes(size)
	b.ReportAllocs()
	if err := send(ss.Output, make([]byte, size), b.Loop); err != nil {
		b.Fatal(err)
	}
	if err := ss.Output.Close(); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
