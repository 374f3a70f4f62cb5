package remote

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TCP states as in TCP_INFO (linux/tcp_states.h), in which our FIN is not
// acknowledged.
const (
	tcpFinWait1 = 4
	tcpLastAck  = 9
	tcpClosing  = 11
)

// deadProbes is how often in a row a peer must not answer to be dead.
const deadProbes = 3

// watchPeer calls lose with ETIMEDOUT if a TCP peer gives no sign of life for so long,
// while there is something for it to acknowledge; until over is closed. The
// kernel's keepalive is only for connections on which nothing is under way, and
// TCP_USER_TIMEOUT also ends those whose peer acknowledges all probes, and has no room.
func watchPeer(conn net.Conn, dead time.Duration, over <-chan struct{}, lose func(error)) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	ticker := time.NewTicker(dead / 6)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-over:
			return
		}
		info, err := tcpInfo(tcp)
		if err != nil {
			continue // it is being closed, or the system does not tell
		}
		silent := time.Duration(info.Last_ack_recv) * time.Millisecond
		if silent >= dead && (info.Unacked > 0 && info.Retransmits >= deadProbes || info.Probes >= deadProbes) {
			lose(syscall.ETIMEDOUT)
			return
		}
	}
}

func tcpInfo(conn *net.TCPConn) (info *unix.TCPInfo, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	if cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); cerr != nil {
		return nil, cerr
	}
	return info, err
}

// awaitAcknowledged waits, after both FINs, until the peer's system has all of the
// input: of a service that ended its output first nothing else would tell. It ends with
// over.
func (s *Service) awaitAcknowledged() {
	tcp, ok := s.conn.(*net.TCPConn)
	if !ok {
		return
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		info, err := tcpInfo(tcp)
		if err != nil {
			return
		}
		switch info.State {
		case tcpFinWait1, tcpLastAck, tcpClosing:
		default:
			return
		}
		select {
		case <-time.After(wait):
		case <-s.over:
			return
		}
	}
}

// isFull reports whether what was sent is still to be taken by the service.
func (s *Service) isFull() bool {
	raw, err := s.conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	waiting := 0
	err = raw.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return err == nil && waiting > 0
}

// boundSend makes sends end that block although the socket is non-blocking: those of
// splice(2) and sendfile(2) did so in Linux 6.5 to 6.7.
func boundSend(conn net.Conn) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		timeout := unix.NsecToTimeval(int64(100 * time.Millisecond))
		_ = unix.SetsockoptTimeval(int(fd), unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	})
}
