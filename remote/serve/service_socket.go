package serve

import (
	"net"
	"time"
)

// keepAlive keeps a quiet connection alive in the tables of NAT, whose shortest times for
// a half-closed one are a minute (Linux's conntrack), and ends one with a dead client.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// setReset makes whatever closes a TCP connection reset it, also the end of this
// process (SO_LINGER, socket(7)).
func setReset(conn stream) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// setClose takes setReset back.
func setClose(conn stream) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(-1)
	}
}

// tune sets what every connection has.
func (c *serviceConn) tune() {
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(keepAlive)
	}
	if !c.service.Socket { // a program would meet EAGAIN
		boundSend(c.conn)
	}
}
