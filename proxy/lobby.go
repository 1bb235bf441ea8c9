package proxy

import (
	"container/list"
	"net"
	"sync"
)

// lobby holds the connections that have not logged in. When it is full, the one that has been there longest gives way to
// the next: who logs in does so in milliseconds, so it is most likely one that never will. A flood of silent connections
// thus shuts nobody out.
type lobby struct {
	max int

	mu     sync.Mutex
	guests list.List // of net.Conn, the oldest in front
}

// enter lets a connection in. leave must be called when it has logged in or is gone. turned is whether another had to go.
func (l *lobby) enter(nc net.Conn) (leave func(), turned bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if turned = l.guests.Len() >= l.max; turned {
		oldest := l.guests.Front()
		l.guests.Remove(oldest)
		oldest.Value.(net.Conn).Close() // who serves it notices
	}
	place := l.guests.PushBack(nc)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.guests.Remove(place) // of no effect on one that was turned out
	}, turned
}
