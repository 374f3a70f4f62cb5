//go:build unix

package serve

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// canGiveSocket says whether a program can have a socket as standard input and output.
const canGiveSocket = true

// blockingFile returns a duplicate of a connection's descriptor that a program can use: reads
// and writes block. So do this process's own, until unblock.
func blockingFile(conn stream) (*os.File, error) {
	f, err := conn.File()
	if err != nil {
		return nil, err
	}
	if err := setNonblock(conn, false); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func unblock(conn stream) { _ = setNonblock(conn, true) }

func setNonblock(conn stream, on bool) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	result := error(nil)
	err = raw.Control(func(fd uintptr) { result = unix.SetNonblock(int(fd), on) })
	return errors.Join(err, result)
}

// peek is look for a program that is to have the socket: what it sees stays there. It
// waits for as long as the client says nothing.
func (c *serviceConn) peek() error {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, maxLook)
	var l look
	var peekErr error
	n, seen := 0, 0
	try := func(fd uintptr) bool {
		for {
			n, _, peekErr = unix.Recvfrom(int(fd), buf, unix.MSG_PEEK)
			if peekErr != unix.EINTR {
				break
			}
		}
		if peekErr == unix.EAGAIN {
			return false
		}
		if peekErr != nil || n == 0 {
			return true
		}
		l = lookAt(buf[:n])
		if l == lookMore && n > seen {
			if seen == 0 {
				c.readBy(time.Now().Add(c.services.times.hold))
			}
			seen = n
		}
		return l != lookMore
	}
	err = raw.Read(try)
	c.readBy(time.Time{})
	switch {
	case c.stop() != nil:
		return c.stop()
	case errors.Is(err, os.ErrDeadlineExceeded): // too few to tell
		return nil
	case err != nil:
		return err
	case peekErr != nil:
		return connCause(peekErr)
	case n == 0 && isReset(c.conn):
		return errClientGone
	case l == lookBrowser:
		return errBrowser
	}
	return nil
}
