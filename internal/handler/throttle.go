package handler

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/wire"
)

// Quotas of clients: what an answer cost is counted when it is there, and the answer leaves at once with the time for which
// the connection is not read (KIP-219). The larger of two times counts, as in Kafka.

// Measured implements server.Quotas.
func (b *Broker) Measured() bool {
	t := b.Quotas.Table()
	return t.Has(quota.Produce) || t.Has(quota.Fetch) || t.Has(quota.Request) || t.Has(quota.Mutation)
}

// Answered implements server.Quotas.
func (b *Broker) Answered(r *wire.Request, resp wire.Response, local time.Duration) {
	if r.Charged {
		return
	}
	r.Charged = true
	var wait time.Duration
	switch {
	case r.Produce != nil:
		wait = b.heldBack(r, quota.Produce, float64(r.Size), local, r.Produce.Acks != 0)
	default:
		k := quota.Request
		wait = b.chargeTime(r, local)
		if t, ok := resp.(kmsg.ThrottleResponse); ok { // what the controller says, here or elsewhere
			if ms, _ := t.Throttle(); time.Duration(ms)*time.Millisecond > wait {
				k, wait = quota.Mutation, time.Duration(ms)*time.Millisecond
			}
		}
		b.noteWait(r, k, wait)
	}
	if wait <= 0 {
		return
	}
	r.ThrottleMs = int32(wait.Milliseconds())
	if t, ok := resp.(kmsg.SetThrottleResponse); ok {
		t.SetThrottle(r.ThrottleMs)
	}
}

// heldBack counts bytes and time, and says for how long the client is held back.
func (b *Broker) heldBack(r *wire.Request, k quota.Kind, bytes float64, local time.Duration, timed bool) time.Duration {
	byBytes := b.Quotas.Record(k, r.Conn.Principal, r.ClientID, bytes)
	var byTime time.Duration
	if timed {
		byTime = b.chargeTime(r, local)
	}
	if byBytes > byTime {
		b.noteWait(r, k, byBytes)
		return byBytes
	}
	b.noteWait(r, quota.Request, byTime)
	return byTime
}

// chargeTime counts a handler's time, as percent of a second.
func (b *Broker) chargeTime(r *wire.Request, local time.Duration) time.Duration {
	return b.Quotas.Record(quota.Request, r.Conn.Principal, r.ClientID, max(local, 0).Seconds()*100)
}

func (b *Broker) noteWait(r *wire.Request, k quota.Kind, wait time.Duration) {
	if wait > 0 {
		b.Quotas.Throttled(k, r.Conn.Principal, r.ClientID, wait)
	}
}

// throttled counts the answer to a consumer's fetch. If the client has to be held back, it gets an empty answer instead, and
// what it would have got does not count.
func (f *fetch) throttled(resp *wire.FetchResponse) bool {
	b, r := f.b, f.r
	if r.Charged || !b.Measured() {
		return false
	}
	r.Charged = true
	local := f.local
	if local == 0 {
		local = time.Since(r.Received)
	}
	size := float64(f.size(resp))
	wait := b.heldBack(r, quota.Fetch, size, local, true)
	if wait <= 0 {
		return false
	}
	b.Quotas.Unrecord(quota.Fetch, r.Conn.Principal, r.ClientID, size)
	r.ThrottleMs = int32(wait.Milliseconds())
	return true
}

// Bytes of an answer's parts besides names and records, about.
const (
	fetchHeadBytes      = 16
	fetchTopicBytes     = 20
	fetchPartitionBytes = 50
	fetchAbortedBytes   = 16
)

// size is about how long the answer is. Of a session only partitions with records or errors are sent.
func (f *fetch) size(resp *wire.FetchResponse) int64 {
	n := int64(fetchHeadBytes)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		sent := int64(0)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			bytes := int64(0)
			if p.Records != nil {
				bytes = p.Records.Len
			}
			if f.session == nil || bytes > 0 || p.ErrorCode != wire.None {
				sent += fetchPartitionBytes + bytes + fetchAbortedBytes*int64(len(p.AbortedTransactions))
			}
		}
		if sent > 0 {
			n += sent + fetchTopicBytes
			if !f.usesIDs {
				n += int64(len(t.Name))
			}
		}
	}
	return n
}

// replyThrottled answers without records. What the session knows stays as it was, so that the client loses nothing.
func (f *fetch) replyThrottled() {
	resp := &wire.FetchResponse{Version: f.r.Version, ThrottleMs: f.r.ThrottleMs}
	if s := f.session; s != nil {
		resp.SessionID = s.id
		s.mu.Lock()
		if s.epoch != f.epoch {
			resp.ErrorCode = wire.InvalidFetchSessionEpoch
		}
		s.mu.Unlock()
	}
	f.r.Reply(resp)
}
