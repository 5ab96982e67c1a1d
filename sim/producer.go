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

// A real client is not used here: franz-go holds mutexes while it waits for answers, which stops virtual time.

// idempotentProducer writes numbered batches to one partition, each again and again until it is answered, as an idempotent
// producer does. It ends when ctx has and all is answered, or when flush has.
func (c *cluster) idempotentProducer(ctx, flush context.Context, topic string, index int32, rng *rand.Rand) {
	cl := c.newClient(fmt.Sprint("idempotent-", index))
	defer cl.close()
	id, epoch, ok := cl.producerID(flush)
	if !ok {
		return
	}
	sequence, n := int32(0), 0
	for ctx.Err() == nil {
		var b record.Builder
		b.SetProducer(id, epoch, sequence)
		var ws []*write
		for range 1 + rng.IntN(4) {
			w := c.sent(&write{topic: topic, index: index, value: fmt.Sprintf("%s/%d", cl.name, n), client: cl.name, seq: n})
			n++
			b.Append(time.Now().UnixMilli(), nil, []byte(w.value))
			ws = append(ws, w)
		}
		batch, err := b.Build()
		if err != nil {
			panic(err) // it is small and whole
		}
		sequence += int32(len(ws))
		if !c.deliver(cl, flush, ws, topic, index, batch, rng) {
			return
		}
		wait(ctx, time.Duration(rng.Int64N(int64(100*time.Millisecond))))
	}
}

// deliver sends a batch until it is acknowledged.
func (c *cluster) deliver(cl *client, flush context.Context, ws []*write, topic string, index int32, batch record.Batch, rng *rand.Rand) bool {
	for try := 0; ; try++ {
		offset, err := cl.produce(flush, topic, index, append(record.Batch(nil), batch...))
		switch {
		case err == nil || errors.Is(err, wire.DuplicateSequenceNumber):
			if try > 0 {
				c.reach("a batch sent again and answered")
			}
			for i, w := range ws {
				if err == nil && offset >= 0 {
					c.told(w, offset+int64(i))
				} else {
					c.told(w, -1) // it is there, and nobody says where
				}
			}
			return true
		case errors.Is(err, wire.OutOfOrderSequenceNumber), errors.Is(err, wire.UnknownProducerId), errors.Is(err, wire.InvalidProducerEpoch):
			// All before it were acknowledged: somebody has forgotten them.
			c.fail("I8 ProducerStateKept", "%s: %q: %v", cl.name, ws[0].value, err)
			return false
		}
		if flush.Err() != nil {
			return false
		}
		if try%20 == 19 {
			c.trace.note("%s: %q is sent for the %dth time: %v", cl.name, ws[0].value, try+1, err)
		}
		if !wait(flush, time.Duration(rng.Int64N(int64(200*time.Millisecond)))) {
			return false
		}
	}
}

func (cl *client) producerID(ctx context.Context) (id int64, epoch int16, ok bool) {
	for {
		req := kmsg.NewPtrInitProducerIDRequest()
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		resp, err := cl.ask(try, -1, req)
		cancel()
		if err == nil {
			if r := resp.(*kmsg.InitProducerIDResponse); r.ErrorCode == 0 {
				return r.ProducerID, r.ProducerEpoch, true
			}
		}
		if !wait(ctx, 100*time.Millisecond) {
			return 0, 0, false
		}
	}
}

// consumed is what a group got.
type consumed struct {
	seen map[string]bool
	// committed is what was said to be committed last; unsure is what was asked for since, without an answer that says so.
	committed map[int32]int64
	unsure    map[int32][]int64
}

// groupConsumer reads a topic and commits how far it is, as a consumer that assigns itself its partitions; now and then it
// begins anew from what is committed.
func (c *cluster) groupConsumer(ctx context.Context, topic string, partitions int32, group string, got *consumed, rng *rand.Rand) {
	cl := c.newClient("consumer")
	defer cl.close()
	for ctx.Err() == nil {
		at, err := cl.committed(ctx, group)
		if err != nil {
			wait(ctx, 100*time.Millisecond)
			continue
		}
		// A coordinator that does not know yet that it was deposed may give older ones, as in Kafka; what it is told it cannot
		// commit. So what is there is looked at when all is well again.
		for life := time.Now().Add(time.Duration(2+rng.IntN(10)) * time.Second); ctx.Err() == nil && time.Now().Before(life); {
			p := rng.Int32N(partitions)
			f, err := cl.fetch(ctx, -1, topic, p, max(at[p], 0))
			if err != nil {
				wait(ctx, 50*time.Millisecond)
				continue
			}
			c.saw(topic, p, f)
			if len(f.batches) == 0 {
				continue
			}
			c.mu.Lock()
			for _, b := range f.batches {
				it := b.Records(1 << 20)
				for it.Next() {
					got.seen[string(it.Record().Value)] = true
				}
				_ = it.Close() // saw has looked at it
				at[p] = b.NextOffset()
			}
			c.mu.Unlock()
			if rng.IntN(3) == 0 {
				continue
			}
			err = cl.commit(ctx, group, topic, at)
			c.mu.Lock()
			for p, o := range at {
				if err == nil {
					got.committed[p], got.unsure[p] = o, nil
				} else {
					got.unsure[p] = append(got.unsure[p], o)
				}
			}
			c.mu.Unlock()
			if err != nil {
				c.trace.note("consumer: commit: %v", err)
				break
			}
		}
	}
}

// The kinds of coordinators.
const ofGroups, ofTransactions int8 = 0, 1

// coordinator is the broker that keeps a group's offsets, or a transactional id.
func (cl *client) coordinator(ctx context.Context, kind int8, key string) (int32, error) {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKey, find.CoordinatorKeys = kind, key, []string{key}
	resp, err := cl.ask(ctx, -1, find)
	if err != nil {
		return -1, err
	}
	f := resp.(*kmsg.FindCoordinatorResponse)
	if len(f.Coordinators) == 0 {
		return -1, errors.New("no coordinator")
	}
	if code := wire.Code(f.Coordinators[0].ErrorCode); code != wire.None {
		return -1, code
	}
	return f.Coordinators[0].NodeID, nil
}

// committed is what a group has committed of its topic.
func (cl *client) committed(ctx context.Context, group string) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if len(cl.addrs) == 0 || cl.meta[loadTopic] == nil {
		if err := cl.refresh(ctx, loadTopic); err != nil {
			return nil, err
		}
	}
	at, err := cl.coordinator(ctx, ofGroups, group)
	if err != nil {
		return nil, err
	}
	return cl.committedAt(ctx, at, group, loadTopic)
}

// committedAt is what a group has committed of a topic, as one broker says it.
func (cl *client) committedAt(ctx context.Context, at int32, group, topic string) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	req.Groups = append(req.Groups, g)
	req.Group = group
	resp, err := cl.ask(ctx, at, req)
	if err != nil {
		return nil, err
	}
	o := resp.(*kmsg.OffsetFetchResponse)
	if len(o.Groups) == 0 {
		return nil, errors.New("no group in the answer")
	}
	if code := wire.Code(o.Groups[0].ErrorCode); code != wire.None {
		return nil, code
	}
	have := map[int32]int64{}
	_, id, _ := cl.leader(topic, 0)
	for _, t := range o.Groups[0].Topics {
		if t.Topic == "" && id == [16]byte{} {
			return nil, errors.New("the topic is not known here")
		}
		if t.Topic != topic && t.TopicID != id {
			continue
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return nil, wire.Code(p.ErrorCode)
			}
			have[p.Partition] = p.Offset
		}
	}
	return have, nil
}

func (cl *client) commit(ctx context.Context, group, topic string, at map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	to, err := cl.coordinator(ctx, ofGroups, group)
	if err != nil {
		return err
	}
	return cl.commitAt(ctx, to, group, topic, at)
}

// commitAt commits offsets of a topic at one broker.
func (cl *client) commitAt(ctx context.Context, to int32, group, topic string, at map[int32]int64) error {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	_, id, _ := cl.leader(topic, 0)
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = topic, id
	for p, o := range at {
		if o < 0 {
			continue
		}
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p, o
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics = append(req.Topics, t)
	resp, err := cl.ask(ctx, to, req)
	if err != nil {
		return err
	}
	for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			cl.c.answered("a commit", wire.Code(p.ErrorCode))
			if p.ErrorCode != 0 {
				return wire.Code(p.ErrorCode)
			}
		}
	}
	return nil
}
