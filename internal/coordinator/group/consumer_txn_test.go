package group

import (
	"testing"
	"testing/synctest"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// TestTransactionalCommitsOfConsumers: offsets that a producer commits for a member of a consumer group (KIP-447, KIP-848) count in
// the member's epoch, or in one since when it has the partition; a stale epoch is told in the words that producers know.
func TestTransactionalCommitsOfConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(DefaultConfig())
		defer b.crash()
		b.settings.AssignmentInterval = 0
		b.topic("t", 2)
		join := func(id string) {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 1, "g", id, 1000, []string{"t"}
			req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			b.c.ConsumerHeartbeat(Client{"c", "/h"}, func(string) bool { return true }, req, func(r *kmsg.ConsumerGroupHeartbeatResponse) {
				b.say("%s epoch %d", id, r.MemberEpoch)
			})
		}
		commit := func(member string, epoch, p int32) {
			r := &Commit{Group: "g", Generation: epoch, MemberID: member, RetentionMs: -1, Transaction: &Transaction{ProducerID: 7}, Topics: []CommitTopic{
				{Name: "t", ID: b.image().TopicByName("t").ID, Partitions: []CommitPartition{{Index: p, Offset: 5, LeaderEpoch: -1}}}}}
			b.c.CommitOffsets(r, func(codes []wire.Code) { b.say("%s in %d: %s", member, epoch, codes[0].Name()) })
		}
		join("a")
		join("a")
		b.expect(t, "a epoch 2\na epoch 2\n")
		commit("a", 2, 0)
		b.expect(t, "a in 2: NONE\n")
		commit("a", 1, 0)
		b.expect(t, "a in 1: ILLEGAL_GENERATION\n")
		commit("a", 3, 0)
		b.expect(t, "a in 3: ILLEGAL_GENERATION\n")
		commit("x", 2, 0)
		b.expect(t, "x in 2: UNKNOWN_MEMBER_ID\n")
		commit("", -1, 0)
		b.expect(t, " in -1: NONE\n")
		// b's coming raises the epoch; a still has partition 0 since epoch 2, and partition 1 until it gives it back.
		join("b")
		b.expect(t, "b epoch 3\n")
		beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		beat.Version, beat.Group, beat.MemberID, beat.MemberEpoch, beat.RebalanceTimeoutMillis = 1, "g", "a", 2, -1
		beat.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: b.image().TopicByName("t").ID, Partitions: []int32{0}}}
		b.c.ConsumerHeartbeat(Client{"c", "/h"}, nil, beat, func(r *kmsg.ConsumerGroupHeartbeatResponse) { b.say("a epoch %d", r.MemberEpoch) })
		b.expect(t, "a epoch 3\n")
		commit("a", 2, 0)
		b.expect(t, "a in 2: NONE\n")
		commit("a", 2, 1)
		b.expect(t, "a in 2: ILLEGAL_GENERATION\n")
		b.endTxn(7, 1, true)
		b.look("g", 0, true)
		b.expect(t, "end NONE\nat 5\n")
	})
}
