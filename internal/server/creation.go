package server

import (
	"cmp"
	"context"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/quota"
)

const (
	// addressIdle is after what time without connections the rate of an address is forgotten.
	addressIdle = time.Hour
	// maxAddresses bounds the addresses whose rate is measured; beyond, those that were quiet for longest are forgotten.
	maxAddresses = 10000
	// maxHeld bounds the connections that are kept open, unread, because their address makes too many; further ones are
	// closed at once.
	maxHeld = 1000
)

// creation measures how fast connections are made: all, those of each listener, those of each address that has a quota
// (KIP-402, KIP-612). Acceptors share it.
type creation struct {
	window quota.Window
	held   atomic.Int32

	mu        sync.Mutex
	all       quota.Rate
	listeners map[*listener]*listenerRate
	addresses map[netip.Addr]*addressRate
}

type listenerRate struct {
	rate quota.Rate
	// Over the time since the server started: for how long new connections had to wait, and for how long those of single
	// addresses were kept.
	waited, kept time.Duration
}

type addressRate struct {
	rate quota.Rate
	last int64
}

func (c *creation) init(w quota.Window, listeners []*listener) {
	if w.Samples <= 0 {
		w.Samples = 11
	}
	if w.Size <= 0 {
		w.Size = time.Second
	}
	c.window, c.all = w, quota.NewRate(w)
	c.listeners, c.addresses = map[*listener]*listenerRate{}, map[netip.Addr]*addressRate{}
	for _, l := range listeners {
		c.listeners[l] = &listenerRate{rate: quota.NewRate(w)}
	}
}

// count counts a new connection of a listener and returns how long it has to wait, a window at most. A protected listener
// is held to its own limit only.
func (c *creation) count(l *listener, protected bool, limits *Limits, now time.Time) time.Duration {
	at := now.UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	var wait time.Duration
	if !protected {
		c.all.Record(1, at)
		wait = c.excess(&c.all, limits.CreationRate, at)
	}
	of := c.listeners[l]
	of.rate.Record(1, at)
	wait = max(wait, c.excess(&of.rate, limits.Listeners[l.Name].CreationRate, at))
	of.waited += wait
	return wait
}

func (c *creation) excess(r *quota.Rate, limit float64, at int64) time.Duration {
	if limit == 0 {
		return 0
	}
	return min(r.Excess(max(limit, math.SmallestNonzeroFloat64), at), c.window.Size)
}

// address counts a connection of an address against that address's limit, unless it is above it: then it returns how long
// to keep the connection unread before it is closed.
func (c *creation) address(l *listener, ip netip.Addr, limit float64, now time.Time) time.Duration {
	if math.IsInf(limit, 1) {
		return 0
	}
	at := now.UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.addresses[ip]
	if a == nil {
		c.forget(at)
		a = &addressRate{rate: quota.NewRate(c.window)}
		c.addresses[ip] = a
	}
	a.last = at
	a.rate.Record(1, at)
	wait := c.excess(&a.rate, limit, at)
	if wait > 0 {
		a.rate.Record(-1, at) // it is not let in
		c.listeners[l].kept += wait
	}
	return wait
}

// forget makes room: addresses that were idle go, and if there are none the quarter that was quiet for longest.
func (c *creation) forget(at int64) {
	if len(c.addresses) < maxAddresses {
		return
	}
	type one struct {
		ip   netip.Addr
		last int64
	}
	all := make([]one, 0, len(c.addresses))
	for ip, a := range c.addresses {
		all = append(all, one{ip, a.last})
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Compare(a.last, b.last) })
	for i, o := range all {
		if i > len(all)/4 && at-o.last < addressIdle.Milliseconds() {
			break
		}
		delete(c.addresses, o.ip)
	}
}

// AcceptRate is what is measured of a listener's new connections, or with an empty name of all: connections a second of
// late, and for how many seconds in all they had to wait (Waited) or were kept because of their address (Kept).
type AcceptRate struct {
	Listener     string
	PerSecond    float64
	Waited, Kept float64
}

// AcceptRates are those of all listeners together, first, and of each.
func (s *Server) AcceptRates() []AcceptRate {
	at := time.Now().UnixMilli()
	c := &s.creation
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []AcceptRate{{PerSecond: c.all.PerSecond(at)}}
	for _, l := range s.listeners {
		of := c.listeners[l]
		out = append(out, AcceptRate{l.Name, of.rate.PerSecond(at), of.waited.Seconds(), of.kept.Seconds()})
	}
	return out
}

// settle makes a new connection wait as long as the rates ask for, and reports whether it may be served: not if the server
// stops, nor if its address makes too many.
func (s *Server) settle(l *listener, nc net.Conn) bool {
	limits := s.limits.Load()
	wait := s.creation.count(l, s.protected(l), limits, time.Now())
	if wait > 0 && !s.pause(wait) {
		_ = nc.Close() // nothing was said on it
		return false
	}
	if s.addressRate == nil {
		return true
	}
	ip := addrPort(nc.RemoteAddr()).Addr()
	if wait = s.creation.address(l, ip, s.addressRate(ip), time.Now()); wait == 0 {
		return true
	}
	s.keep(nc, wait)
	return false
}

// pause waits on an acceptor; false when the server stops.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stopping:
		return false
	}
}

// keep holds a refused connection open, unread, so that its peer does not come back at once.
func (s *Server) keep(nc net.Conn, wait time.Duration) {
	if s.creation.held.Add(1) <= maxHeld && s.group.Go("held connection", func(context.Context) {
		defer s.creation.held.Add(-1)
		s.pause(wait)
		_ = nc.Close() // nothing was said on it
	}) {
		return
	}
	s.creation.held.Add(-1)
	_ = nc.Close()
}
