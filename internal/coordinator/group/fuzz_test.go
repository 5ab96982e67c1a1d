package group

import (
	"bytes"
	"testing"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/image"
)

// FuzzReplay feeds a shard with records of any bytes, as a foreign or damaged log may hold them: it may refuse them, no
// more. What it takes must come back when it is written and read again.
func FuzzReplay(f *testing.F) {
	leader := "m"
	group := coordrecord.NewGroupMetadataValue()
	group.ProtocolType, group.Protocol, group.Leader = "consumer", &leader, &leader
	group.Members = []coordrecord.GroupMetadataValueMemberMetadata{{MemberID: "m", Subscription: subscription([]string{"t"}), Assignment: []byte{1}}}
	for v := int16(0); v <= 4; v++ {
		f.Add(groupKey("g"), coordrecord.AppendValue(nil, group, v), int64(-1))
		f.Add(offsetKey("g", "t", 1), coordrecord.AppendValue(nil, coordrecord.NewOffsetCommitValue(), v), int64(v)-2)
	}
	f.Add(coordrecord.AppendKey(nil, &coordrecord.ConsumerGroupMemberMetadataKey{GroupID: "g", MemberID: "m"}), []byte{0, 0, 1}, int64(-1))
	seedConsumerRecords(f)
	f.Add(coordrecord.AppendKey(nil, &coordrecord.LegacyOffsetCommitKey{Group: "g", Topic: "t"}), []byte(nil), int64(-1))
	f.Add([]byte{0, 99, 1}, []byte{1}, int64(-1))
	f.Fuzz(func(t *testing.T, key, value []byte, producer int64) {
		m := newMachine(New(DefaultConfig(), Deps{PartitionCount: func() int32 { return 1 }}), &coordinator.Shard{})
		k, v := bytes.Clone(key), bytes.Clone(value)
		err := m.Replay(coordinator.Replayed{Key: key, Value: value, ProducerID: producer})
		clear(key) // the batch's memory is not the machine's
		clear(value)
		if err != nil {
			return
		}
		if err := m.ReplayMarker(producer, true); err != nil {
			t.Fatal(err)
		}
		m.infos()
		for id := range m.consumers {
			m.describeConsumer(id)
		}
		again := newMachine(m.c, &coordinator.Shard{})
		tx := &coordinator.Tx{}
		for _, g := range m.groups {
			m.writeGroup(tx, g, nil)
		}
		for id, o := range m.offsets {
			for topic, ps := range o.topics {
				for p, off := range ps {
					tx.Append(offsetKey(id, topic, p), offsetValue(off))
				}
			}
		}
		for _, r := range tx.Records() {
			if err := again.Replay(coordinator.Replayed{Key: r.Key, Value: r.Value, ProducerID: -1}); err != nil {
				t.Fatalf("what was read from %x %x cannot be read when written: %v", k, v, err)
			}
		}
		a, b := m.infos(), again.infos()
		for i := range a {
			if a[i].Type == classicType && (a[i].Group != b[i].Group || a[i].Generation != b[i].Generation || offsetsLine(a[i].Offsets) != offsetsLine(b[i].Offsets)) {
				t.Fatalf("%+v came back as %+v", a[i], b[i])
			}
		}
	})
}

// FuzzSubscription reads subscriptions of any bytes.
func FuzzSubscription(f *testing.F) {
	f.Add(subscription(nil))
	f.Add(subscription([]string{"a", "b"}))
	f.Add([]byte{0, 3, 0x7f, 0xff, 0xff, 0xff, 0, 1, 'a'})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		set := map[string]struct{}{}
		if addSubscribedTopics(set, b) && len(set) > len(b)/2 {
			t.Fatalf("%d topics out of %d bytes", len(set), len(b))
		}
	})
}

// seedConsumerRecords adds good records of a consumer group.
func seedConsumerRecords(f *testing.F) {
	g := consumer.New("g")
	h := &consumer.Heartbeat{MemberID: "m", RebalanceMs: 1, Topics: []string{"t"}, Regex: new(string), Owned: &assign.Partitions{}, ClientHost: "/h"}
	a, err := g.Heartbeat(&consumer.Env{Topics: topicView{image.Empty(), &machine{}}, MaxSize: 1, Assignors: []string{"uniform"}}, h)
	if err != nil {
		f.Fatal(err)
	}
	target := coordrecord.NewConsumerGroupTargetAssignmentMemberValue()
	target.TopicPartitions = []coordrecord.ConsumerGroupTargetAssignmentMemberValueTopicPartition{{Partitions: []int32{3, -1, 3}}}
	a.Records = append(a.Records, g.Tombstones()...)
	a.Records = append(a.Records, consumer.Record{Key: &coordrecord.ConsumerGroupTargetAssignmentMemberKey{GroupID: "g", MemberID: "m"}, Value: target},
		consumer.Record{Key: &coordrecord.ConsumerGroupRegularExpressionKey{GroupID: "g", RegularExpression: "("}, Value: &coordrecord.ConsumerGroupRegularExpressionValue{Topics: []string{"t", "t"}}})
	for _, r := range a.Records {
		key, value := r.Encode()
		f.Add(key, value, int64(-1))
	}
}
