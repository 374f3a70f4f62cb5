package serve

import (
	"errors"
	"io"
	"os"
	"time"

	"rpipe/remote/wire"
)

// finish ends a settled call as its program has: with a reset after a signal, and
// after a status other than 0 where the service says so; else as a success, which
// is an end of output, and no reset whatever the client does meanwhile.
//
// Until here the connection is reset by whatever closes it, the end of this
// process among it.
func (c *serviceConn) finish(end wire.End) {
	if end.Signal != "" || end.Status != 0 && c.service.ResetOnFailure {
		c.awaitAcknowledged()
		return // run closes it
	}
	setClose(c.conn)
	if c.conn.CloseWrite() != nil {
		return
	}
	c.awaitClient()
}

// awaitClient reads and drops what the client still sends, until it ends: a connection
// that is closed with bytes unread is reset, and output on its way lost. When
// all of the output has been acknowledged, the client has as long as linger.
func (c *serviceConn) awaitClient() {
	step := min(time.Second, c.services.times.linger)
	var acknowledged time.Time
	for {
		if c.dropFor(step) != nil || c.stop() != nil || isDead(c.conn, c.services.times.dead) {
			return
		}
		linger := c.services.times.linger
		if c.services.isDraining() {
			linger = min(linger, time.Second)
		}
		switch {
		case unacknowledged(c.conn) > 0:
			acknowledged = time.Time{}
		case acknowledged.IsZero():
			acknowledged = time.Now()
		case time.Since(acknowledged) >= linger:
			return
		}
	}
}

// awaitAcknowledged returns when the client's system has all of the output, or the client
// has gone, and the connection is old enough to be reset: a client may still be in its
// connect. Meanwhile it drops what the client sends, which may be what keeps it from
// reading.
func (c *serviceConn) awaitAcknowledged() {
	by := time.Now().Add(c.services.times.linger)
	ended := false
	for wait := time.Millisecond; c.stop() == nil && time.Now().Before(by); wait = min(2*wait, 50*time.Millisecond) {
		young := c.services.times.reset - time.Since(c.accepted)
		if young <= 0 && unacknowledged(c.conn) == 0 {
			return
		}
		wait = max(wait, young)
		if ended {
			time.Sleep(wait)
			continue
		}
		switch err := c.dropFor(wait); {
		case err == io.EOF:
			ended = true
		case err != nil:
			return
		}
	}
}

// dropFor drops what comes for as long as d. The error is io.EOF after the client's
// end, or that of the connection.
func (c *serviceConn) dropFor(d time.Duration) error {
	buf := make([]byte, 16<<10)
	c.readBy(time.Now().Add(d))
	for {
		if _, err := c.conn.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
