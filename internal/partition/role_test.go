package partition

import (
	"errors"
	"testing"

	"github.com/weir-stream/weir/internal/wire"
)

func TestCheckLeaderEpoch(t *testing.T) {
	r := &Role{Self: 1, Leader: 1, LeaderEpoch: 5}
	for claimed, want := range map[int32]error{-1: nil, 5: nil, 4: wire.FencedLeaderEpoch, 0: wire.FencedLeaderEpoch, 6: wire.UnknownLeaderEpoch} {
		if got := r.CheckLeaderEpoch(claimed); !errors.Is(got, want) {
			t.Errorf("epoch %d: %v, want %v", claimed, got, want)
		}
	}
}

func TestCheckInSync(t *testing.T) {
	r := Role{Replicas: []int32{1, 2, 3}, ISR: []int32{1}}
	if err := r.CheckInSync(1); err != nil {
		t.Error(err)
	}
	if err := r.CheckInSync(2); !errors.Is(err, wire.NotEnoughReplicas) {
		t.Error(err)
	}
	alone := Role{Replicas: []int32{1}, ISR: []int32{1}}
	if err := alone.CheckInSync(2); err != nil {
		t.Error("a partition cannot have more replicas in sync than it has:", err)
	}
}

func TestSupersedes(t *testing.T) {
	old := &Role{LeaderEpoch: 3, PartitionEpoch: 7}
	for _, c := range []struct {
		r    Role
		want bool
	}{
		{Role{LeaderEpoch: 3, PartitionEpoch: 7}, true}, {Role{LeaderEpoch: 3, PartitionEpoch: 8}, true},
		{Role{LeaderEpoch: 4, PartitionEpoch: 8}, true}, {Role{LeaderEpoch: 2, PartitionEpoch: 6}, false},
		{Role{LeaderEpoch: 3, PartitionEpoch: 6}, false},
	} {
		if got := c.r.Supersedes(old); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
	if !(&Role{}).Supersedes(nil) {
		t.Error("the first picture must be taken")
	}
}
