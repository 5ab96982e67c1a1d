package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/nowait"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	// smallRead is the buffer that a read starts with: header and body of most requests in one call.
	smallRead = 16 << 10
	// expectMax bounds the buffer that a read starts with after a larger request.
	expectMax = 256 << 10
	// growth bounds a frame's buffer by what was received of it already.
	growth = 8
	// prefix is what is read of a frame before the request is let in: length and API.
	prefix = 6
)

// reader cuts the connection's bytes into frames. It belongs to the connection's reader goroutine.
type reader struct {
	c   *conn
	try func(fd uintptr) bool

	buf  *bufpool.Buf // what was read ahead, B[r:w]; nil if nothing
	r, w int

	// expect is the length of the last frame: producers send many of about one size, so that the next is likely to
	// come in one read that ends with it.
	expect int

	// Arguments and results of tryRead, which is called by the runtime's poller.
	into []byte // nil: a fresh small buffer
	n    int
	err  error

	deadline time.Time // what the socket has
}

func (rd *reader) release() {
	rd.buf.Release()
	rd.buf, rd.r, rd.w = nil, 0, 0
}

func (rd *reader) have() int { return rd.w - rd.r }

// tryRead is one attempt at a read that would rather not wait. Only when there is something to read does it take a
// buffer.
func (rd *reader) tryRead(fd uintptr) bool {
	p := rd.into
	var fresh *bufpool.Buf
	if p == nil {
		fresh = bufpool.Get(rd.first())
		p = fresh.B
	}
	n, err := nowait.Read(int(fd), p)
	switch {
	case err == syscall.EAGAIN:
		fresh.Release()
		return false
	case err != nil:
		fresh.Release()
		rd.n, rd.err = 0, os.NewSyscallError("read", err)
		return true
	case n == 0:
		fresh.Release()
		rd.n, rd.err = 0, io.EOF
		return true
	}
	rd.n, rd.err = n, nil
	if fresh != nil {
		rd.begin(fresh, n)
	}
	return true
}

// first is the length to start reading with.
func (rd *reader) first() int {
	if rd.expect > smallRead && rd.c.srv.budget.roomy() {
		return rd.expect
	}
	return smallRead
}

// begin takes a fresh buffer with n bytes for what was read ahead. A few bytes do not keep a large one.
func (rd *reader) begin(fresh *bufpool.Buf, n int) {
	if len(fresh.B) > smallRead && n < smallRead {
		small := bufpool.Get(smallRead)
		copy(small.B, fresh.B[:n])
		fresh.Release()
		fresh = small
	}
	rd.buf, rd.r, rd.w = fresh, 0, n
}

// read reads at least one byte: into p, or read-ahead into a fresh buffer if p is nil.
func (rd *reader) read(p []byte) (n int, err error) {
	if rd.c.raw != nil {
		rd.into = p
		if err := rd.c.raw.Read(rd.try); err != nil {
			return 0, err
		}
		rd.into = nil
		return rd.n, rd.err
	}
	if p != nil {
		return rd.c.nc.Read(p)
	}
	var first [prefix]byte
	if n, err = rd.c.nc.Read(first[:]); n == 0 {
		return 0, err
	}
	rd.buf, rd.r, rd.w = bufpool.Get(smallRead), 0, n
	copy(rd.buf.B, first[:n])
	return n, nil
}

// limitWait sets the socket's deadline, unless the one that it has is late enough.
func (rd *reader) limitWait(timeout, slack time.Duration) error {
	if timeout < 0 {
		if rd.deadline.IsZero() {
			return nil
		}
		rd.deadline = time.Time{}
	} else {
		want := time.Now().Add(timeout)
		if late := rd.deadline.Sub(want); !rd.deadline.IsZero() && late <= 0 && late > -slack {
			return nil
		}
		rd.deadline = want
	}
	if err := rd.c.nc.SetReadDeadline(rd.deadline); err != nil {
		return err
	}
	select {
	case <-rd.c.srv.stopping: // Stop may have set its own deadline in between
		return errStopping
	default:
		return nil
	}
}

// ahead makes at least n bytes available in buf; n is at most the size of a small buffer.
func (rd *reader) ahead(n int, limits *Limits) error {
	for rd.have() < n {
		if rd.have() == 0 {
			if err := rd.idle(limits); err != nil {
				return err
			}
			continue
		}
		if err := rd.limitWait(limits.FrameTimeout, limits.FrameTimeout/4); err != nil {
			return err
		}
		if rd.r > 0 && rd.r+n > len(rd.buf.B) {
			rd.w = copy(rd.buf.B, rd.buf.B[rd.r:rd.w])
			rd.r = 0
		}
		m, err := rd.read(rd.buf.B[rd.w:])
		if err != nil {
			return rd.explain(err, limits)
		}
		rd.w += m
	}
	return nil
}

// idle waits for the first byte of a request.
func (rd *reader) idle(limits *Limits) error {
	rd.release()
	for {
		if err := rd.limitWait(limits.IdleTimeout, limits.IdleTimeout/8); err != nil {
			return err
		}
		_, err := rd.read(nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		select {
		case <-rd.c.srv.stopping:
			return errStopping
		default:
		}
		rd.deadline = time.Time{}
		quiet := rd.c.quiet()
		if limits = rd.c.srv.limits.Load(); limits.IdleTimeout > 0 && quiet >= limits.IdleTimeout*7/8 && !rd.c.busy() {
			return fmt.Errorf("it was idle for %v (connections.max.idle.ms)", quiet.Round(time.Millisecond))
		}
	}
}

// busy reports whether a request waits for its answer.
func (c *conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n > 0
}

// explain turns errors in the middle of a frame into the peer's fault.
func (rd *reader) explain(err error, limits *Limits) error {
	select {
	case <-rd.c.srv.stopping:
		return errStopping
	default:
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return bad("its request did not arrive within the time limit of %v", limits.FrameTimeout)
	case err == io.EOF:
		return bad("it ended in the middle of a request")
	}
	return err
}

// next returns the next frame without its length, once the request may start, and its route. The caller releases
// the frame, whose capacity was counted in the budget.
func (rd *reader) next() (*bufpool.Buf, *route, error) {
	limits := rd.c.srv.limits.Load()
	if err := rd.ahead(4, limits); err != nil {
		return nil, nil, err
	}
	size, err := checkLength(rd.buf.B[rd.r:], limits)
	if err != nil {
		return nil, nil, err
	}
	if err := rd.ahead(prefix, limits); err != nil {
		return nil, nil, err
	}
	r, err := rd.c.check(rd.buf.B[rd.r:], size)
	if err != nil {
		return nil, nil, err
	}
	if err := rd.c.admit(r); err != nil {
		return nil, nil, err
	}
	frame, err := rd.body(4+size, limits)
	if err != nil {
		return nil, nil, err
	}
	return frame, r, nil
}

func checkLength(head []byte, limits *Limits) (int, error) {
	size := int(int32(binary.BigEndian.Uint32(head)))
	if size < wire.MinRequestBytes || size > limits.MaxRequestBytes {
		return 0, bad("it sent a request length of %d, allowed are %d to %d (socket.request.max.bytes)%s",
			size, wire.MinRequestBytes, limits.MaxRequestBytes, guess(head))
	}
	return size, nil
}

// check judges a frame by its API, whose key follows the length.
func (c *conn) check(head []byte, size int) (*route, error) {
	key := int16(binary.BigEndian.Uint16(head[4:]))
	if key < 0 || int(key) >= len(c.lis.routes) || c.lis.routes[key] == nil {
		return nil, bad("it sent a request with the API key %d, which is not served here", key)
	}
	r := c.lis.routes[key]
	if size > r.maxFrame {
		return nil, bad("it sent a %s request of %d bytes, allowed are %d", wire.APIName(key), size, r.maxFrame)
	}
	return r, nil
}

// guess names other protocols by their first bytes.
func guess(p []byte) string {
	switch {
	case p[0] == 0x16 && p[1] == 3:
		return "; it looks like a TLS handshake on a listener without TLS"
	case string(p[:4]) == "GET " || string(p[:4]) == "POST" || string(p[:4]) == "HEAD" || string(p[:4]) == "PUT ":
		return "; it looks like HTTP"
	}
	return ""
}

// body returns the frame of total bytes with the length, cut to what follows the length.
func (rd *reader) body(total int, limits *Limits) (*bufpool.Buf, error) {
	rd.expect = min(total, expectMax)
	if total > rd.have() {
		if total > smallRead {
			return rd.large(total, limits)
		}
		if err := rd.ahead(total, limits); err != nil {
			return nil, err
		}
	}
	var frame *bufpool.Buf
	if rest := rd.have() - total; total > smallRead/4 && rest < total {
		// The frame fills a good part of the buffer and takes it; what was read beyond moves.
		frame = rd.buf
		beyond := frame.B[rd.r+total : rd.w]
		frame.B = frame.B[rd.r+4 : rd.r+total]
		rd.buf, rd.r, rd.w = nil, 0, 0
		if rest > 0 {
			rd.buf, rd.w = bufpool.Get(max(smallRead, rest)), rest
			copy(rd.buf.B, beyond)
		}
	} else {
		// Others are copied out, so that a request that waits does not pin 16 KiB for a few bytes.
		frame = bufpool.Get(total - 4)
		copy(frame.B, rd.buf.B[rd.r+4:rd.r+total])
		if rd.r += total; rd.have() == 0 {
			rd.release()
		}
	}
	rd.c.srv.budget.force(int64(frame.Cap()))
	return frame, nil
}

// buffered reports whether a whole frame of the pipelined API key was read ahead.
func (rd *reader) buffered(key int16) bool {
	if rd.have() < prefix {
		return false
	}
	head := rd.buf.B[rd.r:]
	size := int(int32(binary.BigEndian.Uint32(head)))
	return size > prefix && size <= rd.have()-4 && int16(binary.BigEndian.Uint16(head[4:])) == key
}

// large reads a frame into a buffer of its own, which grows as the bytes come.
func (rd *reader) large(total int, limits *Limits) (*bufpool.Buf, error) {
	budget := &rd.c.srv.budget
	have := rd.have()
	first := bufpool.ClassSize(min(total, max(smallRead, growth*have)))
	if err := budget.take(int64(first), true, rd.c.srv.stopping); err != nil {
		return nil, err
	}
	frame := bufpool.Get(min(total, first))
	copy(frame.B, rd.buf.B[rd.r:rd.w])
	rd.release()
	end := time.Now().Add(limits.FrameTimeout + time.Duration(total/(64<<10))*time.Second)
	for have < total {
		if have == len(frame.B) {
			charged := frame.Cap()
			want := min(total, growth*have)
			if err := budget.take(int64(bufpool.ClassSize(want)), false, rd.c.srv.stopping); err != nil {
				return nil, rd.drop(frame, err)
			}
			frame = frame.Grow(want)
			budget.give(int64(charged))
		}
		n, err := rd.some(frame.B[have:], end)
		if have += n; err != nil {
			return nil, rd.drop(frame, rd.explain(err, limits))
		}
	}
	frame.B = frame.B[4:]
	return frame, nil
}

// some reads part of a large frame that must be complete at end. A peer that sends nothing for a while, when others
// wait for the memory that its frame holds, is given up earlier.
func (rd *reader) some(p []byte, end time.Time) (int, error) {
	stall := rd.c.srv.stall
	for {
		left := time.Until(end)
		if left <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		if err := rd.limitWait(min(left, stall), stall/4); err != nil {
			return 0, err
		}
		n, err := rd.read(p)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if rd.c.srv.budget.waiting.Load() > 0 {
			return 0, bad("its request stopped arriving while others wait for memory")
		}
	}
}

func (rd *reader) drop(frame *bufpool.Buf, err error) error {
	rd.c.srv.budget.give(int64(frame.Cap()))
	frame.Release()
	return err
}
