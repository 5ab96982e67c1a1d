package replica

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/vfs"
)

// TestFormerLeaderSyncsBeforeItFollows: under weir.durability=fsync the offset that a follower asks for promises that all below
// it is on its disk. A broker that led, and has not synced what it appended, asks for nothing until it has.
func TestFormerLeaderSyncsBeforeItFollows(t *testing.T) {
	gate := make(chan struct{})
	k := newKit(t, func(mc *log.ManagerConfig) {
		mc.Durability = log.DurabilityFsync
		mc.FS = vfs.Inject(mc.FS, func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
				<-gate // a slow disk
			}
			return nil
		})
	})
	r := k.lead(t, 1)
	if _, err := k.Append(r, batch(t, "x"), 1); err != nil {
		t.Fatal(err)
	}
	_, _, err := k.Apply(Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
		Self: 1, Leader: 2, LeaderEpoch: 2, PartitionEpoch: 2, Replicas: []int32{1, 2}, ISR: []int32{2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := k.fetchers.of[r]
	f.cluster, f.members = Cluster{Epoch: func() int64 { return 7 }}, map[partitionKey]*following{}
	f.takeNews()
	if req, _ := f.request(); req != nil {
		close(gate)
		t.Fatalf("it promises offset %d, and its disk has %d", req.Topics[0].Partitions[0].FetchOffset, r.Log().FlushedOffset())
	}
	close(gate)
	f.settle(t.Context())
	for _, p := range f.due {
		p.after = time.Time{}
	}
	req, _ := f.request()
	if req == nil {
		t.Fatal("it asks for nothing, though all is on its disk")
	}
	if knows := req.Topics[0].Partitions[0].HighWatermark; knows != r.Log().HighWatermark() {
		t.Errorf("it says that it knows the watermark %d, and knows %d", knows, r.Log().HighWatermark())
	}
	if at := req.Topics[0].Partitions[0].FetchOffset; at != 1 || r.Log().FlushedOffset() != 1 {
		t.Errorf("it asks from offset %d on, and its disk has %d", at, r.Log().FlushedOffset())
	}
}

// TestLeaderSyncsBeforeItCommits: under weir.durability=fsync the leader's own share of the high watermark is what is on its disk,
// however fast its followers are.
func TestLeaderSyncsBeforeItCommits(t *testing.T) {
	gate := make(chan struct{})
	k := newKit(t, func(mc *log.ManagerConfig) {
		mc.Durability = log.DurabilityFsync
		mc.FS = vfs.Inject(mc.FS, func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
				<-gate // a slow disk
			}
			return nil
		})
	})
	_, _, err := k.Apply(Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
		Self: 1, Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1, Replicas: []int32{1, 2}, ISR: []int32{1, 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, _, _ := k.Find("t", k.topic, 0, true)
	if _, err := k.Append(r, batch(t, "x"), 1); err != nil {
		t.Fatal(err)
	}
	res := k.Read(&FetchSpec{Replica: r, CurrentLeaderEpoch: 1, Offset: 1, LastFetchedEpoch: -1}, &Reader{Follower: 2, BrokerEpoch: -1}, 1<<20, true)
	if on := r.Log().FlushedOffset(); res.HighWatermark > on || res.Code != 0 {
		t.Errorf("%v: the high watermark is %d, and the leader's disk has %d", res.Code, res.HighWatermark, on)
	}
	close(gate)
	if err := r.Log().Sync(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	k.OnFlushed(r.Log())
	if hw := r.Log().HighWatermark(); hw != 1 {
		t.Errorf("the high watermark is %d when all is on both disks", hw)
	}
}

// TestCoordinatorWaitsForTheISR: what a coordinator appends, such as a group's offsets, counts when all in sync have it.
func TestCoordinatorWaitsForTheISR(t *testing.T) {
	k := newKit(t, nil)
	_, _, err := k.Apply(Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
		Self: 1, Leader: 1, LeaderEpoch: 1, PartitionEpoch: 1, Replicas: []int32{1, 2}, ISR: []int32{1, 2},
	}})
	if err != nil {
		t.Fatal(err)
	}
	o, epoch, err := k.Owned("t", 0)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	o.Append(epoch, batch(t, "x"), log.AppendOptions{Origin: log.OriginCoordinator}, func(_ int64, err error) { done <- err })
	select {
	case err := <-done:
		t.Fatalf("it was said to be committed, and a replica that is in sync has not asked for it: %v", err)
	default:
	}
	r, _, _ := k.Find("t", k.topic, 0, true)
	k.Read(&FetchSpec{Replica: r, CurrentLeaderEpoch: 1, Offset: 1, LastFetchedEpoch: -1}, &Reader{Follower: 2, BrokerEpoch: -1}, 1<<20, true)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
