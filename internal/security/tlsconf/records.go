package tlsconf

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/weir-stream/weir/internal/nowait"
)

// Package tls hands each record, of 16 KiB at most, to the socket by itself, and asks it for little more than one at a
// time. A broker moves far more: both ways many records go in one call.
const (
	// callBytes is what a call to the socket takes or brings at most, about.
	callBytes = 128 << 10
	// WriteBytes is how much to give to a Conn's Write at a time: whole records that leave in one call.
	WriteBytes = 7 * (16 << 10)
)

// blocks are buffers for a call. None belongs to a connection that waits for its peer.
var blocks = sync.Pool{New: func() any { return new([callBytes]byte) }}

// Conn is the server's end of a TLS connection over TCP. What is given to one Write leaves in one call to the socket, if
// it is not more than WriteBytes. Safe for concurrent use as a *tls.Conn is.
type Conn struct {
	*tls.Conn
	socket *socket
}

// Serve runs the handshake of a server. The caller closes nc if it fails.
func Serve(ctx context.Context, nc net.Conn, cfg *tls.Config) (*Conn, error) {
	s := &socket{Conn: nc}
	if t, ok := nc.(syscall.Conn); ok {
		s.raw, _ = t.SyscallConn()
	}
	c := &Conn{tls.Server(s, cfg), s}
	return c, c.HandshakeContext(ctx)
}

// Write sends p. The socket is written to once, after all of p's records were made.
func (c *Conn) Write(p []byte) (int, error) {
	c.socket.hold()
	n, err := c.Conn.Write(p)
	if flushErr := c.socket.flush(); err == nil && flushErr != nil {
		return 0, flushErr
	}
	return n, err
}

// socket is the TCP connection as package tls sees it.
type socket struct {
	net.Conn
	raw syscall.RawConn // nil: reads are as they are asked for

	// Of reads, which tls serializes.
	ahead  *[callBytes]byte // what was read and not asked for yet is in ahead[r:w]; nil if nothing
	r, w   int
	plenty bool // the last read brought all that there was room for: more is waiting
	n      int
	err    error

	mu   sync.Mutex // of what is held back; it is held over the write, so that records stay in order
	held *[callBytes]byte
	used int
}

// hold makes writes wait for flush.
func (s *socket) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = blocks.Get().(*[callBytes]byte)
	}
}

// Write takes a record from tls.
func (s *socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return s.Conn.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := copy(s.held[s.used:], rest)
		s.used += n
		if rest = rest[n:]; len(rest) > 0 {
			if err := s.send(); err != nil {
				return 0, err
			}
		}
	}
	return len(p), nil
}

// send writes what is held back; mu is held.
func (s *socket) send() error {
	if s.used == 0 {
		return nil
	}
	_, err := s.Conn.Write(s.held[:s.used])
	s.used = 0
	return err
}

func (s *socket) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return nil // another Write's flush has done it
	}
	err := s.send()
	blocks.Put(s.held)
	s.held = nil
	return err
}

// Read gives tls what it asks for. While there is plenty, a whole block is read and given out piece by piece.
func (s *socket) Read(p []byte) (int, error) {
	if s.ahead == nil {
		if !s.plenty || s.raw == nil || len(p) >= callBytes {
			n, err := s.Conn.Read(p)
			s.plenty = n == len(p)
			return n, err
		}
		if err := s.raw.Read(s.try); err != nil {
			return 0, err
		}
		if s.err != nil || s.n == 0 {
			return 0, s.err
		}
		s.plenty = s.w > len(p)
	}
	n := copy(p, s.ahead[s.r:s.w])
	if s.r += n; s.r == s.w {
		blocks.Put(s.ahead)
		s.ahead, s.r, s.w = nil, 0, 0
	}
	return n, nil
}

// try is one attempt at a read that would rather not wait: a block is taken only when there is something to read.
func (s *socket) try(fd uintptr) bool {
	block := blocks.Get().(*[callBytes]byte)
	n, err := nowait.Read(int(fd), block[:])
	if n <= 0 {
		blocks.Put(block)
	}
	switch {
	case err == syscall.EAGAIN:
		return false
	case err != nil:
		s.n, s.err = 0, os.NewSyscallError("read", err)
	case n == 0:
		s.n, s.err = 0, io.EOF
	default:
		s.n, s.err = n, nil
		s.ahead, s.r, s.w = block, 0, n
	}
	return true
}
