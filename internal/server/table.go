package server

import (
	"net/netip"
	"sync"
	"time"
)

// connTable holds all connections and counts them by address. Acceptors wait on it when there are too many.
type connTable struct {
	mu    sync.Mutex
	cond  *sync.Cond
	conns map[*conn]struct{}
	perIP map[netip.Addr]int
	by    map[*listener]int
	// opening are the connections in their handshake or login.
	opening map[*conn]struct{}
	nobody  chan struct{} // closed when the table is empty, made by empty
}

func (t *connTable) init() {
	t.cond = sync.NewCond(&t.mu)
	t.conns = map[*conn]struct{}{}
	t.perIP = map[netip.Addr]int{}
	t.by = map[*listener]int{}
	t.opening = map[*conn]struct{}{}
}

func (t *connTable) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cond != nil {
		t.cond.Broadcast()
	}
}

func (t *connTable) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// waitRoom waits until the listener may have another connection; false when the server stops. A privileged
// listener does not wait for the limit on all connections: the connection of another listener that was quiet for
// longest makes room (as Kafka does).
func (t *connTable) waitRoom(s *Server, l *listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		select {
		case <-s.stopping:
			return false
		default:
		}
		if l.secured() && !t.roomToOpen(s) {
			t.cond.Wait()
			continue
		}
		if l.MaxConnections <= 0 || t.by[l] < l.MaxConnections {
			if len(t.conns) < s.limits.Load().MaxConnections {
				return true
			}
			if l.Privileged {
				if c := t.quietest(l); c != nil {
					c.shut("another connection needs its place (max.connections)")
				}
				return true
			}
		}
		t.cond.Wait()
	}
}

// handshakeGrace is how long a handshake is safe from those that come after it.
const handshakeGrace = time.Second

// roomToOpen reports whether another handshake may begin. When there are too many the oldest has to go, or, if all are
// young, the acceptor waits for it to grow old or to end.
func (t *connTable) roomToOpen(s *Server) bool {
	if len(t.opening) < s.limits.Load().MaxHandshakes {
		return true
	}
	var oldest *conn
	for c := range t.opening {
		if oldest == nil || c.began.Before(oldest.began) {
			oldest = c
		}
	}
	age := time.Since(oldest.began)
	if age < handshakeGrace {
		time.AfterFunc(handshakeGrace-age, t.wake)
		return false
	}
	delete(t.opening, oldest)
	oldest.shut("it did not finish its handshake while others wait for its place")
	return true
}

// opened takes a connection off those in their handshake.
func (t *connTable) opened(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.opening[c]; ok {
		delete(t.opening, c)
		t.cond.Broadcast()
	}
}

func (t *connTable) quietest(than *listener) *conn {
	var found *conn
	for c := range t.conns {
		if c.lis != than && !c.lis.Privileged && (found == nil || c.lastActive.Load() < found.lastActive.Load()) {
			found = c
		}
	}
	return found
}

// add registers a connection unless its address has too many.
func (t *connTable) add(c *conn, limits *Limits) (allowed int, ok bool) {
	ip := c.info.Remote.Addr()
	allowed = limits.MaxConnectionsPerIP
	if n, found := limits.PerIP[ip.String()]; found {
		allowed = n
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.perIP[ip] >= allowed {
		return allowed, false
	}
	t.perIP[ip]++
	t.by[c.lis]++
	t.conns[c] = struct{}{}
	if c.lis.secured() {
		t.opening[c] = struct{}{}
	}
	return allowed, true
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ip := c.info.Remote.Addr()
	delete(t.conns, c)
	delete(t.opening, c)
	t.by[c.lis]--
	if t.perIP[ip]--; t.perIP[ip] == 0 {
		delete(t.perIP, ip)
	}
	t.cond.Broadcast()
	if len(t.conns) == 0 && t.nobody != nil {
		close(t.nobody)
		t.nobody = nil
	}
}

func (t *connTable) each(f func(*conn)) {
	t.mu.Lock()
	all := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		f(c)
	}
}

// empty returns a channel that is closed as soon as there is no connection.
func (t *connTable) empty() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	ch := make(chan struct{})
	if len(t.conns) == 0 {
		close(ch)
	} else {
		t.nobody = ch
	}
	return ch
}
