package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// C1, C2: the group's coordinator is killed again and again; no acknowledged commit is lost, and no record is skipped.
func TestCoordinatorIsKilled(t *testing.T) {
	coordinatorIsKilled(t, kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(200*time.Millisecond))
}

// The same with the consumer protocol (KIP-848), whose members the coordinator assigns partitions to.
func TestConsumerCoordinatorIsKilled(t *testing.T) {
	coordinatorIsKilled(t, kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer()))
}

func coordinatorIsKilled(t *testing.T, opts ...kgo.Opt) {
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
	var members []*kgo.Client
	for range 2 {
		members = append(members, c.Client(append(opts, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...))
	}
	g := StartGroup(t, members)
	defer g.Finish()
	for i := 1; i < 5; i++ {
		c.Eventually("the group has read what there is", func() bool { return g.Processed() >= records/5*i })
		c.UntilInSync("__consumer_offsets")
		c.UntilInSync("t")
		b := c.Leader("__consumer_offsets", c.Brokers[0].Groups.PartitionFor("g"))
		b.Kill()
		write(records/5*i, records/5*(i+1))
		c.Eventually("the group goes on", func() bool { return g.Processed() >= records/5*i+10 })
		b.Start()
	}
	c.Eventually("the group has read everything", func() bool { return g.Processed() == records })
	c.Eventually("commits are acknowledged", func() bool {
		told, _ := g.Committed()
		sum := int64(0)
		for _, o := range told {
			sum += o
		}
		return sum == records
	})
	told, _ := g.Committed()
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
