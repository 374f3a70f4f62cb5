package transport

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is how long sent data may stay unacknowledged (tcp(7),
// TCP_USER_TIMEOUT). It is above wire.DefaultDeadTimeout: it ends what
// heartbeats cannot, a connection that is being closed.
const userTimeout = 20 * time.Second

// tune prepares a connection for the protocol, which has heartbeats of its own.
// What is not TCP stays as it is.
func tune(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	})
}
