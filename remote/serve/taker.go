package serve

import (
	"rpipe/remote/identity"
	"rpipe/remote/wire"
)

// badTicket is what every taker is told whose ticket is not good, whatever the
// reason.
const badTicket = "the ticket is not good"

// take answers TAKE, and keeps the connection for the session whose hop it is until
// that is done with it: what has come may wait there for its reader after the
// connection's end. It ends the connection.
func (c *conn) take(t wire.Take) {
	log := c.log.With("key", identity.Fingerprint(c.key))
	h := &hop{peer: identity.Fingerprint(c.key), tls: c.tls, wire: c.wire, over: make(chan struct{})}
	problem := c.server.tickets.take(c.key.Marshal(), t, func() *hop {
		h.stream = c.wire.BeginHop()
		return h
	})
	if problem != "" {
		log.Warn("hop refused", "reason", problem)
		c.send(wire.Refuse{Status: wire.StatusIdentity, Text: badTicket}.Frame())
		leave(c.tls, c.wire, turnAwayTimeout)
		return
	}
	c.server.strangers.remove(c.tcp)
	log.Info("hop taken")
	c.send(wire.Frame{Type: wire.TypeTaken})
	<-h.over // the session has an end
	leave(c.tls, c.wire, leaveTimeout)
}
