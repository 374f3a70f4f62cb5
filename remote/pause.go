package remote

import "time"

// pausePatience is how long Pause may take.
const pausePatience = 500 * time.Millisecond

// Pause tells all hosts that this process is about to be stopped, so that they do
// not take its silence for its death, and returns when it has told them, or after
// half a second. Nothing is sent after that until resume is called, which must
// follow when the process runs again.
func (d *Dialer) Pause() (resume func()) {
	resumed := make(chan struct{})
	clients := d.living()
	told := make(chan struct{}, len(clients))
	for _, c := range clients {
		d.pausing.Go(func() {
			resume := c.wire.Pause()
			told <- struct{}{}
			<-resumed
			resume()
		})
	}
	limit := time.NewTimer(pausePatience)
	defer limit.Stop()
	for range clients {
		select {
		case <-told:
			continue
		case <-limit.C:
		}
		break
	}
	return func() { close(resumed) }
}

// living returns the clients whose connections have not ended.
func (d *Dialer) living() []*client {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*client
	for c := range d.clients {
		if c.wire.Err() == nil {
			list = append(list, c)
		} else {
			delete(d.clients, c)
		}
	}
	return list
}

// made takes a new client among those that Pause tells.
func (d *Dialer) made(c *client) *client {
	d.living()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.clients == nil {
		d.clients = make(map[*client]struct{})
	}
	d.clients[c] = struct{}{}
	return c
}
