package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// pipelineMax is the capacity of a connection's queue of answers.
const pipelineMax = 32

// conn is one connection. Its reader goroutine cuts frames, calls handlers, and sends the answers that handlers gave
// at once. Answers that come later are sent by a second goroutine that lives only while there are some. Between
// requests a connection holds no buffer.
type conn struct {
	srv  *Server
	lis  *listener
	raw  syscall.RawConn // nil unless nc is a bare TCP socket
	info wire.ConnInfo
	done chan struct{}

	began      time.Time    // when it was accepted
	lastActive atomic.Int64 // when the last byte was received or sent, in nanoseconds since the server began
	leaving    bool         // shut to make room for others; under the table's lock

	in  reader
	out sender

	session *session // nil on a listener without SASL
	sock    net.Conn // the bare connection under nc

	mu       sync.Mutex
	nc       net.Conn
	wrapped  bool                   // nc is not sock
	alone    bool                   // the last one wants none beside it until it is answered
	queue    [pipelineMax]*exchange // requests not answered yet, in order, from head on
	head, n  int
	bytes    int64 // of their frames
	key      int16 // the API of the last request
	handling bool  // the reader is within a handler and will flush after it
	writing  bool  // somebody is sending
	dead     bool  // nothing can be sent any more
	waiting  bool  // the reader waits for wake
	mute     time.Time
	reason   error     // why it was shut, if the server did it
	current  *exchange // whose handler runs on the reader, while it is in the queue

	// The reader's own: the client id of the last request, how long the next one waited to be let in, and whether there was one.
	lastClient string
	waited     time.Duration
	served     bool

	wake    chan struct{}
	timer   *time.Timer // the reader's, made when first needed
	writers sync.WaitGroup
}

func newConn(s *Server, l *listener, nc net.Conn) *conn {
	c := &conn{srv: s, lis: l, nc: nc, sock: nc, began: time.Now(), done: make(chan struct{}), wake: make(chan struct{}, 1)}
	c.info = wire.ConnInfo{
		Listener:         l.Name,
		SecurityProtocol: l.SecurityProtocol,
		Local:            addrPort(nc.LocalAddr()),
		Remote:           addrPort(nc.RemoteAddr()),
		Principal:        "User:ANONYMOUS",
		Privileged:       l.Privileged,
		Rights:           new(authz.Memory),
	}
	c.info.ID = fmt.Sprintf("%s-%s-%d", c.info.Local, c.info.Remote, connNumber.Add(1))
	c.in.c, c.out.c = c, c
	c.in.try, c.out.try = c.in.tryRead, c.out.trySendfile
	c.touch(c.began)
	return c
}

// touch notes that the connection is used. The clock is the monotonic one: when the time of day jumps nobody was idle.
func (c *conn) touch(now time.Time) { c.lastActive.Store(now.Sub(c.srv.began).Nanoseconds()) }

// quiet is how long the connection has not been used.
func (c *conn) quiet() time.Duration {
	return time.Since(c.srv.began) - time.Duration(c.lastActive.Load())
}

// shut closes the socket from outside; the reader notices and ends the connection.
func (c *conn) shut(reason string) {
	c.fail(errors.New(reason))
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	if c.reason == nil {
		c.reason = err
	}
	c.dead = true
	c.signal()
	c.mu.Unlock()
	_ = c.sock.Close() // it is given up, without the farewell of TLS, which could wait
}

// interrupt ends the reader's wait for bytes; it then sees that the server stops.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // a closed connection needs no wake-up
}

// signal wakes the reader if it waits; c.mu is held.
func (c *conn) signal() {
	if c.waiting {
		c.waiting = false
		c.wake <- struct{}{}
	}
}

// end closes the connection for the reason that the reader stopped for, and gives back what it held.
func (c *conn) end(err error) {
	c.mu.Lock()
	c.dead = true
	if c.reason != nil {
		err = c.reason
	}
	c.mu.Unlock()
	close(c.done)
	if errors.Is(err, errStopping) && !c.served {
		reset(c.sock)
	}
	_ = c.nc.Close() // nothing is left to be sent
	c.writers.Wait()
	c.in.release()
	if e := c.current; e != nil && e.state.CompareAndSwap(stateOpen, stateAnswered) {
		e.releaseFrame() // its handler panicked
	}
	c.dropAnswered()
	c.srv.table.remove(c)
	c.logClosed(err)
}

// reset closes a socket so that the peer is told of a connection that was reset. A server that stops does that to who has had
// no answer yet: some clients take an ordinary end at that point for a wrong security protocol, and give up what they
// wanted to send instead of connecting again.
func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // an ordinary end is no harm
	}
	_ = nc.Close()
}

// dropAnswered gives back what was answered but not sent. Requests that are not answered yet find the connection
// dead when they are.
func (c *conn) dropAnswered() {
	c.mu.Lock()
	var lost []*exchange
	for ; c.n > 0; c.n-- {
		if e := c.queue[c.head]; e.ready {
			lost = append(lost, e)
		} else {
			e.orphan = true
		}
		c.queue[c.head] = nil
		c.head = (c.head + 1) % pipelineMax
	}
	c.mu.Unlock()
	for _, e := range lost {
		e.finish(0)
	}
}

// readLoop serves requests until the peer closes (nil), something is wrong, or the server stops.
func (c *conn) readLoop() error {
	for {
		frame, r, err := c.in.next()
		if err == nil {
			err = c.request(frame, r)
		}
		if err != nil {
			if ferr := c.flushReady(); ferr != nil {
				return ferr
			}
			if err == errStopping {
				return c.drain()
			}
			return err
		}
	}
}

// admit waits until a request of the route may start: alone, or behind others of the same pipelined API within the
// limits, and not while the connection is muted.
func (c *conn) admit(r *route) error {
	limits := c.srv.limits.Load()
	c.waited = 0
	for {
		c.mu.Lock()
		free := c.n == 0 || r.Pipelined && !c.alone && c.key == r.Key && c.n < limits.PipelineRequests &&
			c.bytes < limits.PipelineBytes && !c.srv.budget.full()
		var pause time.Duration
		if !c.mute.IsZero() {
			if pause = time.Until(c.mute); pause <= 0 {
				c.mute = time.Time{}
			}
		}
		switch {
		case c.dead:
			c.mu.Unlock()
			return net.ErrClosed
		case free && pause <= 0:
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if err := c.flushReady(); err != nil {
			return err
		}
		if limits.IdleTimeout > 0 && pause > 0 {
			if quiet := c.quiet(); quiet >= limits.IdleTimeout {
				return fmt.Errorf("it was held back by a quota for longer than connections.max.idle.ms: %v", limits.IdleTimeout)
			} else if left := limits.IdleTimeout - quiet; left < pause {
				pause = left
			}
		}
		if err := c.sleep(pause); err != nil {
			return err
		}
	}
}

// muteUntil lets no request in before that time, unless it is muted for longer; c.mu is held.
func (c *conn) muteUntil(t time.Time) {
	if t.After(c.mute) {
		c.mute = t
	}
}

// sleep waits for a signal, for the pause if it is positive, or for the server to stop.
func (c *conn) sleep(pause time.Duration) error {
	c.mu.Lock()
	if c.n == 0 && pause <= 0 || c.dead {
		c.mu.Unlock()
		return nil // it changed in between
	}
	c.waiting = true
	c.mu.Unlock()
	began := time.Now()
	defer func() { c.waited += time.Since(began) }()
	var timeout <-chan time.Time
	if pause > 0 {
		if c.timer == nil {
			c.timer = time.NewTimer(pause)
		} else {
			c.timer.Reset(pause)
		}
		timeout = c.timer.C
		defer c.timer.Stop()
	}
	var err error
	select {
	case <-c.wake:
		return nil
	case <-timeout:
	case <-c.srv.stopping:
		err = errStopping
	}
	c.mu.Lock()
	if !c.waiting {
		<-c.wake // the signal came in between
	}
	c.waiting = false
	c.mu.Unlock()
	return err
}

// drain waits for the requests in flight when the server stops.
func (c *conn) drain() error {
	for {
		c.mu.Lock()
		if c.n == 0 || c.dead {
			c.mu.Unlock()
			return errStopping
		}
		c.waiting = true
		c.mu.Unlock()
		select {
		case <-c.wake:
		case <-c.srv.killed:
			return errStopping
		}
	}
}

// badRequest is a peer's fault, which costs it the connection and a line in the log.
type badRequest struct{ err error }

func (b badRequest) Error() string { return b.err.Error() }
func (b badRequest) Unwrap() error { return b.err }

func bad(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// closeReason says how loudly an end is logged. The ordinary ways of a peer to leave are not.
func closeReason(err error) (slog.Level, string) {
	var fault badRequest
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return slog.LevelDebug, ""
	case errors.Is(err, errStopping):
		return slog.LevelDebug, err.Error()
	case quietly(err):
		return slog.LevelDebug, err.Error()
	case errors.As(err, &fault):
		return slog.LevelWarn, err.Error()
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return slog.LevelInfo, "the peer was too slow"
	}
	return slog.LevelInfo, err.Error()
}

// quietly reports a handshake that did not begin: a peer that only asked whether the port is open.
func quietly(err error) bool {
	var h *handshakeError
	return errors.As(err, &h) && errors.Is(h.err, io.EOF)
}

// exchange is one request on its way to its answer. It is pooled; the handler holds it until it replies.
type exchange struct {
	req     wire.Request
	produce wire.ProduceRequest
	c       *conn
	route   *route
	frame   *bufpool.Buf // nil once the request's bytes are not needed
	charged int64        // of the process-wide budget
	size    int          // of the frame

	// The answer, set by reply or hangup. Under c.mu: ready and orphan.
	ready   bool
	orphan  bool // the connection ended first
	state   atomic.Int32
	buf     *bufpool.Buf
	out     []byte
	cuts    []wire.Cut
	fetch   *wire.FetchResponse
	total   int64
	hangup  string
	timing  Timing
	waited  time.Duration // before it was let in
	ran     time.Time     // the handler returned before the answer was there
	replied time.Time
	sending time.Time
}

var exchanges sync.Pool

func newExchange() *exchange {
	if e, ok := exchanges.Get().(*exchange); ok {
		return e
	}
	e := new(exchange)
	e.req.ReplyFunc, e.req.HangupFunc = e.reply, e.hang
	return e
}
