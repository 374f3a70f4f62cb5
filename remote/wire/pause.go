package wire

// Pause tells the server that this end, a client, is about to be stopped, as by
// SIGTSTP, and that its silence is no death until it is heard again. Nothing is sent
// after that until resume is called, which must follow; whoever sends, waits. Pause
// blocks while the network does.
func (c *Conn) Pause() (resume func()) {
	c.wmu.Lock()
	_ = c.writeFrame(Frame{Type: TypePause})
	return func() {
		_ = c.writeFrame(numberFrame(TypePing, 0, 0)) // it is heard
		c.wmu.Unlock()
	}
}

// patient is a stream that itself gives a peer up which does not take what it was
// sent, and that can be told to wait.
type patient interface{ SetPatient(bool) }

// setPaused takes PAUSE, and the first sign of life after it.
func (c *Conn) setPaused(paused bool) {
	if c.paused.Swap(paused) == paused {
		return
	}
	if p, ok := c.rwc.(patient); ok {
		p.SetPatient(paused)
	}
}
