package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// Topics that come and go, under names that come again. What is written to one must not be seen in another of its name.
const (
	churnPrefix     = "churn-"
	churnPartitions = 2
)

// churnTopics makes topics and deletes them.
func (x *chaos) churnTopics(ctx context.Context) {
	if len(x.churn) > 1 || len(x.churn) > 0 && x.rng.IntN(2) == 0 {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 3000
		name := x.churn[0]
		x.churn = x.churn[1:]
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = &name
		req.Topics, req.TopicNames = append(req.Topics, rt), []string{name}
		x.ask(ctx, req)
		x.note("delete topic %s", name)
		if x.rng.IntN(3) > 0 {
			x.makeTopic(ctx, name)
		}
		return
	}
	x.made++
	x.makeTopic(ctx, fmt.Sprint(churnPrefix, x.made%2))
}

func (x *chaos) makeTopic(ctx context.Context, name string) {
	x.churn = append(x.churn, name)
	resp, ok := x.ask(ctx, createTopic(name, churnPartitions)).(*kmsg.CreateTopicsResponse)
	if !ok || len(resp.Topics) == 0 || resp.Topics[0].ErrorCode != 0 {
		return
	}
	id := resp.Topics[0].TopicID
	x.note("create topic %s: %x", name, id)
	x.c.mu.Lock()
	x.c.promised = append(x.c.promised, id)
	x.c.mu.Unlock()
	rng := rand.New(rand.NewPCG(x.rng.Uint64(), 7))
	x.c.wait.Go(func() { x.c.churnClient(ctx, name, id, rng) })
}

// churnValue begins the values of a topic.
func churnValue(id [16]byte) string { return fmt.Sprintf("churn/%x/", id) }

// churnClient writes to and reads from a topic by its id for a while.
func (c *cluster) churnClient(ctx context.Context, name string, id [16]byte, rng *rand.Rand) {
	cl := c.newClient("churn")
	defer cl.close()
	cl.only = id
	for n := range 60 {
		if !wait(ctx, time.Duration(rng.Int64N(int64(200*time.Millisecond)))) {
			return
		}
		index := rng.Int32N(churnPartitions)
		if leader, _, _ := cl.leader(name, index); leader < 0 {
			if err := cl.refresh(ctx, name); err != nil {
				continue
			}
			if now := cl.meta[name]; now != nil && now.TopicID != id {
				c.reach("a topic that is another one now")
				cl.staleID(ctx, name, id, index, rng)
				continue
			}
		}
		// Nobody promises what becomes of it.
		_, _ = cl.produce(ctx, name, index, batchOf(fmt.Sprint(churnValue(id), n)))
		if f, err := cl.fetch(ctx, int32(1+rng.IntN(len(c.nodes))), name, index, 0); err == nil {
			c.apart(name, id, f)
		}
	}
}

// staleID writes to a topic that is gone, under its id.
func (cl *client) staleID(ctx context.Context, name string, id [16]byte, index int32, rng *rand.Rand) {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = 1, 1000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = name, id
	in := kmsg.NewProduceRequestTopicPartition()
	in.Partition, in.Records = index, batchOf(churnValue(id)+"late")
	t.Partitions = append(t.Partitions, in)
	req.Topics = append(req.Topics, t)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := cl.ask(ctx, int32(1+rng.IntN(len(cl.c.nodes))), req)
	if err != nil {
		return
	}
	if code := wire.Code(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); code == wire.UnknownTopicId {
		cl.c.reach("an old topic id refused")
	}
}

// apart is I9 for topics of the same name: what is read in one was written to it.
func (c *cluster) apart(name string, id [16]byte, f *fetched) {
	for _, b := range f.batches {
		it := b.Records(1 << 20)
		for it.Next() {
			if v := string(it.Record().Value); !strings.HasPrefix(v, churnValue(id)) {
				c.fail("I9 TopicsApart", "broker %d shows %q in %s, which is %x", f.broker, v, name, id)
			}
		}
		_ = it.Close() // what is not whole others look at
	}
}

// checkPromised is M NoAckedLoss: a topic of which it was said that it is made is in the metadata log.
func (c *cluster) checkPromised() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.promised {
		if !c.meta.made[id] {
			c.broken = append(c.broken, fmt.Sprintf("M NoAckedLoss: it was said that topic %x is made, and it never was", id))
		}
	}
}

// checkChurn is I9 and I2 of the topics that are there in the end.
func (c *cluster) checkChurn(cl *client) {
	for id, name := range c.meta.now.topics {
		if !strings.HasPrefix(name, churnPrefix) {
			continue
		}
		c.compareDisks(cl, name)
		for i := range int32(churnPartitions) {
			for _, m := range c.nodes {
				log, _, err := m.disk.diskLog(name, i)
				if err != nil {
					c.fail("I2", "%s-%d on node %d: %v", name, i, m.id, err)
				}
				c.apart(name, id, &fetched{batches: log, broker: int32(m.id)})
			}
		}
	}
}
