package serve

import (
	"container/list"
	"net"
	"sync"
)

// maxStrangers is how many connections may be open whose caller is not known yet.
const maxStrangers = 256

// strangers are the connections whose caller is not known yet, oldest first. When
// there are too many the oldest has to go: who has something to say has said it
// in milliseconds, so that a crowd of the silent keeps nobody out.
type strangers struct {
	mu    sync.Mutex
	queue list.List // of net.Conn
	place map[net.Conn]*list.Element
}

// add lets a stranger in, and returns the one that has to go for it, or nil.
func (s *strangers) add(conn net.Conn) (tooOld net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue.Len() >= maxStrangers {
		tooOld = s.queue.Remove(s.queue.Front()).(net.Conn)
		delete(s.place, tooOld)
	}
	if s.place == nil {
		s.place = make(map[net.Conn]*list.Element)
	}
	s.place[conn] = s.queue.PushBack(conn)
	return tooOld
}

// remove forgets a connection, which is no stranger's any more.
func (s *strangers) remove(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.place[conn]; e != nil {
		s.queue.Remove(e)
		delete(s.place, conn)
	}
}
