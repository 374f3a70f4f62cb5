package serve

import (
	"errors"
	"io"
	"os"
	"time"
)

// awaitFirst returns when the program may start. The error is errBrowser, or why there
// is no client any more: nothing runs.
//
// That is when the first bytes are not those of a browser, when the client ends
// without any, and, since there are programs that speak first, after a
// silence; but not after a silence where the program has the socket, since nobody
// looks at it then.
func (c *serviceConn) awaitFirst() error {
	if c.free() {
		return nil
	}
	if c.service.Socket {
		if err := c.peek(); err != nil {
			if stop := c.stop(); stop != nil {
				return stop
			}
			return err
		}
		return nil
	}
	return c.look(c.services.times.silence)
}

// free reports whether nobody is to look at what the client says.
func (c *serviceConn) free() bool { return c.service.Browsers || c.service.Network == "unix" }

// look reads the first bytes until they tell, or none came for as long as silence,
// where that is not 0, or they stayed too few to tell; then the rest may follow
// unseen. They are kept in c.first.
func (c *serviceConn) look(silence time.Duration) error {
	buf := make([]byte, maxLook)
	n := copy(buf, c.first)
	by := time.Time{}
	if silence > 0 {
		by = time.Now().Add(silence)
	}
	for c.readBy(by); ; {
		more, err := c.conn.Read(buf[n:])
		n += more
		c.first = buf[:n]
		switch {
		case c.stop() != nil:
			return c.stop()
		case lookAt(c.first) == lookBrowser:
			return errBrowser
		case err == io.EOF && isReset(c.conn):
			return errClientGone
		case err == io.EOF:
			c.inputEnd = true
		case errors.Is(err, os.ErrDeadlineExceeded):
		case err != nil:
			return connCause(err)
		case lookAt(c.first) == lookMore:
			if by.IsZero() || n == more { // they are the first of all
				by = time.Now().Add(c.services.times.hold)
				c.readBy(by)
			}
			continue
		}
		c.passed = n > 0 || c.inputEnd
		c.readBy(time.Time{})
		return nil
	}
}
