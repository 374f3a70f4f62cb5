package serve

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// CheckRoute returns nil if what is sent to addr, an address of the prefix, comes to this host, and
// else a *NoRouteError. A system that does not tell is an error of another type.
func CheckRoute(prefix netip.Prefix, addr netip.Addr) error {
	// rtnetlink(7): RTM_GETROUTE with a destination looks up what a packet would take.
	reply, err := route(unix.RTM_GETROUTE, 0, netip.PrefixFrom(addr, addr.BitLen()), 0)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
		return &NoRouteError{prefix} // no route, or one that says so
	case err != nil:
		return fmt.Errorf("cannot look up the route to %s: %w", addr, err)
	case len(reply) <= rtmType || reply[rtmType] != unix.RTN_LOCAL:
		return &NoRouteError{prefix}
	}
	return nil
}

// AddRoute adds the local route of a prefix (AnyIP), as ip route add local PREFIX dev lo does. It
// takes CAP_NET_ADMIN. A route that is there is no error. The route stays after
// the end of this process.
func AddRoute(prefix netip.Prefix) error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return fmt.Errorf("no interface lo: %w", err)
	}
	flags := uint16(unix.NLM_F_CREATE | unix.NLM_F_EXCL | unix.NLM_F_ACK)
	_, err = route(unix.RTM_NEWROUTE, flags, prefix.Masked(), uint32(lo.Index))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("cannot add the local route for %s: %w", prefix, err)
	}
	return nil
}

// rtmType is where rtm_type stands in struct rtmsg.
const rtmType = 7

// route sends one request to the kernel and returns the rtmsg of the answer, nil for an
// acknowledgement. oif is the index of an interface, 0: none.
func route(request, flags uint16, dst netip.Prefix, oif uint32) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(int64(5 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Sendto(fd, routeMessage(request, flags, dst, oif), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return nil, os.NewSyscallError("recvfrom", err)
	}
	if n < unix.NLMSG_HDRLEN+4 {
		return nil, errors.New("a short answer of the kernel")
	}
	body := buf[unix.NLMSG_HDRLEN:n]
	if binary.NativeEndian.Uint16(buf[4:]) != unix.NLMSG_ERROR {
		return body, nil
	}
	if errno := -int32(binary.NativeEndian.Uint32(body)); errno != 0 {
		return nil, unix.Errno(errno)
	}
	return nil, nil
}

// routeMessage is nlmsghdr, rtmsg, RTA_DST and RTA_OIF (netlink(7), rtnetlink(7)).
func routeMessage(request, flags uint16, dst netip.Prefix, oif uint32) []byte {
	family := byte(unix.AF_INET6)
	if dst.Addr().Is4() {
		family = unix.AF_INET
	}
	rtm := make([]byte, unix.SizeofRtMsg)
	rtm[0], rtm[1] = family, byte(dst.Bits())
	if request == unix.RTM_NEWROUTE {
		rtm[4], rtm[5] = unix.RT_TABLE_LOCAL, unix.RTPROT_STATIC
		rtm[6], rtm[rtmType] = unix.RT_SCOPE_HOST, unix.RTN_LOCAL
	}
	b := make([]byte, unix.NLMSG_HDRLEN)
	b = append(b, rtm...)
	attribute := func(kind uint16, value []byte) {
		b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, value...)
	}
	attribute(unix.RTA_DST, dst.Addr().AsSlice())
	if oif != 0 {
		attribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, oif))
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], request)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	return b
}
