package wire

// Session is the streams of one session: Stdin, Stdout and Stderr each have a
// Sender at one end and a Receiver at the other. Those of the other role are
// nil.
type Session struct {
	Stdin          *Sender // client
	Stdout, Stderr *Receiver

	Input         *Receiver // server
	Output, Error *Sender
}

// Begin starts a session: its streams take part in the connection from now on.
// One session may be under way at a time: Begin ends the one before. A client
// calls it before it sends START, and uses the streams after that; a server calls
// it before it sends ACCEPT, so that no frame of the streams comes too early.
func (c *Conn) Begin() *Session {
	s := new(Session)
	if c.role == Client {
		s.Stdin, s.Stdout, s.Stderr = newSender(c, Stdin), newReceiver(c, Stdout), newReceiver(c, Stderr)
	} else {
		s.Input, s.Output, s.Error = newReceiver(c, Stdin), newSender(c, Stdout), newSender(c, Stderr)
	}
	c.End()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	if c.err != nil {
		s.fail(within(c.err))
	}
	return s
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

// begun takes START.
func (c *Conn) begun() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = c.session != nil
}

func (c *Conn) inSession() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session != nil
}

// Complete reports whether stdout and stderr have reached their EOF: a client's
// session is not over before. It is for clients.
func (s *Session) Complete() bool {
	return s.Stdout.complete() && s.Stderr.complete()
}

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
