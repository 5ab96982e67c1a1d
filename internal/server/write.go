package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	// sendBatch is how many bytes of small answers are put into one write, and the chunk in which file ranges are
	// copied.
	sendBatch = 256 << 10
)

// sender writes a connection's answers. It belongs to whoever set conn.writing.
type sender struct {
	c        *conn
	try      func(fd uintptr) bool
	file     sendfile
	deadline time.Time // what the socket has
	moved    time.Time // when the peer was last seen to take something
	sentAt   time.Time // the end of the last send
	batch    []*exchange
	chunk    *bufpool.Buf
}

// later is flush on a goroutine of its own.
func (s *sender) later() {
	defer s.c.writers.Done()
	if err := s.flush(); err != nil {
		s.c.fail(err)
	}
}

// flush sends answers in order as long as the next one is ready, then gives up conn.writing. An error ends the
// connection; what was not sent stays in the queue.
func (s *sender) flush() error {
	c := s.c
	for {
		c.mu.Lock()
		s.batch = s.batch[:0]
		for i := 0; i < c.n; i++ {
			e := c.queue[(c.head+i)%pipelineMax]
			if !e.ready {
				break
			}
			s.batch = append(s.batch, e)
		}
		if len(s.batch) == 0 || c.dead {
			c.writing = false
			c.signal()
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		sent, err := s.send(s.batch)
		s.sent(sent)
		if err != nil {
			c.mu.Lock()
			c.writing, c.dead = false, true
			c.signal()
			c.mu.Unlock()
			return err
		}
	}
}

// sent takes the first n answers of the batch off the queue.
func (s *sender) sent(n int) {
	c := s.c
	s.sentAt = time.Now()
	c.touch(s.sentAt)
	c.mu.Lock()
	for range n {
		if c.queue[c.head] == c.current {
			c.current = nil
		}
		c.queue[c.head] = nil
		c.head = (c.head + 1) % pipelineMax
		c.n--
	}
	c.signal()
	c.mu.Unlock()
	for i, e := range s.batch[:n] {
		s.batch[i] = nil
		e.finish(e.total)
	}
}

// send writes answers, several small ones at a time, and says how many are done with.
func (s *sender) send(batch []*exchange) (done int, err error) {
	defer s.dropChunk()
	now := time.Now()
	for i, e := range batch {
		e.sending = now
		if e.hangup != "" {
			if err := s.flushChunk(false); err != nil {
				return done, err
			}
			return i, bad("%s", e.hangup)
		}
		if len(batch) == 1 && len(e.cuts) == 0 {
			if e.total > 0 {
				err = s.write(e.out, false)
			}
		} else {
			err = s.add(e)
		}
		if err != nil {
			return done, err
		}
		if s.chunk == nil || len(s.chunk.B) == 0 {
			done = i + 1
		}
	}
	return len(batch), s.flushChunk(false)
}

// add puts an answer into the chunk, or sends it past the chunk where that is cheaper.
func (s *sender) add(e *exchange) error {
	at := 0
	for i := range e.cuts {
		cut := &e.cuts[i]
		if err := s.bytes(e.out[at:cut.At]); err != nil {
			return err
		}
		at = cut.At
		if err := s.cut(cut); err != nil {
			return err
		}
	}
	return s.bytes(e.out[at:])
}

func (s *sender) cut(cut *wire.Cut) error {
	if cut.Range == nil {
		return s.bytes(cut.Bytes)
	}
	if least := s.c.srv.limits.Load().SendfileBytes; s.c.raw != nil && least >= 0 && cut.Range.Len >= least {
		if f, ok := cut.Range.File.(osFiler); ok {
			if file := f.OSFile(); file != nil {
				if err := s.flushChunk(true); err != nil {
					return err
				}
				return s.sendRange(file, cut.Range)
			}
		}
	}
	return s.copyRange(cut.Range)
}

// osFiler is a file that the operating system knows; nil if this one is not.
type osFiler interface{ OSFile() *os.File }

// readFailer is a file that wants to know of read errors that it cannot see itself.
type readFailer interface{ ReadFailed(error) }

func rangeFailed(r *vfs.Range, err error) error {
	if f, ok := r.File.(readFailer); ok {
		f.ReadFailed(err)
	}
	return fmt.Errorf("read %s for an answer: %w", r.File.Name(), err)
}

// space makes room in the chunk and returns it.
func (s *sender) space() ([]byte, error) {
	if s.chunk == nil {
		s.chunk = bufpool.Get(sendBatch)
		s.chunk.B = s.chunk.B[:0]
	}
	if len(s.chunk.B) == sendBatch {
		if err := s.flushChunk(true); err != nil {
			return nil, err
		}
	}
	return s.chunk.B[len(s.chunk.B):sendBatch], nil
}

func (s *sender) bytes(p []byte) error {
	for len(p) > 0 {
		room, err := s.space()
		if err != nil {
			return err
		}
		if len(p) >= sendBatch && len(s.chunk.B) == 0 {
			return s.write(p, false)
		}
		n := copy(room, p)
		s.chunk.B = s.chunk.B[:len(s.chunk.B)+n]
		p = p[n:]
	}
	return nil
}

// copyRange sends a file range through the chunk.
func (s *sender) copyRange(r *vfs.Range) error {
	for off := int64(0); off < r.Len; {
		room, err := s.space()
		if err != nil {
			return err
		}
		room = room[:min(int64(len(room)), r.Len-off)]
		s.c.srv.reads <- struct{}{}
		n, err := r.ReadAt(room, off)
		<-s.c.srv.reads
		if n < len(room) {
			if err == nil || err == io.EOF {
				return fmt.Errorf("%s is shorter than the answer that was made of it", r.File.Name())
			}
			return rangeFailed(r, err)
		}
		s.chunk.B = s.chunk.B[:len(s.chunk.B)+n]
		off += int64(n)
	}
	return nil
}

func (s *sender) flushChunk(more bool) error {
	if s.chunk == nil || len(s.chunk.B) == 0 {
		return nil
	}
	err := s.write(s.chunk.B, more)
	s.chunk.B = s.chunk.B[:0]
	return err
}

func (s *sender) dropChunk() {
	s.chunk.Release()
	s.chunk = nil
}

// wrappedChunk is how much is handed to TLS at a time: its deadline holds for the whole, and cannot be moved once it
// has passed. It is what security/tlsconf sends in one call.
const wrappedChunk = 7 * (16 << 10)

// writeWrapped sends p through TLS.
func (s *sender) writeWrapped(p []byte) error {
	for len(p) > 0 {
		s.moved = time.Now()
		if err := s.c.nc.SetWriteDeadline(s.moved.Add(s.c.srv.limits.Load().SendTimeout)); err != nil {
			return err
		}
		n, err := s.c.nc.Write(p[:min(len(p), wrappedChunk)])
		if err != nil {
			return s.explain(err)
		}
		p = p[n:]
	}
	return nil
}

// write sends p; more says that further bytes of the same answer follow at once.
func (s *sender) write(p []byte, more bool) error {
	if s.c.wrapped {
		return s.writeWrapped(p)
	}
	if err := s.limitSend(); err != nil {
		return err
	}
	for len(p) > 0 {
		var n int
		var err error
		if s.c.raw != nil {
			n, err = s.writeRaw(p, more)
		} else {
			n, err = s.c.nc.Write(p)
		}
		p = p[n:]
		switch {
		case err != nil:
			if !s.patient(n > 0, err) {
				return s.explain(err)
			}
		case len(p) > 0: // part of it went
			if err := s.limitSend(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sender) explain(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return bad("it took none of an answer for %v", s.c.srv.limits.Load().SendTimeout)
	}
	return err
}

// limitSend begins a send: it moves the socket's deadline when half of the time is gone.
func (s *sender) limitSend() error {
	timeout := s.c.srv.limits.Load().SendTimeout
	s.moved = time.Now()
	if s.deadline.Sub(s.moved) > timeout/2 {
		return nil
	}
	s.deadline = s.moved.Add(timeout)
	return s.c.nc.SetWriteDeadline(s.deadline)
}

// patient decides on an error of a send: a deadline that passed is moved if the peer took some bytes, or if it was
// not stuck for the whole time yet. A peer may be slow, but must not stop.
func (s *sender) patient(some bool, err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	if some {
		s.moved = now
	}
	s.deadline = s.moved.Add(s.c.srv.limits.Load().SendTimeout)
	return s.deadline.After(now) && s.c.nc.SetWriteDeadline(s.deadline) == nil
}
