package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// produce writes records to partition 0.
func produce(c *Cluster, cl *kgo.Client, topic string, from, to int) error {
	var rs []*kgo.Record
	for i := from; i < to; i++ {
		rs = append(rs, &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "record %d", i)})
	}
	return cl.ProduceSync(c.Context(), rs...).FirstErr()
}

func (b *Broker) highWatermark(topic string, index int32) int64 {
	r, _, _ := b.Replicas.Find(topic, wire.TopicID{}, index, false)
	if r == nil || r.Log() == nil {
		return -1
	}
	return r.Log().HighWatermark()
}

// A follower that does not fetch leaves the ISR after replica.lag.time.max.ms, and what is written goes on without it; with
// fewer than min.insync.replicas nothing is acknowledged; whoever catches up comes back.
func TestLaggingFollowersLeaveAndComeBack(t *testing.T) {
	c := New(t, 3, "replica.lag.time.max.ms=600")
	c.CreateTopic("t", 1, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	cl := c.Client(kgo.ProducerLinger(0), kgo.RecordRetries(2), kgo.RecordDeliveryTimeout(5*time.Second), kgo.DisableIdempotentWrite(), kgo.ProduceRequestTimeout(time.Second))
	if err := produce(c, cl, "t", 0, 10); err != nil {
		t.Fatal(err)
	}
	leader := c.Leader("t", 0)
	var followers []*Broker
	for _, b := range c.Brokers {
		if b != leader {
			followers = append(followers, b)
		}
	}
	inSync := func(ids ...int32) func(*image.Image) bool {
		return func(img *image.Image) bool {
			return slices.Equal(slices.Sorted(slices.Values(img.Partition("t", 0).ISR)), slices.Sorted(slices.Values(ids)))
		}
	}
	followers[0].CutOff(true)
	c.Eventually("a write is acknowledged by two", func() bool { return produce(c, cl, "t", 10, 11) == nil })
	c.Until("one follower has left", inSync(leader.ID, followers[1].ID))
	followers[1].CutOff(true)
	if err := produce(c, cl, "t", 11, 12); err == nil {
		t.Error("a write was acknowledged though it is on one replica only")
	}
	c.Until("both have left", inSync(leader.ID))
	before := leader.highWatermark("t", 0)
	if err := produce(c, cl, "t", 12, 13); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("with one in sync: %v", err)
	}
	followers[0].CutOff(false)
	followers[1].CutOff(false)
	c.UntilInSync("t")
	c.Eventually("what was not acknowledged is committed after all", func() bool { return leader.highWatermark("t", 0) > before })
	if err := produce(c, cl, "t", 13, 14); err != nil {
		t.Error(err)
	}
}

// A partition is moved to other brokers while it is written to, and the old replicas go.
func TestReassignmentUnderLoad(t *testing.T) {
	c := New(t, 4)
	c.CreateTopic("t", 1, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	load := StartLoad(t, "t", 1, []*kgo.Client{c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))})
	adm := kadm.NewClient(c.Client())
	for round := range int32(3) {
		start := load.Acked()
		c.Eventually("records are acknowledged", func() bool { return load.Acked() > start+100 })
		target := []int32{1 + (round+1)%4, 1 + (round+2)%4, 1 + (round+3)%4}
		var req kadm.AlterPartitionAssignmentsReq
		req.Assign("t", 0, target)
		resp, err := adm.AlterPartitionAssignments(c.Context(), req)
		if err == nil {
			err = resp.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
		c.Until("the partition has moved", func(img *image.Image) bool {
			p := img.Partition("t", 0)
			return !p.Reassigning() && slices.Equal(p.Replicas, target)
		})
	}
	c.UntilInSync("t")
	load.Finish()
	p := func() *image.Partition { img, _ := c.Image(); return img.Partition("t", 0) }()
	for _, b := range c.Brokers {
		if !slices.Contains(p.Replicas, b.ID) {
			c.Eventually("the replica that was moved away is deleted", func() bool { return b.highWatermark("t", 0) < 0 })
		}
	}
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	load.Check(ctx, c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
}

// A consumer in the rack of a follower is sent to it (KIP-392), and reads there what is committed.
func TestClosestReplica(t *testing.T) {
	c := New(t, 0, "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector")
	for i := range 3 {
		c.Add(func(b *Broker) { b.Rack = fmt.Sprint("rack", i+1) })
	}
	c.CreateTopic("t", 1, 3)
	c.UntilInSync("t")
	cl := c.Client()
	if err := produce(c, cl, "t", 0, 100); err != nil {
		t.Fatal(err)
	}
	leader := c.Leader("t", 0)
	near := c.Brokers[leader.ID%3]
	img, _ := c.Image()
	ask := func(b *Broker, rack string, offset int64) kmsg.FetchResponseTopicPartition {
		t.Helper()
		req := kmsg.NewPtrFetchRequest()
		req.Rack, req.MaxBytes, req.MaxWaitMillis, req.ReplicaID, req.ReplicaState.ID = rack, 1<<20, 0, -1, -1
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = "t", img.TopicByName("t").ID
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes, p.FetchOffset = 1<<20, offset
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		resp, err := cl.Broker(int(b.ID)).Request(c.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	}
	// The leader learns how far the follower is from its next fetch.
	c.Eventually("the follower is preferred", func() bool { return ask(leader, near.Rack, 50).PreferredReadReplica == near.ID })
	if p := ask(leader, near.Rack, 50); len(p.RecordBatches) > 0 || p.HighWatermark != 100 {
		t.Errorf("the leader sends the consumer away and answers %d bytes, high watermark %d", len(p.RecordBatches), p.HighWatermark)
	}
	for _, rack := range []string{leader.Rack, "elsewhere", ""} {
		if p := ask(leader, rack, 50); p.PreferredReadReplica != -1 || len(p.RecordBatches) == 0 {
			t.Errorf("rack %q is sent to %d, with %d bytes", rack, p.PreferredReadReplica, len(p.RecordBatches))
		}
	}
	c.Eventually("the follower knows that all is committed", func() bool { return ask(near, near.Rack, 50).HighWatermark == 100 })
	if p := ask(near, near.Rack, 50); p.ErrorCode != 0 || len(p.RecordBatches) == 0 || p.PreferredReadReplica != -1 {
		t.Errorf("the follower answers %s and %d bytes", wire.Code(p.ErrorCode).Name(), len(p.RecordBatches))
	}
	if p := ask(near, near.Rack, 101); wire.Code(p.ErrorCode) != wire.OffsetOutOfRange {
		t.Errorf("beyond the end: %s", wire.Code(p.ErrorCode).Name())
	}
}

// Whoever comes to the wrong broker is told in the same answer where the leader is (KIP-951).
func TestLeaderHints(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 1, 2)
	c.UntilInSync("t")
	cl := c.Client()
	leader := c.Leader("t", 0)
	img, _ := c.Image()
	id := img.TopicByName("t").ID
	if err := produce(c, cl, "t", 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Brokers {
		if b == leader {
			continue
		}
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 1000
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = "t", id
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = readBatch(t, c, leader, id)
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		resp, err := cl.Broker(int(b.ID)).Request(c.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		got := resp.(*kmsg.ProduceResponse)
		if in := got.Topics[0].Partitions[0]; wire.Code(in.ErrorCode) != wire.NotLeaderOrFollower || in.CurrentLeader.LeaderID != leader.ID ||
			len(got.Brokers) != 1 || fmt.Sprintf("%s:%d", got.Brokers[0].Host, got.Brokers[0].Port) != leader.Address() {
			t.Errorf("broker %d: %s, leader %d at %v", b.ID, wire.Code(in.ErrorCode).Name(), in.CurrentLeader.LeaderID, got.Brokers)
		}
	}
}

// readBatch is the first batch of a topic's partition 0, ready to be produced anew.
func readBatch(t *testing.T, c *Cluster, leader *Broker, id wire.TopicID) []byte {
	t.Helper()
	r, _, _ := leader.Replicas.Find("t", id, 0, true)
	info, err := r.Log().Read(0, 1<<20, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer info.Range.Release()
	p := make([]byte, info.Range.Len)
	if _, err := info.Range.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	clear(p[:8]) // the base offset
	return p
}

// A broker whose directory fails gives up the partitions in it, and no others.
func TestFailedDirectoryOfAFollower(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 6, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	cl := c.Client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerLinger(0))
	if err := produce(c, cl, "t", 0, 60); err != nil {
		t.Fatal(err)
	}
	b := c.Brokers[1]
	in := func(dir string) (n int) {
		for i := range int32(6) {
			if r, _, _ := b.Replicas.Find("t", wire.TopicID{}, i, false); r != nil && r.Log() != nil && r.Log().Dir().Path == dir {
				n++
			}
		}
		return n
	}
	before := in("/a")
	if before == 0 || in("/b") == 0 {
		t.Skip("all partitions lie in one directory")
	}
	b.FailDir("/b")
	c.Eventually("writes go on", func() bool { return produce(c, cl, "t", 60, 120) == nil })
	c.Until("the partitions of the directory are without the broker", func(img *image.Image) bool {
		n := 0
		for _, p := range img.TopicByName("t").Partitions {
			if !slices.Contains(p.ISR, b.ID) {
				n++
			}
		}
		return n == 6-before
	})
	if in("/a") != before {
		t.Errorf("%d of %d partitions of the good directory are left", in("/a"), before)
	}
	// With the directory mended, the broker comes back whole.
	b.Kill()
	b.Start()
	c.UntilInSync("t")
}

// A topic that is made again under its name is another one: no follower mixes the two.
func TestTopicIsMadeAgainUnderLoad(t *testing.T) {
	c := New(t, 3)
	adm := kadm.NewClient(c.Client())
	for round := range 6 {
		c.CreateTopic("t", 2, 3, "min.insync.replicas", "2")
		cl := c.Client(kgo.ProducerLinger(0))
		if err := produce(c, cl, "t", 0, 20+10*round); err != nil {
			t.Fatal(err)
		}
		cl.Close()
		c.Eventually("all replicas have what was written, and no more", func() bool {
			for _, b := range c.Brokers {
				if b.highWatermark("t", 0)+b.highWatermark("t", 1) != int64(20+10*round) {
					return false
				}
			}
			return true
		})
		if _, err := adm.DeleteTopic(c.Context(), "t"); err != nil {
			t.Fatal(err)
		}
	}
}

// The copies of a throttled replica that is behind wait for the rate, those of others do not (KIP-73).
func TestThrottledReplicaWaits(t *testing.T) {
	for _, side := range []string{"leader", "follower"} {
		t.Run(side, func(t *testing.T) {
			c := New(t, 2, "replica.lag.time.max.ms=600")
			c.CreateTopic("slow", 1, 2)
			c.CreateTopic("fast", 1, 2)
			c.UntilInSync("slow")
			c.UntilInSync("fast")
			leader := c.Leader("slow", 0)
			follower := c.Brokers[2-leader.ID]
			cl := c.Client(kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(100_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
			follower.CutOff(true)
			c.Eventually("the follower has left", func() bool {
				img, _ := c.Image()
				return produce(c, cl, "slow", 0, 1) == nil && len(img.Partition("slow", 0).ISR) == 1
			})
			big := strings.Repeat("x", 90_000)
			for range 30 { // more than a fetch takes of one partition
				if err := cl.ProduceSync(c.Context(), &kgo.Record{Topic: "slow", Value: []byte(big)}).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			for _, b := range c.Brokers {
				b.Throttle(1)
			}
			r, _, _ := leader.Replicas.Find("slow", wire.TopicID{}, 0, false)
			end := r.Log().LogEndOffset()
			r.SetThrottled(side == "leader", false)
			copied, _, _ := follower.Replicas.Find("slow", wire.TopicID{}, 0, false)
			copied.SetThrottled(false, side == "follower")
			follower.CutOff(false)
			for i := range 20 {
				if err := produce(c, cl, "fast", i, i+1); err != nil {
					t.Fatal(err)
				}
				c.Eventually("the other topic is copied", func() bool { return follower.highWatermark("fast", 0)+leader.highWatermark("fast", 0) >= int64(2*i+1) })
			}
			if got := copied.Log().LogEndOffset(); got >= end {
				t.Errorf("all %d records were copied at a byte a second", got)
			}
			for _, b := range c.Brokers {
				b.Throttle(1 << 40)
			}
			c.UntilInSync("slow")
		})
	}
}

// Replicas move between the directories of their brokers while they are written to: what leads goes on to lead, what
// follows to follow.
func TestReplicasMoveBetweenDirectories(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 2, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	load := StartLoad(t, "t", 2, []*kgo.Client{c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))})
	for range 2 {
		before := load.Acked()
		c.Eventually("records are acknowledged", func() bool { return load.Acked() > before+100 })
		for _, b := range c.Brokers {
			for i := range int32(2) {
				r, _, _ := b.Replicas.Find("t", wire.TopicID{}, i, false)
				old := r.Log()
				var to [16]byte
				for _, d := range b.Logs.Dirs() {
					if d.ID != old.Dir().ID {
						to = d.ID
					}
				}
				if err := b.Logs.MoveTo(log.TopicPartition{Topic: "t", Partition: i}, to); err != nil {
					t.Fatal(err)
				}
				c.Eventually("the replica has moved", func() bool { l := r.Log(); return l != nil && l != old && l.Dir().ID == to })
			}
		}
	}
	before := load.Acked()
	c.Eventually("records are acknowledged after it", func() bool { return load.Acked() > before+100 })
	c.UntilInSync("t")
	load.Finish()
	c.Eventually("all replicas are as long", func() bool {
		for i := range int32(2) {
			for _, b := range c.Brokers[1:] {
				if b.highWatermark("t", i) != c.Brokers[0].highWatermark("t", i) {
					return false
				}
			}
		}
		return true
	})
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	defer cancel()
	load.Check(ctx, c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
}
