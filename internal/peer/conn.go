package peer

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// readBuffer is how much is read ahead: the header of an answer, and small answers whole.
const readBuffer = 4 << 10

// growStep is how far an answer's buffer runs ahead of the bytes that have come, so that a length alone costs
// nothing.
const growStep = 1 << 20

// call is a request that is on a connection.
type call struct {
	correlation  int32
	key, version int16
	flexible     bool
	answer       *Answer
	err          error
	done         chan struct{} // closed when answer or err is set
	abandoned    bool          // nobody waits; the answer is dropped when it comes
}

// conn is one connection, from the dial to its end. Its end is final.
type conn struct {
	cfg      *Config
	nc       net.Conn
	format   *kmsg.RequestFormatter
	in       *bufio.Reader
	versions map[int16][2]int16 // of the other node; nil before negotiation
	slots    chan struct{}      // one for each request in flight
	until    time.Time          // the login's end; zero: none
	sending  lifecycle.IOLock   // over a send; held while a call is queued and written, so that both have one order
	out      []byte             // the sender's

	mu          sync.Mutex
	queue       []*call // in the order sent
	correlation int32
	err         error
	retired     bool          // ends when the queue is empty
	done        chan struct{} // closed when the connection has ended
	unwatch     func() bool   // with Direct: the group's end is of no interest any more
}

// open makes a connection, learns the versions and logs in.
func open(ctx context.Context, cfg *Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectTimeout)
	defer cancel()
	nc, err := cfg.Dial(ctx, cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", cfg.Address, err)
	}
	c := &conn{cfg: cfg, nc: nc, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(cfg.ClientID)), in: bufio.NewReaderSize(nc, readBuffer),
		slots: make(chan struct{}, cfg.InFlight), sending: lifecycle.NewIOLock(), done: make(chan struct{})}
	c.tune()
	if cfg.Direct {
		c.mu.Lock()
		c.unwatch = context.AfterFunc(cfg.Group.Context(), func() { c.shut(ErrClosed) })
		c.mu.Unlock()
	} else if !cfg.Group.Go("peer "+cfg.Address, c.read) {
		_ = nc.Close() // nothing was sent on it
		return nil, ErrClosed
	}
	if err := c.greet(ctx); err != nil {
		c.shut(err)
		return nil, &greetingError{address: cfg.Address, err: err}
	}
	return c, nil
}

// errGreeting is in the errors of connections that were made and came to nothing.
var errGreeting = errors.New("the other node does not let this one in")

type greetingError struct {
	address string
	err     error
}

func (e *greetingError) Error() string   { return "connect to " + e.address + ": " + e.err.Error() }
func (e *greetingError) Unwrap() []error { return []error{errGreeting, e.err} }

func (c *conn) tune() {
	t, ok := c.nc.(*net.TCPConn)
	if !ok {
		return
	}
	// None of these is needed for the connection to work.
	_ = t.SetNoDelay(true)
	if n := c.cfg.SendBufferBytes; n > 0 {
		_ = t.SetWriteBuffer(n)
	}
	if n := c.cfg.ReceiveBufferBytes; n > 0 {
		_ = t.SetReadBuffer(n)
	}
}

// apiVersions is the version of ApiVersions that is asked first; a node that does not know it says which it knows.
const apiVersions = 4

// greet negotiates versions and logs in.
func (c *conn) greet(ctx context.Context) error {
	ask := func(req kmsg.Request) (kmsg.Response, error) {
		a, err := c.do(ctx, req)
		if err != nil {
			return nil, err
		}
		a.Detach()
		return a.decode(req)
	}
	for version := int16(apiVersions); ; version = 0 {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version, req.ClientSoftwareName, req.ClientSoftwareVersion = version, "weir", "1"
		resp, err := ask(req)
		if err != nil {
			return err
		}
		r := resp.(*kmsg.ApiVersionsResponse)
		if wire.Code(r.ErrorCode) == wire.UnsupportedVersion && version > 0 {
			continue
		}
		if r.ErrorCode != 0 {
			return wire.Code(r.ErrorCode)
		}
		c.versions = make(map[int16][2]int16, len(r.ApiKeys))
		for _, k := range r.ApiKeys {
			c.versions[k.ApiKey] = [2]int16{k.MinVersion, k.MaxVersion}
		}
		break
	}
	if c.cfg.Login == nil {
		return nil
	}
	until, err := c.cfg.Login(ctx, func(req kmsg.Request) (kmsg.Response, error) {
		if err := c.choose(req); err != nil {
			return nil, err
		}
		return ask(req)
	})
	c.until = until
	return err
}

// choose sets the highest version that both sides know.
func (c *conn) choose(req kmsg.Request) error {
	key := req.Key()
	if key >= wire.FirstPrivateKey {
		req.SetVersion(req.MaxVersion()) // not negotiated: only Weir's nodes speak it
		return nil
	}
	limits, ok := c.versions[key]
	version := min(req.MaxVersion(), limits[1])
	if most, capped := c.cfg.MaxVersions[key]; capped {
		version = min(version, most)
	}
	if !ok || version < limits[0] {
		return fmt.Errorf("%w: %s at %s", ErrUnsupported, wire.APIName(key), c.cfg.Address)
	}
	req.SetVersion(version)
	return nil
}

// do sends a request and waits for its answer.
func (c *conn) do(ctx context.Context, req kmsg.Request) (*Answer, error) {
	if c.cfg.Direct {
		return c.doDirect(ctx, req)
	}
	begin := time.Now()
	timer := time.NewTimer(c.cfg.RequestTimeout)
	defer timer.Stop()
	select {
	case c.slots <- struct{}{}:
	case <-c.done:
		return nil, c.ended()
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, fmt.Errorf("%w: %s is busy", ErrTimeout, c.cfg.Address)
	}
	q, err := c.send(ctx, req)
	if err != nil {
		return nil, err
	}
	select {
	case <-q.done:
	case <-ctx.Done():
		if c.abandon(q) {
			c.expire(q, time.Until(begin.Add(c.cfg.RequestTimeout)))
			return nil, fmt.Errorf("%w: %w", ErrLost, ctx.Err())
		}
	case <-timer.C:
		c.shut(c.timedOut(q))
	}
	<-q.done
	return q.answer, q.err
}

// doDirect is do where nobody else reads.
func (c *conn) doDirect(ctx context.Context, req kmsg.Request) (*Answer, error) {
	select {
	case c.slots <- struct{}{}:
	case <-c.done:
		return nil, c.ended()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	q, err := c.send(ctx, req)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.shut(ctx.Err()) })
	defer stop()
	err = c.nc.SetReadDeadline(time.Now().Add(c.cfg.RequestTimeout))
	var a frame
	if err == nil {
		a, err = c.receive()
	}
	if err == nil {
		err = c.settle(a)
	}
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		err = errClosedThere
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w after %v (%s)", ErrTimeout, c.cfg.RequestTimeout, wire.APIName(req.Key()))
	}
	if err != nil {
		c.shut(err) // which settles q, if it is not settled
	}
	<-q.done
	return q.answer, q.err
}

// send queues a call and writes it. The slot goes back when the answer is there or the connection has ended.
func (c *conn) send(ctx context.Context, req kmsg.Request) (*call, error) {
	select {
	case c.sending <- struct{}{}:
		defer c.sending.Unlock()
	case <-c.done:
		return nil, c.ended()
	case <-ctx.Done():
		<-c.slots
		return nil, ctx.Err()
	}
	q := &call{key: req.Key(), version: req.GetVersion(), flexible: req.IsFlexible(), done: make(chan struct{})}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.ended()
	}
	if c.retired {
		c.mu.Unlock()
		<-c.slots
		return nil, errRetired
	}
	c.correlation++
	q.correlation = c.correlation
	c.queue = append(c.queue, q)
	c.mu.Unlock()
	c.out = c.format.AppendRequest(c.out[:0], req, q.correlation)
	err := c.nc.SetWriteDeadline(time.Now().Add(c.cfg.RequestTimeout))
	if err == nil {
		_, err = c.nc.Write(c.out)
	}
	if cap(c.out) > growStep {
		c.out = nil
	}
	if err != nil {
		c.shut(err) // which settles q
	}
	return q, nil
}

// abandon leaves a call to whoever settles it and reports whether it was not settled yet.
func (c *conn) abandon(q *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-q.done:
		return false
	default:
		q.abandoned = true
		return true
	}
}

// expire ends the connection if a call that nobody waits for any more has no answer in time either: what comes behind it
// would wait as well.
func (c *conn) expire(q *call, left time.Duration) {
	time.AfterFunc(left, func() {
		select {
		case <-q.done:
		default:
			c.shut(c.timedOut(q))
		}
	})
}

func (c *conn) timedOut(q *call) error {
	return fmt.Errorf("%w after %v (%s)", ErrTimeout, c.cfg.RequestTimeout, wire.APIName(q.key))
}

// ended is the error of a request that was not sent since the connection has ended.
func (c *conn) ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// shut ends the connection; what is on it fails with the first reason.
func (c *conn) shut(reason error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = fmt.Errorf("%w: %s: %w", ErrLost, c.cfg.Address, reason)
	close(c.done) // first: who is told by q.done and asks again must not find this connection
	calls := c.queue
	c.queue = nil
	for _, q := range calls {
		q.err = c.err
		close(q.done)
	}
	if c.unwatch != nil {
		c.unwatch()
	}
	c.mu.Unlock()
	_ = c.nc.Close() // the reason is known
}

// retire lets the calls on a connection end and takes no more; the connection ends after the last one.
func (c *conn) retire() {
	c.mu.Lock()
	c.retired = true
	idle := len(c.queue) == 0
	c.mu.Unlock()
	if idle {
		c.shut(errRetired)
	}
}

// errRetired ends a connection on which nobody waits. A request that gets it was not sent.
var errRetired = errors.New("the session of the login has ended")

var errClosedThere = errors.New("closed by the other side")

// tlsAlert begins what a listener with TLS answers to a request in plain text. As a length it would be an answer of 350 MB.
const tlsAlert = 0x15

var errSpeaksTLS = errors.New("the other side wants TLS (security protocol SSL or SASL_SSL)")

// read takes answers until the connection ends.
func (c *conn) read(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { c.shut(ErrClosed) })
	defer stop()
	for {
		a, err := c.receive()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errClosedThere
			}
			c.shut(err)
			return
		}
		if err := c.settle(a); err != nil {
			c.shut(err)
			return
		}
	}
}

// frame is an answer before it is known whose it is.
type frame struct {
	correlation int32
	buf         *bufpool.Buf
}

func (c *conn) receive() (frame, error) {
	var head [8]byte
	if n, err := io.ReadFull(c.in, head[:]); n >= 3 && head[0] == tlsAlert && head[1] == 3 {
		return frame{}, errSpeaksTLS
	} else if err != nil {
		return frame{}, err
	}
	n := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if n < 0 || n > c.cfg.MaxResponseBytes {
		return frame{}, fmt.Errorf("an answer of %d bytes", n+4)
	}
	buf := bufpool.Get(min(n, growStep))
	for have := 0; ; {
		if _, err := io.ReadFull(c.in, buf.B[have:]); err != nil {
			buf.Release()
			return frame{}, err
		}
		if have = len(buf.B); have == n {
			return frame{int32(binary.BigEndian.Uint32(head[4:])), buf}, nil
		}
		buf = buf.Grow(min(n, 4*have))
	}
}

// settle gives an answer to the oldest call, whose it must be.
func (c *conn) settle(f frame) error {
	c.mu.Lock()
	if len(c.queue) == 0 || c.queue[0].correlation != f.correlation {
		c.mu.Unlock()
		f.buf.Release()
		return fmt.Errorf("an answer to request %d, which was not asked", f.correlation)
	}
	q := c.queue[0]
	c.queue = c.queue[1:]
	a := &Answer{Key: q.key, Version: q.version, Body: f.buf.B, buf: f.buf}
	err := a.cutHeader(q)
	if q.key == wire.KeyApiVersions && q.version > 0 && err == nil && !flexibleApiVersions(a.Body) {
		a.Version = 0 // a node that does not know the version answers in version 0 (KIP-511)
	}
	q.answer = a
	if q.err = err; err != nil || q.abandoned {
		a.Release()
		q.answer = nil
	}
	close(q.done)
	if err == nil && c.retired && len(c.queue) == 0 {
		err = errRetired
	}
	c.mu.Unlock()
	<-c.slots
	return err
}

// flexibleApiVersions tells an answer of the version asked for from the short one that stands for "not known".
func flexibleApiVersions(body []byte) bool {
	return len(body) < 2 || wire.Code(binary.BigEndian.Uint16(body)) != wire.UnsupportedVersion
}

// cutHeader takes the tags of a flexible answer's header off the body.
func (a *Answer) cutHeader(q *call) error {
	if !q.flexible || q.key == wire.KeyApiVersions {
		return nil
	}
	n, used := binary.Uvarint(a.Body)
	for b := a.Body[max(used, 0):]; used > 0; {
		if n == 0 {
			a.Body = b
			return nil
		}
		n--
		_, t := binary.Uvarint(b)
		if t <= 0 {
			break
		}
		size, s := binary.Uvarint(b[t:])
		if s <= 0 || size > uint64(len(b)-t-s) {
			break
		}
		b = b[t+s+int(size):]
	}
	return errors.New("the header of an answer is not valid")
}
