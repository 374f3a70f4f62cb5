package names

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/miekg/dns"
)

// maxReaders is how many goroutines read one UDP socket at most.
const maxReaders = 4

// ServePacket answers what comes from pc, and closes it in the end. It blocks, and
// returns ErrServerClosed after Shutdown or Close, else why pc failed. It may be
// called for several sockets.
//
// On Linux a *net.UDPConn may be bound to all addresses: answers come from the
// address that was asked. Elsewhere give a socket for each address.
func (s *Server) ServePacket(pc net.PacketConn) error {
	if err := s.take(pc); err != nil {
		return err
	}
	defer s.giveBack(pc)
	var read packetReader = plainReader{pc}
	if udp, ok := pc.(*net.UDPConn); ok && tellDestination(udp) == nil {
		read = sessionReader{udp}
	}
	readers := min(runtime.GOMAXPROCS(0), maxReaders)
	ended := make(chan error, readers)
	for range readers {
		go func() { ended <- s.answerPackets(read) }()
	}
	var first error
	for range readers {
		err := <-ended
		if first == nil {
			first = err
		}
		if !errors.Is(err, ErrServerClosed) {
			pc.Close() // one that failed ends the others
		}
	}
	return first
}

func (s *Server) answerPackets(from packetReader) error {
	buf := make([]byte, dns.MaxMsgSize) // Windows takes a datagram that does not fit for an error
	var p patience
	for {
		n, addr, reply, err := from.read(buf)
		if err != nil {
			if err := p.wait(s, err); err != nil {
				return err
			}
			continue
		}
		p = patience{}
		if n > maxQuery || !isQuery(buf[:n]) {
			continue
		}
		via := overUDP
		switch s.limit.check(addr, time.Now()) {
		case answerNone:
			s.counts.unanswered.Add(1)
			continue
		case answerCut:
			s.counts.cut.Add(1)
			via = overUDPCut
		}
		// A failed write is a client that cannot be reached: its loss alone.
		if reply(s.zones.Load().answer(buf[:n], via)) == nil {
			s.counts.udp.Add(1)
		}
	}
}

// A packetReader reads a datagram and says how to answer it. It may be used
// concurrently.
type packetReader interface {
	read(buf []byte) (n int, from netip.Addr, reply func([]byte) error, err error)
}

// A plainReader leaves it to the system from which address an answer comes.
type plainReader struct{ pc net.PacketConn }

func (r plainReader) read(buf []byte) (int, netip.Addr, func([]byte) error, error) {
	n, from, err := r.pc.ReadFrom(buf)
	if err != nil {
		return 0, netip.Addr{}, nil, err
	}
	return n, addrOf(from), func(answer []byte) error {
		_, err := r.pc.WriteTo(answer, from)
		return err
	}, nil
}

// A sessionReader answers from the address that was asked.
type sessionReader struct{ udp *net.UDPConn }

func (r sessionReader) read(buf []byte) (int, netip.Addr, func([]byte) error, error) {
	n, session, err := dns.ReadFromSessionUDP(r.udp, buf)
	if err != nil {
		return 0, netip.Addr{}, nil, err
	}
	return n, addrOf(session.RemoteAddr()), func(answer []byte) error {
		_, err := dns.WriteToSessionUDP(r.udp, answer, session)
		return err
	}, nil
}

func addrOf(addr net.Addr) netip.Addr {
	if udp, ok := addr.(*net.UDPAddr); ok {
		return udp.AddrPort().Addr()
	}
	return netip.Addr{}
}
