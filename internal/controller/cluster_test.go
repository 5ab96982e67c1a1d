package controller

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/wire"
)

// three returns a cluster of three brokers and a topic "t" with three replicas of each partition. The controller runs
// on node 1.
func three(t *testing.T, partitions int32, configs ...string) *cluster {
	t.Helper()
	k := newCluster(t)
	for id := range int32(3) {
		k.broker(id+1, -1)
	}
	k.create("t", partitions, 3, configs...)
	return k
}

func (k *cluster) partition(i int32) *image.Partition {
	k.t.Helper()
	p := k.c.Image().Partition("t", i)
	if p == nil {
		k.t.Fatalf("no partition %d", i)
	}
	return p
}

// alter asks for another ISR as the partition's leader would.
func (k *cluster) alter(i int32, isr ...int32) wire.Code {
	k.t.Helper()
	p := k.partition(i)
	return k.alterAs(p.Leader, i, p.LeaderEpoch, p.PartitionEpoch, isr...)
}

func (k *cluster) alterAs(leader, i, leaderEpoch, partitionEpoch int32, isr ...int32) wire.Code {
	k.t.Helper()
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, leader, k.epochs[leader]
	topic := kmsg.NewAlterPartitionRequestTopic()
	topic.TopicID = k.c.Image().TopicByName("t").ID
	p := kmsg.NewAlterPartitionRequestTopicPartition()
	p.Partition, p.LeaderEpoch, p.PartitionEpoch = i, leaderEpoch, partitionEpoch
	for _, id := range isr {
		m := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
		m.BrokerID, m.BrokerEpoch = id, k.epochs[id]
		p.NewEpochISR = append(p.NewEpochISR, m)
	}
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return wire.Code(ask[*kmsg.AlterPartitionResponse](k, req).Topics[0].Partitions[0].ErrorCode)
}

func TestPlacementIsBalanced(t *testing.T) {
	k := three(t, 30)
	leads, holds := map[int32]int{}, map[int32]int{}
	for _, p := range k.c.Image().TopicByName("t").Partitions {
		leads[p.Leader]++
		for _, r := range p.Replicas {
			holds[r]++
		}
		if len(p.ISR) != 3 || p.Leader != p.Replicas[0] {
			t.Errorf("%+v", p)
		}
	}
	for id := range int32(3) {
		if leads[id+1] != 10 || holds[id+1] != 30 {
			t.Errorf("broker %d leads %d and holds %d", id+1, leads[id+1], holds[id+1])
		}
	}
}

func TestPlacementUsesRacks(t *testing.T) {
	racks := []*rack{{name: "a", live: []int32{1, 2}}, {name: "b", live: []int32{3}}, {name: "c", fenced: []int32{4, 5}}}
	for first := range 3 {
		for range 10 {
			r := stripe(racks, first, 3)
			slices.Sort(r)
			if len(slices.Compact(r)) != 3 || !slices.Contains(r, 3) {
				t.Errorf("from rack %d: %v", first, r)
			}
		}
		if all := stripe(racks, first, 5); len(slices.Compact(slices.Sorted(slices.Values(all)))) != 5 || all[0] > 3 {
			t.Errorf("all five: %v", all)
		}
	}
}

func TestSessionEnds(t *testing.T) {
	k := three(t, 6, "min.insync.replicas", "2")
	k.clock.Add(int64(10 * time.Second))
	k.beat(2, false, false)
	k.c.post(k.c.fenceStale)
	// Broker 1 is this node and never stale; 3 has not been heard of.
	k.until("broker 3 is fenced", func(i *image.Image) bool { return i.Broker(3).Fenced })
	for i := range int32(6) {
		p := k.partition(i)
		if p.InSync(3) || p.Leader == 3 || !p.HasLeader() || len(p.ISR) != 2 {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
	if k.c.Image().Broker(1).Fenced || k.c.Image().Broker(2).Fenced {
		t.Error("a living broker was fenced")
	}
	behind := kmsg.NewPtrBrokerHeartbeatRequest()
	behind.Version, behind.BrokerID, behind.BrokerEpoch, behind.CurrentMetadataOffset = 2, 3, k.epochs[3], k.epochs[3]-1
	if r := ask[*kmsg.BrokerHeartbeatResponse](k, behind); !r.IsFenced || r.IsCaughtUp {
		t.Error("it is let in though it does not know its own registration yet")
	}
	if r := k.beat(3, false, false); r.IsFenced {
		t.Error("it is not let in again")
	}
}

func TestControlledShutdownMovesLeaders(t *testing.T) {
	k := three(t, 6)
	r := k.beat(2, false, true)
	if r.ShouldShutdown || r.IsFenced {
		t.Errorf("may stop before the leaders have moved: %+v", r)
	}
	for i := range int32(6) {
		if p := k.partition(i); p.Leader == 2 || p.InSync(2) || !p.HasLeader() {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
	// The others must have followed before it may go.
	if r := k.beat(2, false, true); r.ShouldShutdown {
		t.Error("may stop before the others know")
	}
	k.beat(1, false, false)
	k.beat(3, false, false)
	if r := k.beat(2, false, true); !r.ShouldShutdown || !r.IsFenced {
		t.Errorf("may not stop: %+v", r)
	}
}

func TestAlterPartition(t *testing.T) {
	k := three(t, 1)
	p := k.partition(0)
	other := p.Replicas[1]
	for _, c := range []struct {
		what string
		got  wire.Code
		want wire.Code
	}{
		{"not the leader", k.alterAs(other, 0, p.LeaderEpoch, p.PartitionEpoch, p.Leader, other), wire.InvalidRequest},
		{"older leader epoch", k.alterAs(p.Leader, 0, p.LeaderEpoch-1, p.PartitionEpoch, p.Leader), wire.FencedLeaderEpoch},
		{"newer leader epoch", k.alterAs(p.Leader, 0, p.LeaderEpoch+1, p.PartitionEpoch, p.Leader), wire.NotController},
		{"older partition epoch", k.alterAs(p.Leader, 0, p.LeaderEpoch, p.PartitionEpoch-1, p.Leader), wire.InvalidUpdateVersion},
		{"without the leader", k.alter(0, other), wire.InvalidRequest},
		{"nobody", k.alter(0), wire.InvalidRequest},
		{"a stranger", k.alter(0, p.Leader, 9), wire.InvalidRequest},
		{"twice", k.alter(0, p.Leader, p.Leader), wire.InvalidRequest},
		{"no such partition", k.alterAs(p.Leader, 7, 0, 0, p.Leader), wire.UnknownTopicOrPartition},
		{"shrink", k.alter(0, p.Leader, other), wire.None},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.what, c.got.Name(), c.want.Name())
		}
	}
	if now := k.partition(0); len(now.ISR) != 2 || now.PartitionEpoch != p.PartitionEpoch+1 || now.LeaderEpoch != p.LeaderEpoch {
		t.Errorf("after the shrink: %+v", now)
	}
	third := p.Replicas[2]
	k.epochs[third]--
	if got := k.alter(0, p.Leader, other, third); got != wire.IneligibleReplica {
		t.Errorf("a replica with an old broker epoch: %s", got.Name())
	}
	k.epochs[third]++
	k.beat(third, true, false)
	if got := k.alter(0, p.Leader, other, third); got != wire.IneligibleReplica {
		t.Errorf("a fenced replica: %s", got.Name())
	}
	k.epochs[p.Leader]--
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version, req.BrokerID, req.BrokerEpoch = 3, p.Leader, k.epochs[p.Leader]
	if _, err := k.c.Handle(k.ctx(), RequestContext{}, req); wire.CodeOf(err) != wire.StaleBrokerEpoch {
		t.Errorf("a leader with an old broker epoch: %v", err)
	}
}

// TestEligibleLeaders follows KIP-966: who falls out of an ISR below the least size stays eligible, and leads again
// without loss; who died without flushing does not.
func TestEligibleLeaders(t *testing.T) {
	k := three(t, 1, "min.insync.replicas", "2")
	p := k.partition(0)
	a, b, c := p.Leader, p.Replicas[1], p.Replicas[2]
	if got := k.alter(0, a, b); got != wire.None || len(k.partition(0).ELR) != 0 {
		t.Errorf("at the least size: %s %+v", got.Name(), k.partition(0))
	}
	if got := k.alter(0, a); got != wire.None || !slices.Equal(k.partition(0).ELR, []int32{b}) {
		t.Errorf("below it: %s %+v", got.Name(), k.partition(0))
	}
	k.beat(a, true, false) // the leader is fenced: the eligible one takes over, as the only one in sync
	if now := k.partition(0); now.Leader != b || !slices.Equal(now.ISR, []int32{b}) || !slices.Equal(now.ELR, []int32{a}) {
		t.Errorf("leader gone: %+v", now)
	}
	k.beat(b, true, false)
	if now := k.partition(0); now.HasLeader() || len(now.ISR) != 0 || !slices.Equal(slices.Sorted(slices.Values(now.ELR)), slices.Sorted(slices.Values([]int32{a, b}))) {
		t.Errorf("both gone: %+v", now)
	}
	k.register(a, -1) // a comes back after an unclean death
	k.beat(a, false, false)
	if now := k.partition(0); now.HasLeader() || !slices.Equal(now.ELR, []int32{b}) {
		t.Errorf("an unclean replica came back: %+v", now)
	}
	k.beat(c, false, false)
	if now := k.partition(0); now.HasLeader() {
		t.Errorf("%d leads though it was never eligible", now.Leader)
	}
	k.beat(b, false, false)
	if now := k.partition(0); now.Leader != b || !slices.Equal(now.ISR, []int32{b}) || now.LeaderRecoveryState != image.LeaderRecovered {
		t.Errorf("the eligible one came back: %+v", now)
	}
}

// TestReplicaInALostDirectory: a broker that says of a replica that it lies in a directory which it does not have any more
// loses its place in the ISR, and does not lead.
func TestReplicaInALostDirectory(t *testing.T) {
	k := three(t, 1)
	p := k.partition(0)
	k.alter(0, p.Replicas...)
	req := kmsg.NewPtrAssignReplicasToDirsRequest()
	req.BrokerID, req.BrokerEpoch = p.Leader, k.epochs[p.Leader]
	topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
	topic.TopicID, topic.Partitions = k.c.Image().TopicByName("t").ID, []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{{}}
	dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
	dir.ID, dir.Topics = image.DirectoryLost, []kmsg.AssignReplicasToDirsRequestDirectoryTopic{topic}
	req.Directories = append(req.Directories, dir)
	ask[*kmsg.AssignReplicasToDirsResponse](k, req)
	now := k.partition(0)
	if now.Leader == p.Leader || !now.HasLeader() || now.InSync(p.Leader) || now.LeaderEpoch != p.LeaderEpoch+1 || now.Directory(p.Leader) != image.DirectoryLost {
		t.Errorf("%+v, and %d still leads or counts", now, p.Leader)
	}
}

// TestWipedLastLeader: the last replica in sync loses its disk, and the one that was eligible dies without flushing. The leader
// comes back with an empty directory: it must not lead, whatever the order, and the other does, which has all but what it had not
// flushed.
func TestWipedLastLeader(t *testing.T) {
	for _, order := range []string{"told of its directory first", "told of its directory late"} {
		t.Run(order, func(t *testing.T) {
			k := three(t, 1, "min.insync.replicas", "2")
			p := k.partition(0)
			a, b := p.Leader, p.Replicas[1]
			k.alter(0, a, b)
			k.alter(0, a)
			k.beat(b, true, false)
			k.beat(a, true, false)
			empty := [16]byte{byte(a), 0xee}
			k.registerWith(a, -1, empty)
			k.beat(a, false, false)
			assign := func() {
				req := kmsg.NewPtrAssignReplicasToDirsRequest()
				req.BrokerID, req.BrokerEpoch = a, k.epochs[a]
				part := kmsg.NewAssignReplicasToDirsRequestDirectoryTopicPartition()
				topic := kmsg.NewAssignReplicasToDirsRequestDirectoryTopic()
				topic.TopicID, topic.Partitions = k.c.Image().TopicByName("t").ID, []kmsg.AssignReplicasToDirsRequestDirectoryTopicPartition{part}
				dir := kmsg.NewAssignReplicasToDirsRequestDirectory()
				dir.ID, dir.Topics = empty, []kmsg.AssignReplicasToDirsRequestDirectoryTopic{topic}
				req.Directories = append(req.Directories, dir)
				ask[*kmsg.AssignReplicasToDirsResponse](k, req)
			}
			if order == "told of its directory first" {
				assign()
			}
			k.register(b, -1)
			if now := k.partition(0); now.HasLeader() {
				t.Errorf("before the other is there: %+v", now)
			}
			k.beat(b, false, false)
			assign()
			if now := k.partition(0); now.Leader != b || !slices.Equal(now.ISR, []int32{b}) {
				t.Errorf("%+v, want %d to lead", now, b)
			}
		})
	}
}

func TestUncleanElection(t *testing.T) {
	k := three(t, 1, "min.insync.replicas", "2")
	p := k.partition(0)
	a, b, c := p.Leader, p.Replicas[1], p.Replicas[2]
	k.alter(0, a, b)
	k.alter(0, a)
	k.beat(a, true, false)
	k.beat(b, true, false)
	elect := func(kind int8) wire.Code {
		r := ask[*kmsg.ElectLeadersResponse](k, electRequest(kind, "t", 0))
		return wire.Code(r.Topics[0].Partitions[0].ErrorCode)
	}
	if got := elect(0); got != wire.PreferredLeaderNotAvailable {
		t.Errorf("preferred: %s", got.Name())
	}
	if got := elect(1); got != wire.None {
		t.Errorf("unclean: %s", got.Name())
	}
	if now := k.partition(0); now.Leader != c || !slices.Equal(now.ISR, []int32{c}) || now.LeaderRecoveryState != image.LeaderRecovering || len(now.ELR) != 0 {
		t.Errorf("after an unclean election: %+v", now)
	}
}

// TestUncleanElectionIsAllowedLater: a partition that waits for its last replica gets another one as leader when that is allowed while
// it waits, for the topic or for the cluster.
func TestUncleanElectionIsAllowedLater(t *testing.T) {
	for _, c := range []struct {
		name, topic string
		kind        kmsg.ConfigResourceType
	}{{"topic", "t", kmsg.ConfigResourceTypeTopic}, {"cluster", "", kmsg.ConfigResourceTypeBroker}} {
		t.Run(c.name, func(t *testing.T) {
			k := three(t, 1, "min.insync.replicas", "2")
			p := k.partition(0)
			a, b, last := p.Leader, p.Replicas[1], p.Replicas[2]
			k.alter(0, a, b)
			k.alter(0, a)
			k.beat(a, true, false)
			k.beat(b, true, false)
			if now := k.partition(0); now.HasLeader() {
				t.Fatalf("%+v", now)
			}
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			res := kmsg.NewIncrementalAlterConfigsRequestResource()
			res.ResourceType, res.ResourceName = c.kind, c.topic
			op := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			op.Name, op.Value = "unclean.leader.election.enable", kmsg.StringPtr("true")
			res.Configs = append(res.Configs, op)
			req.Resources = append(req.Resources, res)
			if r := ask[*kmsg.IncrementalAlterConfigsResponse](k, req); r.Resources[0].ErrorCode != 0 {
				t.Fatal(r)
			}
			k.until("the replica that is left leads", func(img *image.Image) bool { return img.TopicByName("t").Partition(0).Leader == last })
		})
	}
}

func TestPreferredElection(t *testing.T) {
	k := three(t, 1)
	p := k.partition(0)
	first, second := p.Replicas[0], p.Replicas[1]
	k.beat(first, true, false)
	k.beat(first, false, false)
	if now := k.partition(0); now.Leader == first {
		t.Fatalf("%+v", now)
	}
	if got := k.alter(0, second, first, p.Replicas[2]); got != wire.None {
		t.Fatal(got.Name())
	}
	ask[*kmsg.ElectLeadersResponse](k, electRequest(0, ""))
	if now := k.partition(0); now.Leader != first {
		t.Errorf("the preferred replica does not lead: %+v", now)
	}
}

func TestReassignment(t *testing.T) {
	k := newCluster(t)
	for id := range int32(4) {
		k.broker(id+1, -1)
	}
	req := createRequest(false, topicSpec{name: "t", partitions: -1, factor: -1, assign: [][]int32{{1, 2}}})
	ask[*kmsg.CreateTopicsResponse](k, req)
	reassign := func(replicas []int32) wire.Code {
		r := ask[*kmsg.AlterPartitionAssignmentsResponse](k, reassignRequest("t", 0, replicas))
		return wire.Code(r.Topics[0].Partitions[0].ErrorCode)
	}
	if got := reassign([]int32{3, 4}); got != wire.None {
		t.Fatal(got.Name())
	}
	p := k.partition(0)
	if !slices.Equal(p.Adding, []int32{3, 4}) || !slices.Equal(p.Removing, []int32{1, 2}) || !slices.Equal(p.Replicas, []int32{3, 4, 1, 2}) || p.Leader != 1 {
		t.Errorf("begun: %+v", p)
	}
	list := ask[*kmsg.ListPartitionReassignmentsResponse](k, kmsg.NewPtrListPartitionReassignmentsRequest())
	if len(list.Topics) != 1 || list.Topics[0].Topic != "t" {
		t.Errorf("listed: %+v", list.Topics)
	}
	if got := reassign(nil); got != wire.None {
		t.Fatal(got.Name())
	}
	if p := k.partition(0); p.Reassigning() || !slices.Equal(p.Replicas, []int32{1, 2}) || p.LeaderEpoch == 0 {
		t.Errorf("cancelled: %+v", p)
	}
	reassign([]int32{3, 4})
	before := k.partition(0)
	if got := k.alter(0, 1, 2, 3); got != wire.None || !k.partition(0).Reassigning() {
		t.Errorf("one of two is in sync: %s %+v", got.Name(), k.partition(0))
	}
	if got := k.alter(0, 1, 2, 3, 4); got != wire.NewLeaderElected {
		t.Errorf("the leader goes with the old replicas: %s", got.Name())
	}
	if p := k.partition(0); p.Reassigning() || !slices.Equal(p.Replicas, []int32{3, 4}) || p.Leader != 3 || p.LeaderEpoch <= before.LeaderEpoch || p.Directory(3) != (image.UUID{3, 0xd1}) {
		t.Errorf("finished: %+v", p)
	}
}

func TestRegistrationIsChecked(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	k.broker(2, -1)
	base := func() *kmsg.BrokerRegistrationRequest {
		req := kmsg.NewPtrBrokerRegistrationRequest()
		req.Version = 4
		req.BrokerID, req.ClusterID, req.IncarnationID = 3, "cluster", newID()
		req.LogDirs = [][16]byte{{3, 0xd1}}
		l := kmsg.NewBrokerRegistrationRequestListener()
		l.Name, l.Host = "PLAINTEXT", "h"
		req.Listeners = append(req.Listeners, l)
		for _, f := range image.SupportedFeatures() {
			rf := kmsg.NewBrokerRegistrationRequestFeature()
			rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
			req.Features = append(req.Features, rf)
		}
		return req
	}
	for _, c := range []struct {
		what   string
		change func(*kmsg.BrokerRegistrationRequest)
		want   wire.Code
	}{
		{"as it should be", func(*kmsg.BrokerRegistrationRequest) {}, wire.None},
		{"another cluster", func(r *kmsg.BrokerRegistrationRequest) { r.ClusterID = "x" }, wire.InconsistentClusterId},
		{"an id in use", func(r *kmsg.BrokerRegistrationRequest) { r.BrokerID = 2; r.LogDirs = [][16]byte{{2, 0xd1}} }, wire.DuplicateBrokerRegistration},
		{"the id of the controller's own broker", func(r *kmsg.BrokerRegistrationRequest) { r.BrokerID = 1; r.LogDirs = [][16]byte{{1, 0xd1}} }, wire.DuplicateBrokerRegistration},
		{"a directory in use", func(r *kmsg.BrokerRegistrationRequest) { r.BrokerID = 4; r.LogDirs = [][16]byte{{2, 0xd1}} }, wire.InvalidRegistration},
		{"no directory", func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = nil }, wire.InvalidRegistration},
		{"a reserved directory", func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{{15: 1}} }, wire.InvalidRegistration},
		{"a directory twice", func(r *kmsg.BrokerRegistrationRequest) { r.LogDirs = [][16]byte{{9, 9}, {9, 9}} }, wire.InvalidRegistration},
		{"no metadata.version", func(r *kmsg.BrokerRegistrationRequest) { r.Features = nil }, wire.InvalidRegistration},
		{"too old", func(r *kmsg.BrokerRegistrationRequest) {
			for i := range r.Features {
				if r.Features[i].Name == image.FeatureMetadata {
					r.Features[i].MaxSupportedVersion = 20
				}
			}
		}, wire.UnsupportedVersion},
	} {
		req := base()
		c.change(req)
		resp, err := k.c.Handle(k.ctx(), RequestContext{}, req)
		if wire.CodeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", c.what, err, c.want.Name())
		}
		if err == nil {
			epoch := resp.(*kmsg.BrokerRegistrationResponse).BrokerEpoch
			if b := k.c.Image().Broker(3); b.Epoch != epoch || k.c.Image().Offset() != epoch {
				t.Errorf("epoch %d is not the record's offset %d", epoch, k.c.Image().Offset())
			}
		}
	}
}

func TestFailedDirectory(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	k.create("t", 2, 1)
	req.Version, req.BrokerID, req.BrokerEpoch = 2, 1, k.epochs[1]
	req.CurrentMetadataOffset, req.OfflineLogDirs = k.c.Image().Offset(), [][16]byte{{1, 0xd1}}
	ask[*kmsg.BrokerHeartbeatResponse](k, req)
	for i := range int32(2) {
		if p := k.partition(i); p.HasLeader() {
			t.Errorf("partition %d on a failed directory has a leader: %+v", i, p)
		}
	}
}

// TestDirectoryThatFailedBeforeTheStart: a broker starts while one of its directories does not work. It does not lead what lies
// there, and does once the directory is back.
func TestDirectoryThatFailedBeforeTheStart(t *testing.T) {
	for _, clean := range []bool{true, false} {
		k := newCluster(t)
		k.broker(1, -1)
		k.create("t", 2, 1)
		again := func(clean bool, dirs ...[16]byte) {
			previous := int64(-1)
			if clean {
				previous = k.epochs[1]
			}
			k.clock.Add(int64(10 * time.Second)) // nobody takes the former process for alive
			k.registerWith(1, previous, dirs...)
		}
		again(clean, [16]byte{1, 0xd2})
		req := kmsg.NewPtrBrokerHeartbeatRequest()
		req.Version, req.BrokerID, req.BrokerEpoch = 2, 1, k.epochs[1]
		req.OfflineLogDirs = [][16]byte{{1, 0xd1}}
		for range 3 {
			req.CurrentMetadataOffset = k.c.Image().Offset()
			ask[*kmsg.BrokerHeartbeatResponse](k, req)
		}
		if k.c.Image().Broker(1).Fenced {
			t.Fatal("the broker is fenced")
		}
		for i := range int32(2) {
			if p := k.partition(i); p.HasLeader() {
				t.Errorf("clean %v: partition %d lies in a directory that has failed, and has a leader: %+v", clean, i, p)
			}
		}
		again(false, [16]byte{1, 0xd1}, [16]byte{1, 0xd2})
		k.beat(1, false, false)
		for i := range int32(2) {
			if p := k.partition(i); !p.HasLeader() {
				t.Errorf("clean %v: the directory is back, and partition %d has no leader: %+v", clean, i, p)
			}
		}
	}
}

func TestProducerIDBlocks(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	for i := range int64(3) {
		req := kmsg.NewPtrAllocateProducerIDsRequest()
		req.BrokerID, req.BrokerEpoch = 1, k.epochs[1]
		r := ask[*kmsg.AllocateProducerIDsResponse](k, req)
		if r.ProducerIDStart != i*1000 || r.ProducerIDLen != 1000 {
			t.Errorf("block %d: %+v", i, r)
		}
	}
	k.stop(true)
	k.start()
	if got := k.c.Image().NextProducerID(); got != 3000 {
		t.Errorf("next producer id after lost power: %d", got)
	}
}

// until waits for an image.
func (k *cluster) until(what string, holds func(*image.Image) bool) {
	k.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		k.mu.Lock()
		changed := k.changed
		k.mu.Unlock()
		if holds(k.c.Image()) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			k.t.Fatal(fmt.Sprint("timeout: ", what))
		}
	}
}

// A voter of controller.quorum.voters that has not registered yet is listed by the name of the controllers' listener.
func TestListenerOfUnregisteredVoter(t *testing.T) {
	k := newCluster(t)
	got := make(chan []quorum.Endpoint, 1)
	k.c.post(func() {
		got <- k.c.controllerEndpoints(quorum.Voter{ID: 9, Endpoints: []quorum.Endpoint{{Host: "a", Port: 1}}})
	})
	if e := <-got; !slices.Equal(e, []quorum.Endpoint{{Name: "CONTROLLER", Host: "a", Port: 1}}) {
		t.Error(e)
	}
}
