package wire

// Session is the streams of one session: Stdin, Stdout and Stderr each have a
// Sender at one end and a Receiver at the other. Those of the other role are
// nil, and on a hop all but Stdin and Input.
type Session struct {
	Stdin          *Sender // client
	Stdout, Stderr *Receiver

	Input         *Receiver // server
	Output, Error *Sender

	conn     *Conn
	hop      bool
	diverted [streams]bool // conn.mu is held
}

// Begin starts a session: its streams take part in the connection from now on.
// One session may be under way at a time: Begin ends the one before. A client
// calls it before it sends START, and uses the streams after that; a server calls
// it before it sends ACCEPT, so that no frame of the streams comes too early.
func (c *Conn) Begin() *Session {
	s := &Session{conn: c}
	if c.role == Client {
		s.Stdin, s.Stdout, s.Stderr = newSender(c, Stdin), newReceiver(c, Stdout), newReceiver(c, Stderr)
	} else {
		s.Input, s.Output, s.Error = newReceiver(c, Stdin), newSender(c, Stdout), newSender(c, Stderr)
	}
	c.install(s)
	return s
}

// BeginHop makes the connection a hop: its one stream is stdin, from the client,
// the taker, to the server. The taker calls it before it sends TAKE, and uses the
// stream after TAKEN; the server calls it before it sends TAKEN. No other session
// follows on the connection.
func (c *Conn) BeginHop() *Session {
	s := &Session{conn: c, hop: true}
	if c.role == Client {
		s.Stdin = newSender(c, Stdin)
	} else {
		s.Input = newReceiver(c, Stdin)
	}
	c.install(s)
	return s
}

// install makes s the session of the connection.
func (c *Conn) install(s *Session) {
	c.End()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	if c.err != nil {
		s.fail(within(c.err))
	}
}

// Divert takes a stream out of the session, since a hop carries it: this end sends
// nothing of it any more, its Sender or Receiver fails with ErrDiverted, and a frame
// of it from the peer is a protocol error. A client calls it before it sends START,
// a server while it handles that.
func (s *Session) Divert(id Stream) {
	s.conn.mu.Lock()
	s.diverted[id] = true
	s.conn.mu.Unlock()
	if x := s.sender(id); x != nil {
		x.fail(ErrDiverted)
	}
	if x := s.receiver(id); x != nil {
		x.fail(ErrDiverted)
	}
}

// carries reports whether frames of the stream may be on the connection. conn.mu
// is held.
func (s *Session) carries(id Stream) bool {
	return !s.diverted[id] && (!s.hop || id == Stdin)
}

// isComplete reports whether a stream had its EOF, or a hop carries it.
func (s *Session) isComplete(id Stream) bool {
	s.conn.mu.Lock()
	diverted := s.diverted[id]
	s.conn.mu.Unlock()
	return diverted || s.receiver(id).Complete()
}

// End ends the session: nothing is sent on its streams any more. A client calls
// it when it has the last END, and before it sends the next OPEN. A server calls
// it before it sends an END, since the next OPEN may follow at once; frames of
// the session that still come to a server are dropped until then. Without a
// session End does nothing.
func (c *Conn) End() {
	c.mu.Lock()
	s := c.session
	c.session, c.started = nil, false
	if s != nil {
		c.ended = c.role == Server
	}
	c.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// begun takes START, or TAKEN: each counts only where it belongs.
func (c *Conn) begun(t Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil && c.session.hop == (t == TypeTaken) {
		c.started = true
	}
}

func (c *Conn) inSession() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session != nil
}

// Complete reports whether stdout and stderr have reached their EOF, as far as they
// are not diverted: a client's session is not over before. It is for clients.
func (s *Session) Complete() bool { return s.isComplete(Stdout) && s.isComplete(Stderr) }

func (s *Session) sender(id Stream) *Sender {
	switch id {
	case Stdin:
		return s.Stdin
	case Stdout:
		return s.Output
	}
	return s.Error
}

func (s *Session) receiver(id Stream) *Receiver {
	switch id {
	case Stdin:
		return s.Input
	case Stdout:
		return s.Stdout
	}
	return s.Stderr
}

func (s *Session) fail(err error) {
	for id := range Stream(streams) {
		if x := s.sender(id); x != nil {
			x.fail(err)
		}
		if x := s.receiver(id); x != nil {
			x.fail(err)
		}
	}
}

func (s *Session) end() {
	for id := range Stream(streams) {
		if x := s.sender(id); x != nil {
			x.end()
		}
		if x := s.receiver(id); x != nil {
			x.end()
		}
	}
}
