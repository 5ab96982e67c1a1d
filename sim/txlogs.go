package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// producerAt is what a log's batches say of a producer.
type producerAt struct {
	epoch, sequence  int32
	coordinatorEpoch int32
	first            int64 // of the open transaction, -1: none
}

// abortedAt is an aborted transaction, as in a .txnindex file.
type abortedAt struct{ producer, first, last, stable int64 }

// replayed is the state of producers that batches make, by a model of its own.
func (c *cluster) replayed(name string, batches []record.Batch) (map[int64]*producerAt, []abortedAt) {
	all, aborted := map[int64]*producerAt{}, []abortedAt(nil)
	for _, b := range batches {
		if b.ProducerID() < 0 {
			continue
		}
		p := all[b.ProducerID()]
		if p == nil {
			p = &producerAt{epoch: -1, sequence: -1, coordinatorEpoch: -1, first: -1}
			all[b.ProducerID()] = p
		}
		epoch := int32(b.ProducerEpoch())
		if epoch < p.epoch {
			c.fail("T3 EpochsRise", "%s: the batch at %d of producer %d is of epoch %d after %d", name, b.BaseOffset(), b.ProducerID(), epoch, p.epoch)
		}
		if epoch != p.epoch {
			p.epoch, p.sequence = epoch, -1
		}
		if !b.IsControl() {
			if p.sequence = b.LastSequence(); b.IsTransactional() && p.first < 0 {
				p.first = b.BaseOffset()
			}
			continue
		}
		m, ok := markerOf(b)
		if !ok {
			continue
		}
		if m.CoordinatorEpoch < p.coordinatorEpoch {
			c.fail("T3 CoordinatorEpochsRise", "%s: the marker at %d of producer %d is of coordinator epoch %d after %d", name, b.BaseOffset(), b.ProducerID(), m.CoordinatorEpoch, p.coordinatorEpoch)
		}
		p.coordinatorEpoch = m.CoordinatorEpoch
		if first := p.first; first >= 0 {
			p.first = -1
			stable := b.BaseOffset() + 1
			for _, o := range all {
				if o.first >= 0 {
					stable = min(stable, o.first)
				}
			}
			if !m.Commit {
				aborted = append(aborted, abortedAt{b.ProducerID(), first, b.BaseOffset(), stable})
			}
		}
	}
	return all, aborted
}

// checkProducers is T2 SameAbortedIndex, T3 EpochsRise and T4 in the log of each replica, and holds what the leader says of
// producers against its log.
func (c *cluster) checkProducers(cl *client, topic string, index int32) {
	name := fmt.Sprintf("%s-%d", topic, index)
	var want map[int64]*producerAt
	for _, p := range cl.meta[topic].Partitions {
		if p.Partition != index {
			continue
		}
		for _, id := range p.Replicas {
			disk := c.nodes[id-1].disk
			batches, _, err := disk.diskLog(topic, index)
			if err != nil {
				c.fail("I2", "%s on broker %d: %v", name, id, err)
				return
			}
			producers, aborted := c.replayed(name, batches)
			have, err := disk.abortedIndex(topic, index)
			if err != nil || !slices.Equal(have, aborted) {
				c.fail("T2 SameAbortedIndex", "%s on broker %d: the log has the aborted transactions %v, the index %v, %v", name, id, aborted, have, err)
				return
			}
			if len(aborted) > 0 {
				c.reach("an aborted index compared")
			}
			want = producers
		}
	}
	for id, p := range want {
		if p.first >= 0 {
			c.fail("T4 NoHangingTransaction", "%s: the transaction of producer %d that begins at %d never ends", name, id, p.first)
		}
	}
	if topic == stateTopic {
		return
	}
	for range 30 {
		have, err := cl.producersOf(c.ctx, topic, index)
		if err != nil {
			c.pause(300 * time.Millisecond)
			continue
		}
		for _, h := range have {
			p := want[h.ProducerID]
			if p == nil || p.epoch != h.ProducerEpoch || p.first != h.CurrentTxnStartOffset || p.coordinatorEpoch != h.CoordinatorEpoch || p.sequence != h.LastSequence {
				c.fail("T3 ProducerStateIsTheLog", "%s: the leader says of producer %d: %+v, the log %+v", name, h.ProducerID, h, p)
			}
		}
		if len(have) != len(want) {
			c.fail("T3 ProducerStateIsTheLog", "%s: the leader knows %d producers, the log %d", name, len(have), len(want))
		}
		return
	}
	c.fail("L", "the producers of %s cannot be asked for", name)
}

// producersOf asks the leader of a partition for its producers.
func (cl *client) producersOf(ctx context.Context, topic string, index int32) ([]kmsg.DescribeProducersResponseTopicPartitionActiveProducer, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if err := cl.refresh(ctx, topic); err != nil {
		return nil, err
	}
	leader, _, _ := cl.leader(topic, index)
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, []int32{index}
	req.Topics = append(req.Topics, t)
	resp, err := cl.ask(ctx, leader, req)
	if err != nil {
		return nil, err
	}
	r := resp.(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0]
	if r.ErrorCode != 0 {
		return nil, wire.Code(r.ErrorCode)
	}
	return r.ActiveProducers, nil
}

// abortedIndex is what the .txnindex files of a replica have.
func (d *disk) abortedIndex(topic string, index int32) (out []abortedAt, err error) {
	mem := d.memory()
	for _, folder := range foldersOf(topic, index) {
		names, err := mem.List(folder)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, n := range names { // by their base offsets
			if !strings.HasSuffix(n.Name, ".txnindex") {
				continue
			}
			data, err := vfs.ReadFile(mem, folder+"/"+n.Name, 1<<20)
			if err != nil {
				return nil, err
			}
			for ; len(data) >= 34; data = data[34:] {
				at := func(i int) int64 { return int64(binary.BigEndian.Uint64(data[i:])) }
				out = append(out, abortedAt{at(2), at(10), at(18), at(26)})
			}
		}
	}
	return out, nil
}

// checkStateLog reads the log of the transactions' coordinators: epochs rise, and all transactions are at rest in the end.
func (c *cluster) checkStateLog() {
	type known struct {
		producer int64
		epoch    int16
		status   int8
	}
	for i := range int32(stateCount) {
		var log []record.Batch
		for _, m := range c.nodes { // they are equal
			if l, folders, err := m.disk.diskLog(stateTopic, i); err == nil && folders > 0 {
				log = l
			}
		}
		last := map[string]known{}
		for _, b := range log {
			it := b.Records(1 << 20)
			for it.Next() {
				r := it.Record()
				key, err := coordrecord.DecodeTransactionKey(r.Key)
				if err != nil || r.Value == nil {
					continue
				}
				val, _, err := coordrecord.DecodeTransactionValue(0, r.Value)
				if err != nil {
					c.fail("T3 StateLog", "%s-%d at %d: %v", stateTopic, i, r.Offset, err)
					continue
				}
				id, v := key.(*coordrecord.TransactionLogKey).TransactionalID, val.(*coordrecord.TransactionLogValue)
				if was := last[id]; was.producer == v.ProducerID && v.ProducerEpoch < was.epoch {
					c.fail("T3 EpochsRise", "%s-%d at %d: %s goes from epoch %d to %d", stateTopic, i, r.Offset, id, was.epoch, v.ProducerEpoch)
				}
				last[id] = known{v.ProducerID, v.ProducerEpoch, v.TransactionStatus}
			}
			_ = it.Close() // others look at whether it is whole
		}
		for id, k := range last {
			if k.status != 0 && k.status != 4 && k.status != 5 {
				c.fail("T4 NoHangingTransaction", "%s is left in state %d in %s-%d", id, k.status, stateTopic, i)
			}
		}
	}
}
