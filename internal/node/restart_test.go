package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestClusterRestartsUnderLoad: a cluster that is stopped as a whole and started again has every record of an idempotent
// producer once, though several of its batches were on their way to each partition.
func TestClusterRestartsUnderLoad(t *testing.T) {
	k := newClusterOf(t, threeCombined)
	k.start(k.members...)
	k.create(k.client(), "load", 3, 3)
	c := k.client(kgo.DefaultProduceTopic("load"), kgo.RetryTimeout(5*clusterDeadline), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(500),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	ctx, cancel := context.WithCancel(t.Context())
	var sent uint64
	var acked atomic.Int64
	var load, acks sync.WaitGroup
	load.Go(func() {
		for ctx.Err() == nil {
			sent++
			acks.Add(1)
			value := binary.BigEndian.AppendUint64(make([]byte, 0, 500), sent)[:500]
			c.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Errorf("a record failed: %v", err)
				}
				acked.Add(1)
				acks.Done()
			})
		}
	})
	for range 2 {
		before := acked.Load()
		k.eventually("records are acknowledged", func() bool { return acked.Load() > before+2000 })
		var stops sync.WaitGroup
		for _, m := range k.members {
			n := m.n
			m.n = nil
			stops.Go(func() {
				if err := n.Stop(); err != nil {
					t.Log(err)
				}
			})
		}
		stops.Wait()
		k.start(k.members...)
	}
	cancel()
	load.Wait()
	acks.Wait()
	where := func(r *kgo.Record) string {
		return fmt.Sprintf("partition %d offset %d producer %d epoch %d", r.Partition, r.Offset, r.ProducerID, r.ProducerEpoch)
	}
	seen := map[uint64]*kgo.Record{}
	r := k.client(kgo.ConsumeTopics("load"))
	twice := 0
	for uint64(len(seen)) < sent {
		fs := r.PollFetches(k.ctx())
		if err := fs.Err0(); err != nil {
			t.Fatalf("%d of %d records: %v", len(seen), sent, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			n := binary.BigEndian.Uint64(r.Value)
			if first := seen[n]; first != nil {
				if twice++; twice < 10 {
					t.Errorf("record %d is there twice: %s, %s", n, where(first), where(r))
				}
			}
			seen[n] = r
		})
	}
	t.Logf("%d records, %d twice", sent, twice)
}
