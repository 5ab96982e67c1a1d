package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// transactor is one instance of a transactional producer: it does what clients of Apache Kafka do, and keeps what it was told.
// It belongs to one goroutine.
type transactor struct {
	c        *cluster
	cl       *client
	id       string
	instance int
	old      bool // its client is older than transactions V2 (KIP-890)
	timeout  time.Duration
	rng      *rand.Rand

	producer int64
	epoch    int16
	next     map[place]int32 // sequences, by partition
	added    map[place]bool  // partitions that are in the transaction, as old clients say it themselves
	at       int32           // the coordinator, -1: not known
	seq      int             // of its next record
	values   int             // made so far
	run      *txnRun         // the transaction that is open, nil if none
	fenced   bool
	lost     bool    // it did not get a transaction to its end: what it is told from here on is no surprise
	also     *client // closed with it; nil if there is none
	// overdue is when the transaction's time is over that is open, or that did not end as it should.
	overdue time.Time
	// torn says that something is on its way that might come later: an old client gets a new epoch then.
	torn bool
}

// oldVersions are those of clients before transactions V2. Producers add partitions up to version 3 of AddPartitionsToTxn only.
var (
	newVersions = map[int16]int16{int16(kmsg.AddPartitionsToTxn): 3}
	oldVersions = map[int16]int16{int16(kmsg.AddPartitionsToTxn): 3, int16(kmsg.Produce): 11, int16(kmsg.EndTxn): 4, int16(kmsg.TxnOffsetCommit): 4}
)

func (c *cluster) newTransactor(id string, instance int, rng *rand.Rand) *transactor {
	p := &transactor{c: c, id: id, instance: instance, rng: rng, producer: -1, epoch: -1, at: -1, timeout: time.Duration(3000+rng.IntN(6000)) * time.Millisecond}
	p.old = c.txnNow.Load() < 2 || rng.IntN(4) == 0
	p.cl = c.newClient(fmt.Sprintf("%s.%d", id, instance))
	p.cl.txnID, p.cl.versions = &p.id, newVersions
	if p.old {
		p.cl.versions = oldVersions
	}
	return p
}

// request is what a transactor asks of a coordinator.
type request struct {
	what string
	kind int8 // of the coordinator
	key  string
	req  func() kmsg.Request
	code func(kmsg.Response) wire.Code
}

// answer is how that ended. open says that some try may have done what was asked for, although the answer is an error.
type answer struct {
	resp kmsg.Response
	code wire.Code
	open bool
	err  error // nobody answered before the time was over
}

// ask asks again and again until the answer is not "later".
func (p *transactor) ask(ctx context.Context, r request, tries int) (a answer) {
	var at int32 = -1
	if r.kind == ofTransactions {
		at = p.at
	}
	for range tries {
		if a.err = p.try(ctx, r, &at, &a); a.err == nil {
			return a
		}
		if !wait(ctx, time.Duration(p.rng.Int64N(int64(150*time.Millisecond)))) {
			return a
		}
	}
	return a
}

func (p *transactor) try(ctx context.Context, r request, at *int32, a *answer) error {
	try, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if *at < 0 {
		if err := p.cl.refresh(try); err != nil {
			return err
		}
		id, err := p.cl.coordinator(try, r.kind, r.key)
		if err != nil {
			return err
		}
		*at = id
		if r.kind == ofTransactions {
			if p.at >= 0 && p.at != id && p.run != nil {
				p.c.reach("the coordinator of an open transaction moved")
			}
			p.at = id
		}
	}
	resp, err := p.cl.ask(try, *at, r.req())
	if err != nil {
		*at, a.open = -1, true
		return err
	}
	a.resp, a.code = resp, r.code(resp)
	p.c.answered(r.what, a.code)
	switch a.code {
	case wire.ConcurrentTransactions, wire.CoordinatorLoadInProgress:
		return a.code
	case wire.NotCoordinator, wire.CoordinatorNotAvailable, wire.RequestTimedOut, wire.NetworkException, wire.NotEnoughReplicas, wire.NotLeaderOrFollower:
		*at, a.open = -1, true
		return a.code
	}
	return nil
}

// patience is how often a transactor asks in one go.
const patience = 12

// init gets a producer id and an epoch: a new instance's first, or the next one of this (KIP-360).
func (p *transactor) init(ctx context.Context) bool {
	h := p.c.txns
	before := h.beginInit(p)
	for ctx.Err() == nil {
		a := p.ask(ctx, request{"an InitProducerId", ofTransactions, p.id, func() kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionalID, req.TransactionTimeoutMillis = &p.id, int32(p.timeout.Milliseconds())
			req.ProducerID, req.ProducerEpoch = p.producer, p.epoch
			return req
		}, func(r kmsg.Response) wire.Code { return wire.Code(r.(*kmsg.InitProducerIDResponse).ErrorCode) }}, patience)
		switch {
		case a.err != nil:
			continue
		case a.code == wire.None:
			r := a.resp.(*kmsg.InitProducerIDResponse)
			p.c.initialized(p, before, r.ProducerID, r.ProducerEpoch)
			p.producer, p.epoch, p.next, p.torn = r.ProducerID, r.ProducerEpoch, map[place]int32{}, false
			return true
		default:
			p.refused("InitProducerId", a.code)
			return false
		}
	}
	return false
}

// refused notes that the producer is told that it counts no more: that must have a cause.
func (p *transactor) refused(what string, code wire.Code) {
	p.c.trace.note("%s: %s: %s", p.cl.name, what, code.Name())
	switch code {
	case wire.ProducerFenced, wire.InvalidProducerEpoch, wire.InvalidProducerIdMapping:
		p.fenced = true
		p.c.fencedBy(p, what, code)
	}
}

func (p *transactor) begin() {
	p.run = p.c.txns.begin(p)
	p.added, p.overdue = map[place]bool{}, time.Now().Add(p.timeout)
}

func (p *transactor) close() {
	p.cl.close()
	if p.also != nil {
		p.also.close()
	}
}

// add adds a partition to the transaction, as old clients do before they write to it.
func (p *transactor) add(ctx context.Context, topic string, index int32) bool {
	at := place{topic: topic, index: index}
	if !p.old || p.added[at] {
		return true
	}
	a := p.ask(ctx, request{"an AddPartitionsToTxn", ofTransactions, p.id, func() kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = p.id, p.producer, p.epoch
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = topic, []int32{index}
		req.Topics = append(req.Topics, t)
		return req
	}, func(r kmsg.Response) wire.Code {
		return wire.Code(r.(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode)
	}}, patience)
	p.torn = p.torn || a.open
	if a.err == nil && a.code == wire.None {
		p.added[at] = true
		return true
	}
	if a.err == nil {
		p.refused("AddPartitionsToTxn", a.code)
	}
	return false
}

// write sends records as one batch of the transaction, until they are acknowledged or it gives up.
func (p *transactor) write(ctx context.Context, topic string, index int32, values ...string) bool {
	if !p.add(ctx, topic, index) {
		return false
	}
	at := place{topic: topic, index: index}
	var b record.Builder
	b.SetProducer(p.producer, p.epoch, p.next[at])
	b.SetTransactional()
	var ws []*write
	for _, v := range values {
		w := p.c.sent(&write{topic: topic, index: index, value: v, client: p.cl.name, seq: p.seq})
		p.seq++
		b.Append(time.Now().UnixMilli(), nil, []byte(v))
		ws = append(ws, w)
	}
	p.c.txns.wrote(p.run, ws)
	batch, err := b.Build()
	if err != nil {
		panic(err) // it is small and whole
	}
	p.next[at] += int32(len(ws))
	for range patience {
		begun := time.Now()
		offset, err := p.cl.produce(ctx, topic, index, append(record.Batch(nil), batch...))
		var code wire.Code
		switch {
		case err == nil || errors.Is(err, wire.DuplicateSequenceNumber):
			p.c.unfenced(p, begun, fmt.Sprintf("a write of %q", values[0]))
			for i, w := range ws {
				if err == nil && offset >= 0 {
					p.c.told(w, offset+int64(i))
				} else {
					p.c.told(w, -1)
				}
			}
			return true
		case errors.As(err, &code):
			switch code {
			case wire.ProducerFenced, wire.InvalidProducerEpoch, wire.InvalidProducerIdMapping:
				p.refused(fmt.Sprintf("the write of %q", values[0]), code)
				p.torn = true
				return false
			case wire.OutOfOrderSequenceNumber, wire.UnknownProducerId:
				p.c.forgotten(p, values[0], code)
				p.torn = true
				return false
			case wire.InvalidTxnState, wire.TransactionAbortable:
				p.c.trace.note("%s: the write of %q: %s", p.cl.name, values[0], code.Name())
				p.torn = true
				return false
			}
		}
		if !wait(ctx, time.Duration(p.rng.Int64N(int64(150*time.Millisecond)))) {
			break
		}
	}
	p.torn = true
	return false
}

// fleet writes to a topic that comes and goes. What becomes of the record nobody asks; the transaction has to end all the same.
func (p *transactor) fleet(ctx context.Context) bool {
	index := p.rng.Int32N(fleetingCount)
	if !p.add(ctx, fleetingTopic, index) {
		return false
	}
	at := place{topic: fleetingTopic, index: index}
	var b record.Builder
	b.SetProducer(p.producer, p.epoch, p.next[at])
	b.SetTransactional()
	b.Append(time.Now().UnixMilli(), nil, []byte(p.cl.name))
	batch, err := b.Build()
	if err != nil {
		panic(err) // it is small and whole
	}
	p.next[at]++
	for range 3 {
		if _, err = p.cl.produce(ctx, fleetingTopic, index, append(record.Batch(nil), batch...)); err == nil {
			p.c.reach("a record of a transaction in a topic that goes")
			return true
		}
		if !wait(ctx, time.Duration(p.rng.Int64N(int64(100*time.Millisecond)))) {
			break
		}
	}
	p.torn = true
	return false
}

// sendOffsets makes offsets of a group part of the transaction.
func (p *transactor) sendOffsets(ctx context.Context, group, topic string, offsets map[int32]int64) bool {
	if p.old {
		a := p.ask(ctx, request{"an AddOffsetsToTxn", ofTransactions, p.id, func() kmsg.Request {
			req := kmsg.NewPtrAddOffsetsToTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.id, p.producer, p.epoch, group
			return req
		}, func(r kmsg.Response) wire.Code { return wire.Code(r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode) }}, patience)
		p.torn = p.torn || a.open
		if a.err != nil || a.code != wire.None {
			if a.err == nil {
				p.refused("AddOffsetsToTxn", a.code)
			}
			return false
		}
	}
	p.c.txns.committing(p.run, offsets)
	begun := time.Now()
	a := p.ask(ctx, request{"a TxnOffsetCommit", ofGroups, group, func() kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = p.id, group, p.producer, p.epoch, -1
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic = topic
		for i, o := range offsets {
			rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset = i, o
			t.Partitions = append(t.Partitions, rp)
		}
		req.Topics = append(req.Topics, t)
		return req
	}, func(r kmsg.Response) wire.Code {
		for _, t := range r.(*kmsg.TxnOffsetCommitResponse).Topics {
			for _, q := range t.Partitions {
				if q.ErrorCode != 0 {
					return wire.Code(q.ErrorCode)
				}
			}
		}
		return wire.None
	}}, patience)
	p.torn = p.torn || a.open || a.err != nil
	if a.err != nil {
		return false
	}
	if a.code != wire.None {
		p.refused("TxnOffsetCommit", a.code)
		return false
	}
	p.c.unfenced(p, begun, "a TxnOffsetCommit")
	return true
}

// end ends the transaction, and reports whether the producer can go on with another one.
func (p *transactor) end(ctx context.Context, commit bool) bool {
	run := p.run
	p.c.txns.ending(run, commit)
	begun, whole := time.Now(), answer{}
	for ctx.Err() == nil {
		a := p.ask(ctx, request{"an EndTxn", ofTransactions, p.id, func() kmsg.Request {
			req := kmsg.NewPtrEndTxnRequest()
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = p.id, p.producer, p.epoch, commit
			return req
		}, func(r kmsg.Response) wire.Code { return wire.Code(r.(*kmsg.EndTxnResponse).ErrorCode) }}, patience)
		a.open = a.open || whole.open
		if whole = a; a.err == nil {
			break
		}
	}
	p.run = nil
	p.c.trace.note("%s: end (commit %v) in epoch %d of producer %d: %s, open %v, %v", p.cl.name, commit, p.epoch, p.producer, whole.code.Name(), whole.open, whole.err)
	switch {
	case whole.err != nil || whole.resp == nil:
		return false // the simulation ends
	case whole.code == wire.None:
		p.c.unfenced(p, begun, "an EndTxn")
		p.c.txns.ended(run, true, false)
		p.overdue = time.Time{}
		if r := whole.resp.(*kmsg.EndTxnResponse); !p.old {
			p.c.txns.raised(p.id, r.ProducerID, r.ProducerEpoch)
			if r.ProducerID != p.producer || r.ProducerEpoch != p.epoch+1 {
				p.c.fail("T5 EpochRisesByOne", "%s: the end of a transaction of producer %d in epoch %d gives producer %d in epoch %d", p.cl.name, p.producer, p.epoch, r.ProducerID, r.ProducerEpoch)
			}
			p.producer, p.epoch, p.next, p.torn = r.ProducerID, r.ProducerEpoch, map[place]int32{}, false
		} else if whole.open {
			p.torn = true
		}
		return true
	}
	p.c.txns.ended(run, false, whole.open)
	p.refused("EndTxn", whole.code)
	p.c.endRefused(p, run, commit, whole.code)
	p.lost = true
	return false
}

// anew gets an old client the next epoch if something of it may be on its way still.
func (p *transactor) anew(ctx context.Context) bool {
	if !p.torn {
		return true
	}
	p.c.reach("a producer that gets its next epoch itself")
	return p.init(ctx)
}
