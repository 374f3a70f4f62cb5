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

// IdleTimeoutFor returns the IdleTimeout that belongs to a DeadTimeout, 0 being
// the default: a third of it, so that an answer may take its time, but never above
// DefaultIdleTimeout, as the peer's DeadTimeout may be shorter than ours.
func IdleTimeoutFor(dead time.Duration) time.Duration {
	if dead == 0 {
		dead = DefaultDeadTimeout
	}
	return min(dead/3, DefaultIdleTimeout)
}

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

// heartbeat sends PING where this end would be silent or hears nothing, and PONG,
// which the read loop must not send itself: it never waits for the network's
// other direction.
func (c *Conn) heartbeat() {
	timer := time.NewTimer(c.idle)
	defer timer.Stop()
	p := pings{last: time.Now()}
	for {
		select {
		case <-c.done:
			return
		case n := <-c.pong:
			_ = c.Send(numberFrame(TypePong, 0, n))
		case <-timer.C:
			timer.Reset(c.ping(&p))
		}
	}
}

// pings are the PINGs that were sent.
type pings struct {
	n    uint64
	last time.Time // when the last one was, or the start
}

// ping sends a PING if nothing was sent for c.idle, whatever comes from the peer
// meanwhile: what this end has sent may wait in a long queue, and a PING of the
// peer's, which would be answered, in another. It sends one also if nothing came
// for c.idle, whatever this end sends: the peer need not have sent anything yet,
// by its own measure. It returns when to look again.
func (c *Conn) ping(p *pings) time.Duration {
	if !c.wmu.TryLock() {
		return c.idle / 4 // a frame is being sent right now
	}
	defer c.wmu.Unlock()
	quiet := max(time.Since(c.lastWrite), min(c.silence(), time.Since(p.last)))
	if quiet < c.idle {
		return c.idle - quiet
	}
	p.n++
	p.last = time.Now()
	_ = c.writeFrame(numberFrame(TypePing, 0, p.n))
	return c.idle
}

// watch ends a connection whose peer is silent for too long. It is apart from
// heartbeat, which may be waiting to write.
//
// The silence that counts is what this process could have heard. It looks often,
// and where it comes much too late for a look, it was stopped itself (SIGSTOP, a
// suspended machine), and the peer gets a whole new period: what it sent meanwhile
// may not have been read yet, and what it was asked meanwhile not sent. The silence
// that a client has announced does not count either.
func (c *Conn) watch() {
	pause := c.dead / 4
	due := time.Now().Add(pause)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-timer.C:
		}
		now := time.Now()
		if now.Sub(due) > c.dead/4 || c.paused.Load() {
			c.lastRead.Store(int64(now.Sub(c.start)))
		}
		silence := c.silence()
		if silence >= c.dead {
			c.bury(silence)
			return
		}
		pause = min(c.dead/4, c.dead-silence)
		due = now.Add(pause)
		timer.Reset(pause)
	}
}

// bury ends the connection for the silence of its peer.
func (c *Conn) bury(silence time.Duration) {
	if !c.mute.Load() {
		c.fail(&DeadError{Silence: silence})
		return
	}
	c.wmu.Lock() // nobody writes any more
	err := c.werr
	c.wmu.Unlock()
	c.fail(err)
}
