package serve

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// States of TCP_INFO (linux/tcp_states.h).
const (
	tcpClose     = 7 // the connection was reset, or both sides have ended it
	tcpCloseWait = 8 // the client has ended it
)

// deadProbes is how often in a row a client must not answer to be dead.
const deadProbes = 3

func tcpInfo(conn stream) *unix.TCPInfo {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	var info *unix.TCPInfo
	_ = raw.Control(func(fd uintptr) { info, _ = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info
}

// isReset reports, of a connection whose input has ended and whose output has not, that the
// end is none: it was reset, and who wrote to it has taken the error.
func isReset(conn stream) bool {
	info := tcpInfo(conn)
	return info != nil && info.State == tcpClose
}

// isDead reports that the client has not answered for as long as d although there is
// something that it should. TCP_USER_TIMEOUT would also end a client that
// answers, and has no room.
func isDead(conn stream, d time.Duration) bool {
	info := tcpInfo(conn)
	return info != nil && time.Duration(info.Last_ack_recv)*time.Millisecond >= d &&
		(info.Unacked > 0 && info.Retransmits >= deadProbes || info.Probes >= deadProbes)
}

// unacknowledged returns how many bytes the client's system has not confirmed, a FIN being
// one; of a Unix socket, how many the client has not read, or a little more.
func unacknowledged(conn stream) int {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n
}

// count fills in what went through a connection that the program had itself.
func (c *serviceConn) count() {
	if !c.service.Socket {
		return
	}
	if info := tcpInfo(c.conn); info != nil {
		in := int64(info.Bytes_received)
		if info.State == tcpCloseWait {
			in-- // the FIN
		}
		c.in.Store(in)
		c.out.Store(int64(info.Bytes_sent-info.Bytes_retrans) + int64(info.Notsent_bytes))
	}
}

// boundSend makes sends end that block although the socket is non-blocking: those of
// splice(2) did so in Linux 6.5 to 6.7.
func boundSend(conn syscall.Conn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		timeout := unix.NsecToTimeval(int64(100 * time.Millisecond))
		_ = unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	})
}

// listenControl sets what accepted sockets inherit, so that no moment is without it:
// a reset as the end; and lets an address be bound that no interface has.
func listenControl(service *Service, fd uintptr, ip6 bool) error {
	if err := unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if service.FreeBind && ip6 {
		return unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)
	}
	return nil
}
