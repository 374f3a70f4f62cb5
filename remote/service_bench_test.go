//go:build unix

package remote_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"rpipe/remote"
)

// BenchmarkServiceGigabyte sends 1 GB through cat behind tcpserver, with pipes to and from
// other processes at both ends, and does so with other clients.
func BenchmarkServiceGigabyte(b *testing.B) {
	const size = 1 << 30
	address := startServer(b, "tcpserver", "cat")
	host, port, _ := net.SplitHostPort(address)
	client := func(name string, run func(b *testing.B, in, out *os.File)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			before := cpuTime(b)
			defer func() { b.ReportMetric((cpuTime(b)-before).Seconds()/float64(b.N), "cpu-s/op") }()
			for b.Loop() {
				inR, inW := newPipe(b, true)
				outR, outW := newPipe(b, true)
				source := exec.Command("head", "-c", "1073741824", "/dev/zero")
				source.Stdout = inW
				sink := exec.Command("wc", "-c")
				sink.Stdin = outR
				count, err := sink.StdoutPipe()
				if err != nil {
					b.Fatal(err)
				}
				if err := source.Start(); err != nil {
					b.Fatal(err)
				}
				if err := sink.Start(); err != nil {
					b.Fatal(err)
				}
				inW.Close()
				outR.Close()
				run(b, inR, outW)
				inR.Close()
				outW.Close()
				if n, err := io.ReadAll(count); err != nil || string(n) != "1073741824\n" {
					b.Fatalf("%q, %v", n, err)
				}
				source.Wait()
				sink.Wait()
			}
		})
	}
	process := func(name string, args ...string) {
		client(name, func(b *testing.B, in, out *os.File) {
			needTool(b, name)
			cmd := exec.Command(name, args...)
			cmd.Stdin, cmd.Stdout = in, out
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		})
	}
	client("Service", func(b *testing.B, in, out *os.File) {
		s := remote.NewService(b.Context(), "tcp", address)
		s.Stdin, s.Stdout = in, out
		if err := s.Run(); err != nil {
			b.Fatal(err)
		}
	})
	client("Service, copying", func(b *testing.B, in, out *os.File) {
		s := remote.NewService(b.Context(), "tcp", address)
		s.Stdin, s.Stdout = struct{ io.Reader }{in}, struct{ io.Writer }{out}
		if err := s.Run(); err != nil {
			b.Fatal(err)
		}
	})
	client("io.Copy", func(b *testing.B, in, out *os.File) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		sent := make(chan struct{})
		go func() {
			io.Copy(conn, in)
			conn.(*net.TCPConn).CloseWrite()
			close(sent)
		}()
		io.Copy(out, conn)
		<-sent
	})
	process("nc", "-N", host, port)
	process("socat", "-t", "60", "-", "TCP:"+address)
	process("ncat", host, port)
}

// cpuTime is that of this process and of those that it has waited for: what a machine
// that has other things to do does not change much. The server's is not in it.
func cpuTime(b *testing.B) time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			b.Fatal(err)
		}
		total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return total
}

// BenchmarkServiceCall is the time of a whole call, to compare with a connection and its
// half-close alone.
func BenchmarkServiceCall(b *testing.B) {
	address := startService(b, "tcp", serveCat)
	b.Run("Service", func(b *testing.B) {
		for b.Loop() {
			if err := remote.NewService(b.Context(), "tcp", address).Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("net.Conn", func(b *testing.B) {
		for b.Loop() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			conn.(*net.TCPConn).CloseWrite()
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				b.Fatal(err)
			}
			conn.Close()
		}
	})
}
