package server

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/bufpool"
	"github.com/weir-stream/weir/internal/wire"
)

// States of an exchange: a request is answered once.
const (
	stateOpen int32 = iota
	stateAnswered
)

// request decodes a frame, puts it into the queue of answers and runs its handler. An error is the end of the
// connection.
func (c *conn) request(frame *bufpool.Buf, r *route) error {
	now := time.Now()
	if c.session != nil && !c.session.takes(r.Key, now) {
		if err := c.session.expired(r, now); err != nil {
			c.srv.budget.give(int64(frame.Cap()))
			frame.Release()
			return err
		}
	}
	e := newExchange()
	e.c, e.route, e.frame, e.size = c, r, frame, len(frame.B)
	e.charged, e.waited = int64(frame.Cap()), c.waited
	c.served = true
	c.touch(now)
	e.timing = Timing{Key: r.Key, Listener: c.lis.Name, RequestBytes: e.size}
	e.req.Received, e.req.Size = now, e.size
	unsupported, err := e.decode()
	if err != nil {
		e.releaseFrame()
		e.recycle()
		return badRequest{err}
	}
	e.state.Store(stateOpen)
	c.mu.Lock()
	c.queue[(c.head+c.n)%pipelineMax] = e
	c.n++
	c.bytes += e.charged
	c.key = r.Key
	c.handling = true
	c.current = e
	c.mu.Unlock()
	switch {
	case unsupported != nil:
		e.reply(&e.req, unsupported)
	case c.session != nil && c.session.takes(r.Key, now):
		err = c.session.answerAgain(c.srv.group.Context(), e)
	default:
		r.Handle(&e.req)
	}
	if herr := c.handled(e, r); herr != nil {
		return herr
	}
	return err
}

// handled ends the time of a handler on the reader and sends what is ready to be sent. When a whole request of the
// same pipelined API was read ahead, the answer waits for that one's, so that they go together.
func (c *conn) handled(e *exchange, r *route) error {
	c.mu.Lock()
	if c.current == e && !e.ready {
		e.ran = time.Now()
	}
	c.alone = c.current == e && !e.ready && e.req.Alone
	c.handling, c.current = false, nil
	c.mu.Unlock()
	if r.Pipelined && c.in.buffered(r.Key) {
		return nil
	}
	return c.flushReady()
}

// flushReady sends, on the reader, the answers that are next and ready, unless somebody else is at it.
func (c *conn) flushReady() error {
	c.mu.Lock()
	flush := c.n > 0 && c.queue[c.head].ready && !c.writing && !c.dead
	if flush {
		c.writing = true
	}
	c.mu.Unlock()
	if !flush {
		return nil
	}
	return c.out.flush()
}

// decode fills the request from the frame. A version of ApiVersions that is not served has an answer instead.
func (e *exchange) decode() (unsupported wire.Response, err error) {
	h, err := wire.ParseHeader(e.frame.B)
	if err != nil {
		return nil, err
	}
	c, r := e.c, e.route
	e.timing.Version = h.Version
	q := &e.req
	q.Key, q.Version, q.CorrelationID, q.Conn, q.Done = h.Key, h.Version, h.CorrelationID, &c.info, c.done
	q.ClientID = c.clientID(h.ClientID)
	if h.Version < r.MinVersion || h.Version > r.MaxVersion {
		if h.Key == wire.KeyApiVersions {
			e.releaseFrame()
			return wire.ApiVersionsUnsupported(r.MinVersion, r.MaxVersion), nil
		}
		return nil, bad("it sent a %s request of version %d, served are %d to %d",
			wire.APIName(h.Key), h.Version, r.MinVersion, r.MaxVersion)
	}
	limit := c.srv.limits.Load().DecodeBytes
	if h.Key == 0 {
		q.Produce = &e.produce
		return nil, e.produce.Decode(h.Version, h.Body, limit)
	}
	body := h.Body
	if r.aliases {
		body = e.own(h.Body)
	}
	if q.Body, err = wire.DecodeBody(h.Key, h.Version, body, limit); err != nil {
		return nil, err
	}
	e.releaseFrame()
	c.note(e)
	return nil, nil
}

// own returns body in memory that outlives the frame: the frame itself if it is large, a copy otherwise.
func (e *exchange) own(body []byte) []byte {
	if e.size <= smallRead {
		return append([]byte(nil), body...)
	}
	e.c.srv.budget.give(e.charged)
	e.charged = 0
	e.frame.Detach()
	e.frame = nil
	return body
}

// clientID returns the client id as a string, mostly the one of the request before.
func (c *conn) clientID(id []byte) string {
	if string(id) != c.lastClient {
		c.lastClient = string(id)
	}
	return c.lastClient
}

// note takes from a request what the connection itself wants to know. No request is in flight beside it.
func (c *conn) note(e *exchange) {
	switch b := e.req.Body.(type) {
	case *kmsg.ApiVersionsRequest:
		c.noteSoftware(&e.req)
	case *kmsg.FetchRequest:
		e.timing.Follower = b.ReplicaID >= 0 || b.ReplicaState.ID >= 0
	}
}

// noteSoftware keeps what the connection's first ApiVersions request says of the client.
func (c *conn) noteSoftware(q *wire.Request) {
	if b, ok := q.Body.(*kmsg.ApiVersionsRequest); ok && c.info.ClientSoftwareName == "" && q.Version >= 3 {
		c.info.ClientSoftwareName, c.info.ClientSoftwareVersion = b.ClientSoftwareName, b.ClientSoftwareVersion
	}
}

func (e *exchange) releaseFrame() {
	if e.frame != nil {
		e.frame.Release()
		e.frame = nil
	}
	e.c.srv.budget.give(e.charged)
	e.charged = 0
}

// reply is Request.Reply.
func (e *exchange) reply(_ *wire.Request, resp wire.Response) {
	if !e.state.CompareAndSwap(stateOpen, stateAnswered) {
		panic("server: request answered twice")
	}
	e.replied = time.Now()
	if o := e.c.srv.observer; o != nil && resp != nil {
		o.Answer(e.req.Key, resp)
	}
	if q := e.c.srv.quotas; q != nil && q.Measured() {
		q.Answered(&e.req, resp, e.local())
	}
	e.encode(resp)
	e.complete()
}

// local is how long the handler took, until it returned or answered.
func (e *exchange) local() time.Duration {
	e.c.mu.Lock()
	defer e.c.mu.Unlock()
	if e.ran.IsZero() {
		return e.replied.Sub(e.req.Received)
	}
	return e.ran.Sub(e.req.Received)
}

// hang is Request.Hangup.
func (e *exchange) hang(_ *wire.Request, reason string) {
	if !e.state.CompareAndSwap(stateOpen, stateAnswered) {
		panic("server: request answered twice")
	}
	e.replied = time.Now()
	e.hangup = reason
	e.complete()
}

// encode makes the answer's bytes, so that nothing of the request is needed any more.
func (e *exchange) encode(resp wire.Response) {
	if resp == nil {
		return
	}
	hint := int(e.route.hint.Load())
	e.buf = bufpool.Get(max(hint, 512))
	out := append(e.buf.B[:0], 0, 0, 0, 0)
	q := &e.req
	version := q.Version
	if k, ok := resp.(kmsg.Response); ok {
		if version < e.route.MinVersion || version > e.route.MaxVersion {
			version = k.GetVersion() // ApiVersionsUnsupported
		}
		k.SetVersion(version)
	}
	out = wire.AppendResponseHeader(out, q.Key, version, q.CorrelationID)
	if f, ok := resp.(*wire.FetchResponse); ok {
		e.fetch = f
		f.Version = version
		out, e.cuts = f.Encode(out, e.cuts[:0])
	} else {
		out = resp.AppendTo(out)
	}
	e.total = int64(len(out))
	for i := range e.cuts {
		e.total += e.cuts[i].Len()
	}
	binary.BigEndian.PutUint32(out, uint32(e.total-4))
	if len(out) > e.buf.Cap() {
		e.buf.Release() // the answer outgrew it
		e.buf = nil
	}
	if n := len(out); n > hint || n < hint/4 {
		e.route.hint.Store(int32(min(n, bufpool.MaxClass)))
	}
	e.out = out
}

// complete hands the answer to whoever sends next.
func (e *exchange) complete() {
	c := e.c
	charged := e.charged
	e.releaseFrame()
	throttle := time.Duration(e.req.ThrottleMs) * time.Millisecond
	e.timing.Throttle = throttle
	c.mu.Lock()
	if e.orphan || c.dead {
		orphan := e.orphan
		e.ready = true
		c.mu.Unlock()
		if orphan {
			e.finish(0)
		}
		return
	}
	e.ready = true
	c.bytes -= charged
	if throttle > 0 {
		c.muteUntil(e.replied.Add(throttle))
	}
	start := c.queue[c.head] == e && !c.writing && !c.handling
	if start {
		c.writing = true
		c.writers.Add(1)
	}
	here := e.req.MayBlock
	c.mu.Unlock()
	switch {
	case start && here:
		c.out.later()
	case start:
		go c.out.later()
	}
}

// finish accounts for an exchange whose answer is sent, or lost, and returns it to the pool.
func (e *exchange) finish(sent int64) {
	if e.fetch != nil {
		e.fetch.Release()
	}
	e.buf.Release()
	if o := e.c.srv.observer; o != nil {
		e.measure(sent)
		o.Request(&e.timing)
	}
	e.recycle()
}

func (e *exchange) measure(sent int64) {
	t := &e.timing
	t.ResponseBytes = max(sent-4, 0)
	t.Queue = e.waited
	if e.ran.IsZero() {
		t.Local = e.replied.Sub(e.req.Received)
	} else {
		t.Local = e.ran.Sub(e.req.Received)
		t.Remote = max(e.replied.Sub(e.ran), 0)
	}
	if !e.sending.IsZero() {
		t.ResponseQueue = e.sending.Sub(e.replied)
		t.Send = e.c.out.sentAt.Sub(e.sending)
	}
	t.Total = t.Queue + t.Local + t.Remote + t.ResponseQueue + t.Send
}

// recycle forgets everything that belonged to the request.
func (e *exchange) recycle() {
	e.produce.Reset()
	clear(e.cuts)
	reply, hang, cuts, produce := e.req.ReplyFunc, e.req.HangupFunc, e.cuts[:0], e.produce
	e.req = wire.Request{ReplyFunc: reply, HangupFunc: hang}
	e.produce, e.cuts = produce, cuts
	e.c, e.route, e.frame, e.fetch, e.buf, e.out = nil, nil, nil, nil, nil, nil
	e.charged, e.size, e.total, e.hangup = 0, 0, 0, ""
	e.ready, e.orphan = false, false
	e.ran, e.replied, e.sending = time.Time{}, time.Time{}, time.Time{}
	exchanges.Put(e)
}
