package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// socketMode is that of a Unix socket: to connect, one must be allowed to write. Its owner
// and group are those of the daemon; a folder with the set-group-ID bit gives it
// another group.
const socketMode = 0o660

// listenService opens the address of a service.
func listenService(service *Service) (net.Listener, error) {
	if service.Network == "unix" {
		return listenUnix(service.Address)
	}
	addr, err := netip.ParseAddrPort(service.Address)
	if err != nil {
		return nil, err
	}
	config := net.ListenConfig{
		Control: func(_, _ string, raw syscall.RawConn) error {
			var result error
			err := raw.Control(func(fd uintptr) { result = listenControl(service, fd, addr.Addr().Is6()) })
			return errors.Join(err, result)
		},
		KeepAlive: -1, // tune does
	}
	config.SetMultipathTCP(false) // whose endings were not looked at
	return config.Listen(context.Background(), "tcp", service.Address)
}

// listenUnix opens a socket, over one that a killed daemon has left.
func listenUnix(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && isLeftSocket(path) {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		ln.Close()
		return nil, fmt.Errorf("cannot set its mode: %w", err)
	}
	return ln, nil
}

// isLeftSocket reports whether path is a socket to which nobody listens.
func isLeftSocket(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return false
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
