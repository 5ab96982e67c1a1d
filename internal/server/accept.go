package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
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
	c := newConn(s, l, nc)
	if allowed, ok := s.table.add(c, s.limits.Load()); !ok {
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
	if err = c.handshake(ctx); err == nil {
		err = c.readLoop()
	}
}

// handshake runs the listener's Wrap within its time limit.
func (c *conn) handshake(ctx context.Context) error {
	c.tune()
	if c.lis.Wrap == nil {
		c.plain()
		return nil
	}
	timeout := c.srv.limits.Load().HandshakeTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.nc.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	wrapped, principal, err := c.lis.Wrap(ctx, c.nc)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := wrapped.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.info.Principal = principal
	c.mu.Lock()
	c.nc = wrapped
	c.mu.Unlock()
	return nil
}

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
		c.srv.log.Log(context.Background(), level, "connection closed", "listener", c.lis.Name, "peer", c.info.Remote,
			"connection", c.info.ID, "reason", reason)
	}
	if o := c.srv.observer; o != nil {
		o.ConnectionClosed(c.lis.Name, reason)
	}
}
