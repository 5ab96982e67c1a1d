package replica

import (
	"errors"
	"testing"

	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// TestEpochIsLookedAtFirst: who asks a follower in a wrong epoch hears of the epoch, so that it knows whose metadata is out of date;
// who compares replicas is answered by a follower too.
func TestEpochIsLookedAtFirst(t *testing.T) {
	k := newKit(t, nil)
	follows := Change{Topic: "t", TopicID: k.topic, MinInSync: 1, Role: partition.Role{
		Self: 1, Leader: 2, LeaderEpoch: 5, PartitionEpoch: 5, Replicas: []int32{2, 1}, ISR: []int32{2, 1},
	}}
	if _, _, err := k.Apply(follows); err != nil {
		t.Fatal(err)
	}
	r, _, code := k.Find("t", wire.TopicID{}, 0, false)
	if code != wire.None {
		t.Fatal(code)
	}
	for claimed, want := range map[int32]error{-1: wire.NotLeaderOrFollower, 5: wire.NotLeaderOrFollower, 4: wire.FencedLeaderEpoch, 6: wire.UnknownLeaderEpoch} {
		if _, _, err := k.EpochEnd(r, 0, claimed); !errors.Is(err, want) {
			t.Errorf("the end of an epoch, in epoch %d: %v, want %v", claimed, err, want)
		}
		if _, _, _, err := k.OffsetFor(r, LatestTimestamp, claimed, OffsetReader{Consumer: true}); !errors.Is(err, want) {
			t.Errorf("offsets, in epoch %d: %v, want %v", claimed, err, want)
		}
		if res := k.Read(&FetchSpec{Replica: r, CurrentLeaderEpoch: claimed, LastFetchedEpoch: -1}, &Reader{Follower: -1}, 1, true); res.Code != want {
			t.Errorf("a fetch, in epoch %d: %v, want %v", claimed, res.Code, want)
		}
	}
	if offset, _, _, err := k.OffsetFor(r, LatestTimestamp, -1, OffsetReader{AnyReplica: true}); offset != 0 || err != nil {
		t.Errorf("a follower's own end: %d, %v", offset, err)
	}
}
