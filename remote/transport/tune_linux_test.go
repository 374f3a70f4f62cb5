package transport

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnacknowledgedDataOutlivesTheDeadTimeoutByLittle(t *testing.T) {
	for dead, want := range map[time.Duration]int{
		0:                    20_000,
		time.Second:          6_000,
		time.Minute:          65_000,
		100 * 24 * time.Hour: 1<<31 - 1,
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		Below(conn, dead)
		raw, err := conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != want || err != nil {
				t.Errorf("dead time-out %v: TCP_USER_TIMEOUT %d, %v, want %d", dead, got, err, want)
			}
		}); err != nil {
			t.Error(err)
		}
	}
}
