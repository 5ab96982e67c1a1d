package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connNumber makes connection ids unique while the process lives.
var connNumber atomic.Uint64

// accept is the loop of one listener.
func (s *Server) accept(l *listener) {
	pause := time.Duration(0)
	for s.table.waitRoom(s, l) {
		nc, err := l.ln.Accept()
		if err == nil {
			pause = 0
			s.adopt(l, nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		// No descriptors left, most likely: they come back when connections close.
		pause = min(max(2*pause, 10*time.Millisecond), time.Second)
		s.log.Warn("accept failed", "listener", l.Name, "error", err, "retry_in", pause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.stopping:
			t.Stop()
			return
		}
	}
}

func (s *Server) adopt(l *listener, nc net.Conn) {
	if !s.settle(l, nc) {
		return
	}
	c := newConn(s, l, nc)
	if allowed, ok := s.table.add(s, c); !ok {
		if allowed < 0 { // the server stops
			reset(nc)
			return
		}
		s.log.Info("connection refused", "listener", l.Name, "peer", c.info.Remote,
			"reason", fmt.Sprintf("its address has %d connections already (max.connections.per.ip)", allowed))
		_ = nc.Close() // refused: what the peer sent does not matter
		return
	}
	if !s.group.Go("connection", c.serve) {
		s.table.remove(c)
		_ = nc.Close() // the server has stopped
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// serve runs a connection from its handshake to its end.
func (c *conn) serve(ctx context.Context) {
	if o := c.srv.observer; o != nil {
		o.ConnectionOpened(c.lis.Name)
	}
	var err error
	defer func() { c.end(err) }() // also on the way of a panic
	if err = c.open(ctx); err == nil {
		err = c.readLoop()
	}
}

// open runs the listener's Wrap and login within their time limit.
func (c *conn) open(ctx context.Context) error {
	c.tune()
	if !c.lis.secured() {
		c.plain()
		return nil
	}
	defer c.srv.table.opened(c)
	end := time.Now().Add(c.srv.limits.Load().HandshakeTimeout)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	if err := c.wrap(ctx, end); err != nil {
		return err
	}
	return c.login(ctx, end)
}

func (l *listener) secured() bool { return l.Wrap != nil || l.SASL != nil }

// wrap runs the listener's Wrap.
func (c *conn) wrap(ctx context.Context, end time.Time) error {
	if c.lis.Wrap == nil {
		c.plain()
		return nil
	}
	if err := c.nc.SetDeadline(end); err != nil {
		return err
	}
	wrapped, principal, err := c.lis.Wrap(ctx, c.nc)
	if err != nil {
		select {
		case <-c.srv.stopping:
			return errStopping
		default:
		}
		err = &handshakeError{err}
	}
	if o := c.srv.observer; o != nil && (c.lis.SASL == nil || err != nil) && !left(err) {
		o.Authenticated(&Login{Listener: c.lis.Name, Remote: c.info.Remote, Principal: principal, OK: err == nil, Err: err})
	}
	if err != nil {
		return err
	}
	if err := wrapped.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.info.Principal = principal
	c.mu.Lock()
	c.nc, c.wrapped = wrapped, true
	c.mu.Unlock()
	return nil
}

// left reports whether a peer went away in its handshake, which is no failed login: it may only have asked whether the port is
// open, or have been stopped. Who distrusts the certificate or has none that counts says or is told so. Kafka counts the same.
func left(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// handshakeError is the end of a connection in its Wrap. A peer that only looked whether somebody is there, and said
// nothing or left, is none.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

func (c *conn) tune() {
	t, ok := c.nc.(*net.TCPConn)
	if !ok {
		return
	}
	// None of these is needed for the connection to work.
	_ = t.SetNoDelay(true)
	if n := c.lis.SendBufferBytes; n > 0 {
		_ = t.SetWriteBuffer(n)
	}
	if n := c.lis.ReceiveBufferBytes; n > 0 {
		_ = t.SetReadBuffer(n)
	}
}

// plain notes that the connection is a bare socket, if it is one: reads and sends then need fewer calls.
func (c *conn) plain() {
	if t, ok := c.nc.(*net.TCPConn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
}

func (c *conn) logClosed(err error) {
	level, reason := closeReason(err)
	if level >= slog.LevelInfo {
		var failed *authError
		var handshake *handshakeError
		guarded := errors.As(err, &failed) || errors.As(err, &handshake)
		if more, say := c.lis.failures.say(guarded, time.Now()); say {
			args := []any{"listener", c.lis.Name, "peer", c.info.Remote, "connection", c.info.ID, "reason", reason}
			if more > 0 {
				args = append(args, "more_like_it", more)
			}
			c.srv.log.Log(context.Background(), level, "connection closed", args...)
		}
	}
	if o := c.srv.observer; o != nil {
		o.ConnectionClosed(c.lis.Name, reason)
	}
}

// failures bounds the lines that peers who are not let in can write into the log.
type failures struct {
	mu     sync.Mutex
	since  time.Time
	lines  int
	silent int
}

const (
	failureLines  = 10
	failureWindow = 10 * time.Second
)

// say decides whether a line is written, and how many were left out before it. Only lines about failures count.
func (f *failures) say(counts bool, now time.Time) (more int, yes bool) {
	if !counts {
		return 0, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= failureWindow {
		f.since, f.lines = now, 0
	}
	if f.lines++; f.lines > failureLines {
		f.silent++
		return 0, false
	}
	more, f.silent = f.silent, 0
	return more, true
}
