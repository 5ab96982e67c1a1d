package replica

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// altering is a controller that refuses requests which it would not read, and notes what came.
type altering struct {
	t        *testing.T
	sizes    []int
	answered chan int
}

func (a *altering) AlterPartition(_ context.Context, req *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
	if n, most := len(req.AppendTo(nil)), wire.LargeFrames(req.Key(), 100<<20); n > most {
		a.t.Errorf("a request of %d bytes, a controller reads %d", n, most)
	}
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	n := 0
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionResponseTopic()
		out.TopidID = t.TopicID
		for _, p := range t.Partitions {
			r := kmsg.NewAlterPartitionResponseTopicPartition()
			r.Partition, r.ErrorCode = p.Partition, int16(wire.IneligibleReplica)
			out.Partitions = append(out.Partitions, r)
			n++
		}
		resp.Topics = append(resp.Topics, out)
	}
	a.sizes = append(a.sizes, n)
	a.answered <- n
	return resp, nil
}

// TestManyISRChanges: when a follower of very many partitions is back, all of them ask for it at once. The controller reads a
// request of any number, and is asked about some of them at a time.
func TestManyISRChanges(t *testing.T) {
	const many = 3*maxAltered + 7
	k := newKit(t, nil)
	c := &altering{t: t, answered: make(chan int, many)}
	k.changer = c
	alive := func(int32) (int64, bool) { return 1, true }
	for i := range int32(many) {
		r := &Replica{Topic: "t", TopicID: wire.TopicID{1}, Index: i, stats: k.stats.Topic("t")}
		role := &partition.Role{Self: 1, Leader: 1, LeaderEpoch: 1, Replicas: []int32{1, 2}, ISR: []int32{1}}
		r.role.Store(role)
		r.leader = partition.NewLeader(role, 0, time.Second, time.Now())
		if err := r.leader.NoteFetch(2, partition.Fetched{BrokerEpoch: 1, Now: time.Now()}); err != nil {
			t.Fatal(err)
		}
		p := r.leader.ProposeExpand(2, 0, alive)
		if p == nil {
			t.Fatal("nothing is proposed")
		}
		if i%2 == 0 && i < maxAltered {
			r.leader.Update(&partition.Role{Self: 1, Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1, Replicas: []int32{1, 2}, ISR: []int32{1}}, time.Now())
		}
		k.isr.propose(r, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); k.isr.run(ctx) }()
	for left := many - maxAltered/2; left > 0; {
		left -= <-c.answered
	}
	cancel()
	<-ended
	for _, n := range c.sizes {
		if n > maxAltered {
			t.Errorf("%d partitions in a request", n)
		}
	}
}
