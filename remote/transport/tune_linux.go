package transport

import (
	"math"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// setUserTimeout sets how long sent data may stay unacknowledged, or a peer's window
// closed (tcp(7), TCP_USER_TIMEOUT); 0 is the system's own bound. What is not TCP
// stays as it is.
func setUserTimeout(conn net.Conn, timeout time.Duration) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		ms := min(timeout.Milliseconds(), math.MaxInt32)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(ms))
	})
}
