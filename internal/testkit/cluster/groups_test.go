package cluster

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// groupRun is consumers of one group that commit what they have processed, and what they were told.
type groupRun struct {
	c  *Cluster
	mu sync.Mutex
	// seen has how often each record was processed, committed the highest offset whose commit was acknowledged.
	seen      map[string]int
	committed map[int32]int64
}

func (g *groupRun) consume(ctx context.Context, cl *kgo.Client) {
	for ctx.Err() == nil {
		fs := cl.PollRecords(ctx, 20)
		next := map[int32]int64{}
		g.mu.Lock()
		fs.EachRecord(func(r *kgo.Record) {
			g.seen[string(r.Value)]++
			next[r.Partition] = r.Offset + 1
		})
		g.mu.Unlock()
		if len(next) > 0 && cl.CommitUncommittedOffsets(ctx) == nil {
			g.mu.Lock()
			for p, o := range next {
				g.committed[p] = max(g.committed[p], o)
			}
			g.mu.Unlock()
		}
		cl.AllowRebalance()
	}
}

func (g *groupRun) processed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen)
}

// C1, C2: the group's coordinator is killed again and again; no acknowledged commit is lost, and no record is skipped.
func TestCoordinatorIsKilled(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 4, 3, "min.insync.replicas", "2")
	const records = 1500
	producer := c.Client(kgo.DefaultProduceTopic("t"))
	write := func(from, to int) {
		var rs []*kgo.Record
		for i := from; i < to; i++ {
			rs = append(rs, kgo.StringRecord(fmt.Sprint("record ", i)))
		}
		if err := producer.ProduceSync(c.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(0, records/5)
	g := &groupRun{c: c, seen: map[string]int{}, committed: map[int32]int64{}}
	ctx, cancel := context.WithCancel(c.Context())
	var wg sync.WaitGroup
	for range 2 {
		cl := c.Client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond))
		wg.Go(func() { g.consume(ctx, cl) })
	}
	defer wg.Wait()
	defer cancel()
	for i := 1; i < 5; i++ {
		c.Eventually("the group has read what there is", func() bool { return g.processed() >= records/5*i })
		c.UntilInSync("__consumer_offsets")
		c.UntilInSync("t")
		b := c.Leader("__consumer_offsets", c.Brokers[0].Groups.PartitionFor("g"))
		b.Kill()
		write(records/5*i, records/5*(i+1))
		c.Eventually("the group goes on", func() bool { return g.processed() >= records/5*i+10 })
		b.Start()
	}
	c.Eventually("the group has read everything", func() bool { return g.processed() == records })
	c.Eventually("commits are acknowledged", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		sum := int64(0)
		for _, o := range g.committed {
			sum += o
		}
		return sum == records
	})
	g.mu.Lock()
	told := maps.Clone(g.committed)
	g.mu.Unlock()
	fetched, err := kadm.NewClient(c.Client()).FetchOffsets(c.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range told {
		if o, ok := fetched.Lookup("t", p); !ok || o.At < want {
			t.Errorf("C1: the commit of %d for partition %d was acknowledged; it is %d", want, p, o.At)
		}
	}
}
