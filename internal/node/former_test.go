package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/vfs"
)

// slowHistory has brokers fetch the metadata a batch at a time, so that each state that it once had is published when it is read from its
// beginning.
const slowHistory = "controller.quorum.fetch.max.bytes=1"

func (m *member) logOf(topic string) *log.Log {
	return m.n.logs.Get(log.TopicPartition{Topic: topic})
}

func (k *cluster) leaderOf(topic string) *member {
	var leads *member
	k.eventually("a leader", func() bool {
		t := k.active().n.image.Load().TopicByName(topic)
		leads = nil
		if t != nil && t.Partitions[0].Leader > 0 {
			leads = k.members[t.Partitions[0].Leader-1]
		}
		return leads != nil && leads.n != nil
	})
	return leads
}

// TestFormerLeaderOfAnEmptyLog: a broker that has lost its disks reads in the metadata, from the beginning, when it led a partition.
// Its log must not begin in such an epoch: the records that it gets from the others are of older ones, and who follows it later
// would be told that they are not.
func TestFormerLeaderOfAnEmptyLog(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker", "broker"}, slowHistory)
	k.start(k.members...)
	c := k.client()
	k.create(c, "t", 1, 2)
	k.produce(c, "t", 10)
	for range 3 { // epochs with records of their own
		led := k.leaderOf("t")
		led.kill()
		k.produce(c, "t", 10)
		k.start(led)
		k.untilInSync("t", 2)
	}
	lost := k.leaderOf("t")
	lost.kill()
	lost.fs = vfs.NewMem()
	lost.format()
	k.produce(c, "t", 10)
	k.start(lost)
	k.untilInSync("t", 2)
	other := k.leaderOf("t")
	if got, want := lost.logOf("t").Epochs(), other.logOf("t").Epochs(); !slices.Equal(got, want) {
		t.Errorf("leader epochs after all disks were lost: %v\nof the leader: %v", got, want)
	}
	if led := other.n.id; led == lost.n.id {
		t.Errorf("broker %d leads at once", led)
	}
}

// TestHistoryDeletesNothing: a broker that has lost its metadata, on a disk of its own, and not its logs reads that a topic
// of the same name was deleted once, and that a replica was given away and back. Its logs are of what is there now.
func TestHistoryDeletesNothing(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker", "broker"}, slowHistory, "metadata.log.dir=/meta")
	k.start(k.members...)
	c := k.client()
	adm := kadm.NewClient(c)
	k.create(c, "again", 1, 1)
	if _, err := adm.DeleteTopics(k.ctx(), "again"); err != nil {
		t.Fatal(err)
	}
	k.create(c, "again", 1, 1)
	k.create(c, "moved", 1, 1)
	move := func(to int32) {
		t.Helper()
		k.eventually(fmt.Sprintf("the partition is on broker %d", to), func() bool {
			var plan kadm.AlterPartitionAssignmentsReq
			plan.Assign("moved", 0, []int32{to})
			if _, err := adm.AlterPartitionAssignments(k.ctx(), plan); err != nil {
				return false
			}
			return k.leaderOf("moved").id == int(to) && len(k.active().n.image.Load().TopicByName("moved").Partitions[0].Replicas) == 1
		})
	}
	home := int32(k.leaderOf("again").id)
	move(5 - home)
	move(home)
	move(5 - home)
	move(home)
	k.create(c, "gone", 1, 2)
	k.produce(c, "again", 20)
	k.produce(c, "moved", 20)
	k.produce(c, "gone", 20)

	m := k.members[home-1]
	m.kill()
	if _, err := adm.DeleteTopics(k.ctx(), "gone"); err != nil {
		t.Fatal(err)
	}
	if err := m.fs.RemoveAll("/meta"); err != nil {
		t.Fatal(err)
	}
	m.formatAgain()
	k.start(m)
	k.consume("again", 20)
	k.consume("moved", 20)
	if m.logOf("gone") != nil {
		t.Error("the log of a topic that was deleted meanwhile is there")
	}
	for _, name := range []string{"again", "moved"} {
		if end := m.logOf(name).LogEndOffset(); end != 20 {
			t.Errorf("%s ends at %d", name, end)
		}
	}
}

// TestSettingsAfterARestart: what is set for all brokers while they run counts for logs that were there before.
func TestSettingsAfterARestart(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller"})
	k.start(k.members...)
	c := k.client(kgo.MaxProduceRequestsInflightPerBroker(1), kgo.DisableIdempotentWrite())
	k.create(c, "t", 1, 1)
	if _, err := kadm.NewClient(c).AlterBrokerConfigs(k.ctx(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.segment.bytes", Value: kadm.StringPtr("2097152")}}); err != nil {
		t.Fatal(err)
	}
	m := k.members[0]
	want := func() bool { return m.logOf("t").Config().SegmentBytes == 2097152 }
	k.eventually("the setting is there", want)
	m.kill()
	k.start(m)
	if !want() {
		t.Errorf("after a restart segments have %d bytes", m.logOf("t").Config().SegmentBytes)
	}
}

// formatAgain formats what is not formatted.
func (m *member) formatAgain() {
	m.k.t.Helper()
	r := format.Request{Node: m.settings().Node(), ClusterID: "cluster-of-the-test", Out: new(discardText), IgnoreFormatted: true}
	if err := format.Format(m.fs, r); err != nil {
		m.k.t.Fatal(err)
	}
}

type discardText struct{}

func (*discardText) Write(p []byte) (int, error) { return len(p), nil }
