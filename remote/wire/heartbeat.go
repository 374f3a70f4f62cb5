package wire

import (
	"fmt"
	"time"
)

// Heartbeats: see [Options].
const (
	DefaultIdleTimeout = 5 * time.Second
	DefaultDeadTimeout = 15 * time.Second
)

// DeadError is a peer that has been silent for too long.
type DeadError struct {
	Silence time.Duration
}

// Error says for how long.
func (e *DeadError) Error() string {
	d := e.Silence
	if d >= time.Second {
		d = d.Round(time.Second)
	}
	return fmt.Sprintf("nothing heard from it for %v", d)
}

// Timeout reports true: DeadError is a net.Error in this respect.
func (e *DeadError) Timeout() bool { return true }

// heard is the connection's reader. Every byte is a sign of life: a frame may
// take long on a slow network.
type heard struct{ c *Conn }

func (h heard) Read(p []byte) (int, error) {
	n, err := h.c.rwc.Read(p)
	if n > 0 {
		h.c.setPaused(false)
	}
	// A peer that cannot hear us is as good as silent.
	if n > 0 && !h.c.mute.Load() {
		h.c.lastRead.Store(int64(time.Since(h.c.start)))
	}
	return n, err
}

func (c *Conn) silence() time.Duration {
	return time.Since(c.start) - time.Duration(c.lastRead.Load())
}

// heartbeat sends PING where this end would be silent, and PONG, which the read
// loop must not send itself: it never waits for the network's other direction.
func (c *Conn) heartbeat() {
	timer := time.NewTimer(c.idle)
	defer timer.Stop()
	var pings uint64
	for {
		select {
		case <-c.done:
			return
		case n := <-c.pong:
			_ = c.Send(numberFrame(TypePong, 0, n))
		case <-timer.C:
			timer.Reset(c.ping(&pings))
		}
	}
}

// ping sends a PING if nothing was sent for c.idle, whatever comes from the peer
// meanwhile: what this end has sent may wait in a long queue, and a PING of the
// peer's, which would be answered, in another. It returns when to look again.
func (c *Conn) ping(n *uint64) time.Duration {
	if !c.wmu.TryLock() {
		return c.idle // a frame is being sent right now
	}
	defer c.wmu.Unlock()
	if quiet := time.Since(c.lastWrite); quiet < c.idle {
		return c.idle - quiet
	}
	*n++
	_ = c.writeFrame(numberFrame(TypePing, 0, *n))
	return c.idle
}

// watch ends a connection whose peer is silent for too long. It is apart from
// heartbeat, which may be waiting to write.
func (c *Conn) watch() {
	timer := time.NewTimer(c.dead)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-timer.C:
		}
		if c.paused.Load() {
			timer.Reset(c.dead)
			continue
		}
		silence := c.silence()
		if silence < c.dead {
			timer.Reset(c.dead - silence)
			continue
		}
		if c.mute.Load() {
			c.wmu.Lock() // nobody writes any more
			err := c.werr
			c.wmu.Unlock()
			c.fail(err)
		} else {
			c.fail(&DeadError{Silence: silence})
		}
		return
	}
}
