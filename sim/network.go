package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A network joins hosts. Bytes of a connection arrive in order and late; where the way is cut they wait until it is open
// again, as TCP's repetitions make it look. Connections end when a process does, and silently when a machine does.
type network struct {
	mu      sync.Mutex
	rng     *rand.Rand
	hosts   []*host
	cut     map[[2]*host]bool
	slow    map[[2]*host]time.Duration
	changed chan struct{} // closed and renewed when a way opens or ends
}

func newNetwork(rng *rand.Rand) *network {
	return &network{rng: rng, cut: map[[2]*host]bool{}, slow: map[[2]*host]time.Duration{}, changed: make(chan struct{})}
}

// A host is a machine with one process at a time.
type host struct {
	net    *network
	ip     net.IP
	frozen bool // its process is stopped; the system still takes connections
	off    bool // the machine is off: nobody answers
	life   *life
	port   int
}

// A life is one process's use of the network. It is what a node is given.
type life struct {
	h         *host
	over      bool
	listeners map[int]*listener
	conns     map[*conn]struct{}
}

func (n *network) host(ip net.IP) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &host{net: n, ip: ip, port: 30000}
	n.hosts = append(n.hosts, h)
	return h
}

// begin starts a process on the host, the one before it having ended.
func (h *host) begin() *life {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.off, h.frozen = false, false
	h.life = &life{h: h, listeners: map[int]*listener{}, conns: map[*conn]struct{}{}}
	h.net.tell()
	return h.life
}

// end ends the host's process. With the machine off, other hosts are not told: their connections hang, and are reset when
// they are used after the machine is on again.
func (h *host) end(off bool) {
	h.net.mu.Lock()
	l := h.life
	h.off, h.frozen = off, false
	if l == nil || l.over {
		h.net.mu.Unlock()
		return
	}
	l.over = true
	conns, listeners := l.conns, l.listeners
	l.conns, l.listeners = nil, nil
	h.net.tell()
	h.net.mu.Unlock()
	for _, ln := range listeners {
		ln.end()
	}
	for c := range conns {
		c.in.fail(net.ErrClosed)
		if !off {
			c.out.finish()
		}
	}
}

// tell wakes who waits for the network to change; net.mu is held.
func (n *network) tell() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// set changes the network.
func (n *network) set(f func()) {
	n.mu.Lock()
	f()
	n.tell()
	n.mu.Unlock()
}

// way reports whether bytes get from one host to another now, and gives what is closed when that may have changed.
func (n *network) way(from, to *host) (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[[2]*host{from, to}] && !from.frozen && !to.frozen, n.changed
}

func (n *network) delay(from, to *host) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := 30*time.Microsecond + time.Duration(n.rng.ExpFloat64()*float64(150*time.Microsecond))
	if s := n.slow[[2]*host{from, to}]; s > 0 {
		d += time.Duration(n.rng.Int64N(int64(s)))
	}
	return d
}

// Listen implements node.Network.
func (l *life) Listen(address string) (net.Listener, error) {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(p)
	if err != nil {
		return nil, err
	}
	l.h.net.mu.Lock()
	defer l.h.net.mu.Unlock()
	switch {
	case l.over:
		return nil, net.ErrClosed
	case l.listeners[port] != nil:
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: syscall.EADDRINUSE}
	}
	ln := &listener{l: l, addr: &net.TCPAddr{IP: l.h.ip, Port: port}, backlog: make(chan *conn, 128), done: make(chan struct{})}
	l.listeners[port] = ln
	return ln, nil
}

// Dial implements node.Network.
func (l *life) Dial(ctx context.Context, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: %w", address, err)}
	}
	addr, err := net.ResolveTCPAddr("tcp", address) // addresses only: nothing is asked
	if err != nil {
		return fail(err)
	}
	n := l.h.net
	for {
		n.mu.Lock()
		var to *host
		for _, h := range n.hosts {
			if h.ip.Equal(addr.IP) {
				to = h
			}
		}
		if to == nil || l.over {
			n.mu.Unlock()
			return fail(syscall.ENETUNREACH)
		}
		open := !to.off && !l.h.frozen && !n.cut[[2]*host{l.h, to}] && !n.cut[[2]*host{to, l.h}]
		changed := n.changed
		n.mu.Unlock()
		if !open {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return fail(ctx.Err())
			}
		}
		t := time.NewTimer(n.delay(l.h, to) + n.delay(to, l.h))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fail(ctx.Err())
		}
		c, err := n.connect(l, to, addr)
		if err != nil {
			return fail(err)
		}
		return c, nil
	}
}

func (n *network) connect(l *life, to *host, addr *net.TCPAddr) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.over {
		return nil, net.ErrClosed
	}
	if to.life == nil || to.life.over || to.life.listeners[addr.Port] == nil {
		return nil, syscall.ECONNREFUSED
	}
	ln := to.life.listeners[addr.Port]
	l.h.port++
	local := &net.TCPAddr{IP: l.h.ip, Port: l.h.port}
	there, back := newPipe(n, l, to.life), newPipe(n, to.life, l)
	client := &conn{l: l, in: back, out: there, local: local, remote: addr}
	server := &conn{l: to.life, in: there, out: back, local: addr, remote: local}
	select {
	case ln.backlog <- server:
	default:
		return nil, syscall.ECONNREFUSED
	}
	l.conns[client], to.life.conns[server] = struct{}{}, struct{}{}
	return client, nil
}

type listener struct {
	l       *life
	addr    *net.TCPAddr
	backlog chan *conn
	once    sync.Once
	done    chan struct{}
}

// Accept implements net.Listener.
func (ln *listener) Accept() (net.Conn, error) {
	select {
	case <-ln.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-ln.backlog:
		return c, nil
	case <-ln.done:
		return nil, net.ErrClosed
	}
}

func (ln *listener) end() { ln.once.Do(func() { close(ln.done) }) }

// Close implements net.Listener.
func (ln *listener) Close() error {
	ln.l.h.net.mu.Lock()
	if ln.l.listeners[ln.addr.Port] == ln {
		delete(ln.l.listeners, ln.addr.Port)
	}
	ln.l.h.net.mu.Unlock()
	ln.end()
	for {
		select {
		case c := <-ln.backlog:
			_ = c.Close() // nobody accepted it
		default:
			return nil
		}
	}
}

// Addr implements net.Listener.
func (ln *listener) Addr() net.Addr { return ln.addr }

// conn is one end of a connection.
type conn struct {
	l             *life
	in, out       *pipe
	local, remote *net.TCPAddr
}

func (c *conn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.in.limit(&c.in.readBy, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.limit(&c.out.writeBy, t) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) Close() error {
	n := c.l.h.net
	n.mu.Lock()
	delete(c.l.conns, c)
	n.mu.Unlock()
	c.in.fail(net.ErrClosed)
	c.out.finish()
	return nil
}

// window is how many bytes may be on their way in one direction.
const window = 1 << 20

// pipe is one direction of a connection: one reader, one writer.
type pipe struct {
	n        *network
	from, to *life

	mu              sync.Mutex
	parts           []part
	size            int
	last            time.Time // when the last part arrives
	readBy, writeBy time.Time
	closed          bool  // by the writer: no more is written
	err             error // of the reader's side being gone

	wake, room chan struct{}
}

// part is what one write sent; nil is the end.
type part struct {
	at time.Time
	p  []byte
}

func newPipe(n *network, from, to *life) *pipe {
	return &pipe{n: n, from: from, to: to, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *pipe) limit(which *time.Time, t time.Time) error {
	p.mu.Lock()
	*which = t
	p.mu.Unlock()
	poke(p.wake)
	poke(p.room)
	return nil
}

// fail ends both sides' use of the pipe.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	poke(p.wake)
	poke(p.room)
}

// finish says that no more is written; the reader learns of it behind what was.
func (p *pipe) finish() {
	at := time.Now().Add(p.n.delay(p.from.h, p.to.h))
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		if at.Before(p.last) {
			at = p.last
		}
		p.parts = append(p.parts, part{at: at})
	}
	p.mu.Unlock()
	poke(p.wake)
	poke(p.room)
}

// gone reports whether a process is not there any more, and whether its machine is on and can say so.
func (p *pipe) gone(l *life) (over, told bool) {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	return l.over, l.over && !l.h.off
}

func (p *pipe) read(b []byte) (int, error) {
	for {
		open, changed := p.n.way(p.from.h, p.to.h)
		_, told := p.gone(p.from)
		mine, _ := p.gone(p.to)
		now := time.Now()
		p.mu.Lock()
		switch {
		case mine || p.err != nil:
			p.mu.Unlock()
			return 0, net.ErrClosed
		case !p.readBy.IsZero() && !now.Before(p.readBy):
			p.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		var wait <-chan time.Time
		var timers []*time.Timer
		timer := func(at time.Time) {
			t := time.NewTimer(at.Sub(now))
			timers = append(timers, t)
			wait = t.C
		}
		next := p.readBy
		if open && len(p.parts) > 0 {
			first := &p.parts[0]
			if !first.at.After(now) {
				if first.p == nil {
					p.mu.Unlock()
					return 0, io.EOF
				}
				m := copy(b, first.p)
				if first.p = first.p[m:]; len(first.p) == 0 {
					p.parts = p.parts[1:]
				}
				p.size -= m
				p.mu.Unlock()
				poke(p.room)
				return m, nil
			}
			if next.IsZero() || first.at.Before(next) {
				next = first.at
			}
		} else if open && told && !p.closed {
			p.mu.Unlock()
			return 0, syscall.ECONNRESET
		}
		if !next.IsZero() {
			timer(next)
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-changed:
		case <-wait:
		}
		for _, t := range timers {
			t.Stop()
		}
	}
}

func (p *pipe) write(b []byte) (int, error) {
	sent := 0
	for len(b) > 0 {
		over, told := p.gone(p.to)
		mine, _ := p.gone(p.from)
		heard, changed := p.n.way(p.to.h, p.from.h)
		d := p.n.delay(p.from.h, p.to.h)
		now := time.Now()
		p.mu.Lock()
		switch {
		case mine || p.closed:
			p.mu.Unlock()
			return sent, net.ErrClosed
		case heard && (told || p.err != nil && !over):
			p.mu.Unlock()
			return sent, syscall.EPIPE
		case !p.writeBy.IsZero() && !now.Before(p.writeBy):
			p.mu.Unlock()
			return sent, os.ErrDeadlineExceeded
		}
		if m := min(len(b), window-p.size); m > 0 {
			at := now.Add(d)
			if at.Before(p.last) {
				at = p.last
			}
			p.last = at
			p.parts = append(p.parts, part{at, append([]byte(nil), b[:m]...)})
			p.size += m
			p.mu.Unlock()
			poke(p.wake)
			b, sent = b[m:], sent+m
			continue
		}
		var wait <-chan time.Time
		var t *time.Timer
		if !p.writeBy.IsZero() {
			t = time.NewTimer(p.writeBy.Sub(now))
			wait = t.C
		}
		p.mu.Unlock()
		select {
		case <-p.room:
		case <-changed:
		case <-wait:
		}
		if t != nil {
			t.Stop()
		}
	}
	return sent, nil
}
