package txn

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// AddForBrokers handles the AddPartitionsToTxn of brokers (from version 4 on): many transactions, each added to or only asked
// about. exists tells whether a partition is there.
func (c *Coordinator) AddForBrokers(req *kmsg.AddPartitionsToTxnRequest, exists func(log.TopicPartition) bool, reply func(*kmsg.AddPartitionsToTxnResponse)) {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	resp.Transactions = make([]kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	g := coordinator.NewGather(len(req.Transactions), func() { reply(resp) })
	for i := range req.Transactions {
		in, out := &req.Transactions[i], &resp.Transactions[i]
		out.TransactionalID = in.TransactionalID
		var parts []log.TopicPartition
		for _, t := range in.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, log.TopicPartition{Topic: t.Topic, Partition: p})
			}
		}
		set := func(code func(int) wire.Code) {
			n := 0
			for _, t := range in.Topics {
				rt := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
				rt.Topic = t.Topic
				for _, p := range t.Partitions {
					rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
					rp.Partition, rp.ErrorCode = p, int16(code(n))
					rt.Partitions = append(rt.Partitions, rp)
					n++
				}
				out.Topics = append(out.Topics, rt)
			}
			g.Done()
		}
		all := true
		for _, tp := range parts {
			all = all && exists(tp)
		}
		p := Producer{in.ProducerID, in.ProducerEpoch}
		switch {
		case !all:
			set(func(n int) wire.Code {
				if exists(parts[n]) {
					return wire.OperationNotAttempted
				}
				return wire.UnknownTopicOrPartition
			})
		case in.VerifyOnly:
			c.Verify(in.TransactionalID, p, parts, func(codes []wire.Code) { set(func(n int) wire.Code { return codes[n] }) })
		default:
			c.AddPartitions(in.TransactionalID, p, parts, versionEpochBump, func(code wire.Code) { set(func(int) wire.Code { return code }) })
		}
	}
	g.Done()
}

// Support says what a client knows of KIP-890, by the version of its request.
type Support int8

// The supports: none; the error TRANSACTION_ABORTABLE; partitions that are added by writing to them.
const (
	SupportsNothing Support = iota
	SupportsAbortable
	SupportsAdding
)

// Verifier asks coordinators whether partitions that are led here are in a producer's transaction, or has them added, before
// batches of it are appended (KIP-890). To each broker it has one request under way, in which what has gathered goes together.
// Safe for concurrent use.
type Verifier struct {
	c        *Coordinator
	failures *telemetry.Counter   // partitions that were refused
	took     *telemetry.Histogram // from a question to its answer

	mu     sync.Mutex
	queues map[int32]*verifyQueue
}

type verifyQueue struct {
	waiting []*question
	running bool
}

// question is one producer's partitions.
type question struct {
	id      string
	p       Producer
	parts   []log.TopicPartition
	support Support
	began   time.Time
	done    func([]wire.Code)
}

// NewVerifier asks by the same means as the broker's own coordinator, and is measured under Kafka's names.
func NewVerifier(c *Coordinator, r *telemetry.Registry) *Verifier {
	of := func(name string, kind telemetry.Kind, help string) telemetry.Fact {
		return telemetry.Fact{Domain: "kafka.server", Type: "AddPartitionsToTxnManager", Name: name, Kind: kind, Help: help}
	}
	return &Verifier{
		c: c, queues: map[int32]*verifyQueue{},
		failures: r.Counter(of("VerificationFailureRate", telemetry.Meter, "Partitions that a coordinator did not let into a transaction, or was not reached about.")),
		took:     r.Timing(of("VerificationTimeMs", telemetry.Timing, "Milliseconds until a coordinator has said whether partitions are in a transaction.")),
	}
}

// Verify calls done once with a code for each partition, in words that clients of such requests know. It keeps id and parts.
func (v *Verifier) Verify(id string, p Producer, parts []log.TopicPartition, s Support, done func([]wire.Code)) {
	v.ask(&question{id: id, p: p, parts: parts, support: s, began: time.Now(), done: done})
}

// coordinator is the broker that coordinates a transactional id, -1 if there is none now.
func (v *Verifier) coordinator(id string) int32 {
	broker, _ := v.c.deps.Cluster.Leader(log.TopicPartition{Topic: StateTopic, Partition: v.c.PartitionFor(id)})
	return broker
}

func (v *Verifier) ask(q *question) {
	broker := v.coordinator(q.id)
	if broker < 0 {
		v.answerAll(q, wire.CoordinatorNotAvailable)
		return
	}
	v.mu.Lock()
	w := v.queues[broker]
	if w == nil {
		w = &verifyQueue{}
		v.queues[broker] = w
	}
	w.waiting = append(w.waiting, q)
	var left []*question
	if !w.running {
		if w.running = v.c.deps.Group.Go("txn verification", func(ctx context.Context) { v.run(ctx, broker, w) }); !w.running {
			left, w.waiting = w.waiting, nil // the node stops
		}
	}
	v.mu.Unlock()
	for _, q := range left {
		v.answerAll(q, wire.CoordinatorNotAvailable)
	}
}

func (v *Verifier) run(ctx context.Context, broker int32, w *verifyQueue) {
	for {
		v.mu.Lock()
		batch := w.take()
		if len(batch) == 0 {
			w.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		v.exchange(ctx, broker, batch)
	}
}

// take returns what goes into one request: of each transactional id only the first question.
func (w *verifyQueue) take() []*question {
	var batch, rest []*question
	ids, bytes := map[string]bool{}, 0
	for _, q := range w.waiting {
		n := len(q.id) + sizeOf(q.parts)
		if ids[q.id] || len(batch) == entriesPerRequest || len(batch) > 0 && bytes+n > bytesPerRequest {
			rest = append(rest, q)
			continue
		}
		bytes += n
		ids[q.id] = true
		batch = append(batch, q)
	}
	w.waiting = rest
	return batch
}

func (v *Verifier) exchange(ctx context.Context, broker int32, batch []*question) {
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version = 5
	for _, q := range batch {
		t := kmsg.NewAddPartitionsToTxnRequestTransaction()
		t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = q.id, q.p.ID, q.p.Epoch, q.support != SupportsAdding
		at := map[string]int{}
		for _, tp := range q.parts {
			i, ok := at[tp.Topic]
			if !ok {
				i = len(t.Topics)
				at[tp.Topic] = i
				rt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
				rt.Topic = tp.Topic
				t.Topics = append(t.Topics, rt)
			}
			t.Topics[i].Partitions = append(t.Topics[i].Partitions, tp.Partition)
		}
		req.Transactions = append(req.Transactions, t)
	}
	got, err := v.c.ask(ctx, broker, req, func() bool {
		return slices.ContainsFunc(batch, func(q *question) bool { return v.coordinator(q.id) == broker })
	})
	resp, ok := got.(*kmsg.AddPartitionsToTxnResponse)
	if err != nil || !ok || resp.ErrorCode != 0 {
		code := wire.NetworkException
		if err == nil && ok {
			if code = wire.Code(resp.ErrorCode); code == wire.ClusterAuthorizationFailed {
				code = wire.InvalidTxnState // the client has nothing to do with rights between brokers
			}
		}
		v.c.deps.Logger.Warn("the coordinator of a transaction could not be asked", "broker", broker, "error", err, "code", code.Name())
		for _, q := range batch {
			v.answerAll(q, code)
		}
		return
	}
	answers := map[string]map[log.TopicPartition]wire.Code{}
	for _, t := range resp.Transactions {
		codes := map[log.TopicPartition]wire.Code{}
		for _, rt := range t.Topics {
			for _, p := range rt.Partitions {
				codes[log.TopicPartition{Topic: rt.Topic, Partition: p.Partition}] = wire.Code(p.ErrorCode)
			}
		}
		answers[t.TransactionalID] = codes
	}
	for _, q := range batch {
		v.take(q, answers[q.id])
	}
}

// take answers a question. A transaction before this one that is just being completed is waited for, a moment.
func (v *Verifier) take(q *question, answers map[log.TopicPartition]wire.Code) {
	codes := make([]wire.Code, len(q.parts))
	for i, tp := range q.parts {
		code, ok := answers[tp]
		switch {
		case !ok:
			code = wire.NetworkException
		case code == wire.ProducerFenced:
			code = wire.InvalidProducerEpoch // producers expect this one of a write
		case code == wire.TransactionAbortable && q.support == SupportsNothing:
			code = wire.InvalidTxnState
		case code == wire.ConcurrentTransactions && q.support == SupportsAdding && time.Since(q.began) < v.c.cfg.RetryMax:
			started := v.c.deps.Group.Go("txn verification retry", func(ctx context.Context) {
				t := time.NewTimer(v.c.cfg.RetryBackoff)
				defer t.Stop()
				select {
				case <-t.C:
					v.ask(q)
				case <-ctx.Done():
					v.answerAll(q, wire.CoordinatorNotAvailable)
				}
			})
			if !started { // the node stops
				v.answerAll(q, wire.CoordinatorNotAvailable)
			}
			return
		}
		codes[i] = code
	}
	v.answer(q, codes)
}

func (v *Verifier) answerAll(q *question, code wire.Code) {
	codes := make([]wire.Code, len(q.parts))
	for i := range codes {
		codes[i] = code
	}
	v.answer(q, codes)
}

func (v *Verifier) answer(q *question, codes []wire.Code) {
	for _, c := range codes {
		if c != wire.None {
			v.failures.Inc()
		}
	}
	v.took.Observe(time.Since(q.began))
	q.done(codes)
}
