package handler

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// Produce, versions 3 to 13.
//
//	3  transactional id, batches v2     8  record errors, error message (KIP-467)
//	5  log start offset                 9  flexible
//	7  zstd                             10 current leader and node endpoints (KIP-951)
//	12 transactions V2 (KIP-890)        13 topic ids
//
// Versions 0 to 2 are claimed in ApiVersions, because old librdkafka looks for them, but not served.
//
// A write is answered when its batches are in the log (acks=1) or below the high watermark (acks=all); under
// weir.durability=fsync both wait for the disk first. With acks=0 nothing is answered; an error then closes the
// connection, as in Kafka, which is the only sign the client can get.
func (b *Broker) handleProduce(r *wire.Request) {
	req := r.Produce
	if req.Acks < -1 || req.Acks > 1 {
		b.refuseProduce(r, wire.InvalidRequiredAcks, "")
		return
	}
	req.Topics = produceOnce(req.Topics)
	if err := b.checkTransactional(r); err != nil {
		b.refuseProduce(r, wire.CodeOf(err), message(err))
		return
	}
	p := newPendingProduce(b, r)
	for ti := range req.Topics {
		t := &req.Topics[ti]
		for pi := range t.Partitions {
			p.append(ti, pi, t)
		}
	}
	if len(p.questions) > 0 {
		r.Alone = true // what comes after it must not be written before it
		p.verify()
		return
	}
	p.finish()
}

// adminClientID is the one client that may write to internal topics, as in Kafka.
const adminClientID = "__admin_client"

// refuseProduce answers every partition of the request with the same error.
func (b *Broker) refuseProduce(r *wire.Request, code wire.Code, text string) {
	p := newPendingProduce(b, r)
	for ti := range r.Produce.Topics {
		for pi := range r.Produce.Topics[ti].Partitions {
			p.fail(ti, pi, code, text)
		}
	}
	p.finish()
}

// pendingProduce is one Produce request between its appends and its answer.
type pendingProduce struct {
	b     *Broker
	r     *wire.Request
	resp  *kmsg.ProduceResponse
	waits []*replica.CommitSpec
	// questions are batches that may begin a transaction in their partition.
	questions []produceQuestion
	failed    bool
	answered  atomic.Bool
}

func newPendingProduce(b *Broker, r *wire.Request) *pendingProduce {
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = r.Version
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(r.Produce.Topics))
	for ti := range r.Produce.Topics {
		t := &r.Produce.Topics[ti]
		resp.Topics[ti].Topic, resp.Topics[ti].TopicID = t.Name, t.ID
		resp.Topics[ti].Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for pi := range t.Partitions {
			rp := &resp.Topics[ti].Partitions[pi]
			rp.Default()
			rp.Partition = t.Partitions[pi].Index
		}
	}
	return &pendingProduce{b: b, r: r, resp: resp}
}

// append checks one partition's batches, and writes them unless somebody has to be asked first.
func (p *pendingProduce) append(ti, pi int, t *wire.ProduceTopic) {
	in := &t.Partitions[pi]
	rep, name, code := p.b.Replicas.Find(t.Name, t.ID, in.Index, p.r.Version >= 13)
	if name != "" && !p.b.allowed(p.r, authz.Write, authz.Topic, name) {
		p.fail(ti, pi, wire.TopicAuthorizationFailed, "")
		return
	}
	if code != wire.None {
		code, leader := p.b.elsewhere(name, t.ID, in.Index, code)
		p.fail(ti, pi, code, "")
		p.hint(ti, pi, leader)
		return
	}
	if internalTopic(name) && p.r.ClientID != adminClientID {
		p.fail(ti, pi, wire.InvalidTopicException, "")
		return
	}
	if name == p.b.AuditTopic && !p.ofAudit() {
		p.fail(ti, pi, wire.InvalidTopicException, "")
		return
	}
	batch, err := record.CheckProduced(in.Records, p.r.Version)
	if err != nil {
		p.fail(ti, pi, wire.CodeOf(err), message(err))
		return
	}
	if batch.IsTransactional() && p.asks(ti, pi, rep, name, batch) {
		return
	}
	p.write(ti, pi, rep, 0)
}

// write appends one partition's batches and notes the outcome.
func (p *pendingProduce) write(ti, pi int, rep *replica.Replica, guard log.VerificationGuard) {
	in := &p.r.Produce.Topics[ti].Partitions[pi]
	res, err := p.b.Replicas.AppendGuarded(rep, in.Records, p.r.Produce.Acks, guard)
	out := &p.resp.Topics[ti].Partitions[pi]
	if err != nil {
		p.fail(ti, pi, wire.CodeOf(err), strings.TrimSuffix(res.ErrorMessage, ": "+wire.CodeOf(err).Name()))
		out.ErrorRecords = recordErrors(res.RecordErrors)
		out.LogStartOffset = res.LogStartOffset
		p.hintOf(ti, pi, rep)
		p.b.logWriteFault(rep, err)
		return
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = res.BaseOffset, res.AppendTimeMs, res.LogStartOffset
	if !p.b.Replicas.Committed(rep, res, p.r.Produce.Acks) {
		p.waits = append(p.waits, &replica.CommitSpec{Replica: rep, Offset: res.LastOffset + 1, Epoch: res.LeaderEpoch, Tag: replica.Place{Topic: ti, Partition: pi}})
	}
}

// ofAudit reports whether a write to the topic of the audit log comes from a node, and takes it off the quotas then.
func (p *pendingProduce) ofAudit() bool {
	if !p.b.writesAudit(p.r) {
		return false
	}
	p.r.Charged = true
	return true
}

func (p *pendingProduce) fail(ti, pi int, code wire.Code, msg string) {
	p.failed = true
	out := &p.resp.Topics[ti].Partitions[pi]
	out.ErrorCode, out.BaseOffset, out.LogAppendTime, out.LogStartOffset = int16(code), -1, -1, -1
	if msg != "" {
		out.ErrorMessage = &msg
	}
}

func (p *pendingProduce) hintOf(ti, pi int, rep *replica.Replica) {
	h := rep.Hint()
	p.hint(ti, pi, &h)
}

// hint tells a client that came to the wrong broker where the leader is (KIP-951).
func (p *pendingProduce) hint(ti, pi int, h *wire.LeaderHint) {
	out := &p.resp.Topics[ti].Partitions[pi]
	if p.r.Version < 10 || wire.Code(out.ErrorCode) != wire.NotLeaderOrFollower || h == nil {
		return
	}
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = h.LeaderID, h.LeaderEpoch
	p.resp.Brokers = p.b.appendProduceEndpoint(p.resp.Brokers, h.LeaderID, p.r.Conn.Listener)
}

// finish answers now, or when all that was written is committed.
func (p *pendingProduce) finish() {
	if len(p.waits) == 0 {
		p.answer()
		return
	}
	timeout := time.Duration(p.r.Produce.TimeoutMs) * time.Millisecond
	p.b.Replicas.AwaitCommit(p.waits, timeout, func() {
		for _, w := range p.waits {
			if code := w.Outcome(); code != wire.None {
				p.fail(w.Tag.Topic, w.Tag.Partition, code, "")
				p.hintOf(w.Tag.Topic, w.Tag.Partition, w.Replica)
			}
		}
		p.answer()
	})
}

func (p *pendingProduce) answer() {
	if !p.answered.CompareAndSwap(false, true) {
		return
	}
	if p.r.Produce.Acks == 0 {
		if p.failed {
			p.r.Hangup("a write with acks=0 failed")
			return
		}
		p.r.Reply(nil)
		return
	}
	p.r.Reply(p.resp)
}

func recordErrors(in []log.RecordError) []kmsg.ProduceResponseTopicPartitionErrorRecord {
	out := make([]kmsg.ProduceResponseTopicPartitionErrorRecord, 0, len(in))
	for i := range in {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset = in[i].Index
		if in[i].Message != "" {
			e.ErrorMessage = &in[i].Message
		}
		out = append(out, e)
	}
	return out
}

// logWriteFault notes what a client cannot mend. Faults of the disk are logged by the log room, once.
func (b *Broker) logWriteFault(rep *replica.Replica, err error) {
	if wire.CodeOf(err) == wire.UnknownServerError {
		b.Logger.Error("append failed", "topic", rep.Topic, "partition", rep.Index, "err", err)
	}
}
