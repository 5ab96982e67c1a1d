package server

import (
	"cmp"
	"net/netip"
	"slices"
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

// protected reports whether a listener is not held up by the limits of all connections, as in Kafka: those of nodes among
// themselves, if there are other listeners.
func (s *Server) protected(l *listener) bool { return l.Privileged && len(s.listeners) > 1 }

// waitRoom waits until the listener may have another connection; false when the server stops.
func (t *connTable) waitRoom(s *Server, l *listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.awaitRoom(s, l)
}

// awaitRoom is waitRoom with t.mu held. A protected listener does not wait for the limit on all connections: add makes room
// for it.
func (t *connTable) awaitRoom(s *Server, l *listener) bool {
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
		limits := s.limits.Load()
		if t.by[l] < limits.listenerMax(l.Name) && (s.protected(l) || len(t.conns) < limits.MaxConnections) {
			return true
		}
		t.cond.Wait()
	}
}

// listenerMax is how many connections a listener may have.
func (l *Limits) listenerMax(name string) int {
	switch n := l.Listeners[name].MaxConnections; {
	case n > 0:
		return n
	case n < 0:
		return 0
	}
	return 1<<31 - 1
}

// trim closes what is open beyond the limit on all connections, those that were quiet for longest first.
func (t *connTable) trim(s *Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns != nil {
		t.makeRoom(s, s.limits.Load().MaxConnections)
	}
}

// makeRoom is trim with t.mu held.
func (t *connTable) makeRoom(s *Server, most int) {
	excess := len(t.conns) - most
	if excess <= 0 {
		return
	}
	var others []*conn
	for c := range t.conns {
		switch {
		case c.leaving:
			excess--
		case !s.protected(c.lis):
			others = append(others, c)
		}
	}
	slices.SortFunc(others, func(a, b *conn) int { return cmp.Compare(a.lastActive.Load(), b.lastActive.Load()) })
	for _, c := range others[:min(max(excess, 0), len(others))] {
		c.leaving = true
		c.shut("another connection needs its place (max.connections)")
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

// add registers a connection when its listener may have another one, unless its address has too many. It fails with -1 if
// the server stops.
func (t *connTable) add(s *Server, c *conn) (allowed int, ok bool) {
	ip := c.info.Remote.Addr()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.awaitRoom(s, c.lis) { // others may have taken the place since the acceptor saw it
		return -1, false
	}
	limits := s.limits.Load()
	allowed = max(limits.MaxConnectionsPerIP, 0)
	if n, found := limits.PerIP[ip.String()]; found {
		allowed = n
	}
	if t.perIP[ip] >= allowed {
		return allowed, false
	}
	t.perIP[ip]++
	t.by[c.lis]++
	t.conns[c] = struct{}{}
	if c.lis.secured() {
		t.opening[c] = struct{}{}
	}
	t.makeRoom(s, limits.MaxConnections)
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
