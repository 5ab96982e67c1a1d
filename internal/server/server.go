package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// Server serves any number of listeners. Make it with New; Start, Addr, SetLimits and Stop are safe for concurrent
// use.
type Server struct {
	log      *slog.Logger
	observer Observer
	quotas   Quotas
	listen   func(address string) (net.Listener, error)
	limits   atomic.Pointer[Limits]
	group    *lifecycle.Group
	budget   budget
	reads    chan struct{} // slots for reads of files that may wait for a disk
	logins   chan struct{} // slots for large requests of peers that are not authenticated
	stall    time.Duration // a frame may stop arriving for so long when others wait for memory
	began    time.Time

	addressRate func(netip.Addr) float64
	creation    creation

	listeners []*listener
	table     connTable

	mu       sync.Mutex
	started  bool
	stopOnce sync.Once
	stopping chan struct{} // closed: no new requests
	killed   chan struct{} // closed: connections end at once
}

type listener struct {
	Listener
	routes   []*route // by key
	ln       net.Listener
	failures failures
}

// route is a wire.Route with what is known of it in advance.
type route struct {
	wire.Route
	maxFrame int
	aliases  bool         // decoded requests alias the frame
	hint     atomic.Int32 // size of recent answers
}

func (r *route) name() string { return wire.APIName(r.Key) }

const stallTime = 5 * time.Second

// fileReads is how many answers may wait for a disk at a time; each of them holds a thread.
const fileReads = 64

// New checks the configuration and makes a server that does not listen yet.
func New(cfg Config) (*Server, error) {
	s := &Server{
		log:      cfg.Logger,
		observer: cfg.Observer,
		quotas:   cfg.Quotas,
		listen:   cfg.Listen,
		reads:    make(chan struct{}, fileReads),
		logins:   make(chan struct{}, largeLogins),
		stall:    stallTime,
		began:    time.Now(),
		stopping: make(chan struct{}),
		killed:   make(chan struct{}),

		addressRate: cfg.AddressRate,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.listen == nil {
		s.listen = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	s.group = lifecycle.New("server", s.log)
	if cfg.OnPanic != nil {
		s.group.OnPanic(cfg.OnPanic)
	}
	s.SetLimits(cfg.Limits)
	s.table.init()
	names := map[string]bool{}
	for _, l := range cfg.Listeners {
		if names[l.Name] {
			return nil, fmt.Errorf("two listeners are named %s", l.Name)
		}
		names[l.Name] = true
		lis, err := s.newListener(l)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		s.listeners = append(s.listeners, lis)
	}
	s.creation.init(cfg.RateWindow, s.listeners)
	return s, nil
}

func (s *Server) newListener(l Listener) (*listener, error) {
	lis := &listener{Listener: l}
	limits := s.limits.Load()
	for _, r := range l.Routes {
		if wire.APIName(r.Key) == "" || r.MinVersion > r.MaxVersion || r.Handle == nil {
			return nil, fmt.Errorf("route of key %d is not complete", r.Key)
		}
		for int(r.Key) >= len(lis.routes) {
			lis.routes = append(lis.routes, nil)
		}
		if lis.routes[r.Key] != nil {
			return nil, fmt.Errorf("two routes have the key %d", r.Key)
		}
		maxFrame := r.MaxFrameBytes
		if maxFrame == 0 {
			maxFrame = max(wire.LargeFrames(r.Key, limits.MaxRequestBytes), wire.DefaultMaxFrame)
		}
		lis.routes[r.Key] = &route{Route: r, maxFrame: maxFrame, aliases: wire.AliasesFrame(r.Key)}
	}
	return lis, nil
}

// SetLimits changes the limits; connections that are open take them on with their next request.
func (s *Server) SetLimits(l Limits) {
	l = l.withDefaults()
	s.limits.Store(&l)
	s.budget.limit.Store(l.MemoryBytes)
	s.table.trim(s)
	s.table.wake()
}

// Listen binds all addresses without accepting yet, so that a port that is taken is known early. Start calls it if it
// was not called.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if l.ln != nil {
			continue
		}
		ln, err := s.listen(l.Address)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("listener %s: %w", l.Name, err)
		}
		if err := setBacklog(ln, l.Backlog); err != nil {
			s.log.Warn("the length of a listener's queue could not be set (socket.listen.backlog.size)", "listener", l.Name, "error", err)
		}
		l.ln = ln
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		if l.ln != nil {
			_ = l.ln.Close() // a listening socket has nothing to lose
		}
	}
}

// Start accepts connections on all listeners.
func (s *Server) Start() error {
	if err := s.Listen(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return errors.New("server was started before")
	}
	s.started = true
	for _, l := range s.listeners {
		s.group.Go("accept "+l.Name, func(context.Context) { s.accept(l) })
	}
	return nil
}

// Addr is the address that a listener is bound to, nil if it is not.
func (s *Server) Addr(listener string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if l.Name == listener && l.ln != nil {
			return l.ln.Addr()
		}
	}
	return nil
}

// Stop closes the listeners and all idle connections, lets requests in flight finish for at most the given time, then
// closes what is left and waits for its goroutines. Handlers must answer or give up when their connection's Done is
// closed. Stop may be called more than once.
func (s *Server) Stop(grace time.Duration) {
	s.stopOnce.Do(func() {
		close(s.stopping)
		s.mu.Lock()
		s.closeListeners()
		s.mu.Unlock()
		s.table.wake()
		s.table.each((*conn).interrupt)
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-s.table.empty():
		case <-t.C:
		}
		close(s.killed)
		s.table.each(func(c *conn) { c.shut("the server is stopping") })
	})
	s.group.Stop()
}

// Connections is how many connections are open.
func (s *Server) Connections() int { return s.table.len() }
