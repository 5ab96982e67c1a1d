package cluster

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// A partition whose first records were deleted is moved to another broker: the new replica begins where the old one did, and
// has all that is left.
func TestTrimmedLogIsReassigned(t *testing.T) {
	c := New(t, 2)
	c.CreateTopic("t", 1, 1)
	old := c.Leader("t", 0)
	to := c.Brokers[2-old.ID]
	if err := produce(c, c.Client(), "t", 0, 100); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(c.Client())
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: 60})
	if deleted, err := adm.DeleteRecords(c.Context(), offsets); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	var req kadm.AlterPartitionAssignmentsReq
	req.Assign("t", 0, []int32{to.ID})
	if resp, err := adm.AlterPartitionAssignments(c.Context(), req); err != nil || resp.Error() != nil {
		t.Fatal(err, resp.Error())
	}
	c.Until("the partition has moved", func(img *image.Image) bool {
		p := img.Partition("t", 0)
		return !p.Reassigning() && slices.Equal(p.Replicas, []int32{to.ID}) && p.Leader == to.ID
	})
	c.Eventually("the old replica is deleted", func() bool { return old.highWatermark("t", 0) < 0 })
	reader := c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for len(got) < 40 && c.Context().Err() == nil {
		reader.PollFetches(c.Context()).EachRecord(func(r *kgo.Record) { got = append(got, fmt.Sprint(r.Offset)) })
	}
	if len(got) != 40 || got[0] != "60" || got[39] != "99" {
		t.Errorf("%d records from %v", len(got), got)
	}
}

// A follower that has all, and is in sync, learns that its leader's log begins later now, though no record comes.
func TestIdleFollowerIsTrimmed(t *testing.T) {
	c := New(t, 2)
	c.CreateTopic("t", 1, 2)
	if err := produce(c, c.Client(), "t", 0, 100); err != nil {
		t.Fatal(err)
	}
	follower := c.Brokers[2-c.Leader("t", 0).ID]
	c.Eventually("the follower has all", func() bool { return follower.highWatermark("t", 0) == 100 })
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "t", Partition: 0, At: 60})
	if deleted, err := kadm.NewClient(c.Client()).DeleteRecords(c.Context(), offsets); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	c.Eventually("its log begins later", func() bool { return follower.logStart("t") == 60 })
}

// logStart is where partition 0 of a topic begins.
func (b *Broker) logStart(topic string) int64 {
	r, _, _ := b.Replicas.Find(topic, wire.TopicID{}, 0, false)
	if r == nil || r.Log() == nil {
		return -1
	}
	return r.Log().LogStartOffset()
}
