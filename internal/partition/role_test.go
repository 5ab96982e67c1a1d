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

func TestHighWatermark(t *testing.T) {
	alone := Role{Self: 1, Leader: 1, ISR: []int32{1}}
	follower := Role{Self: 1, Leader: 2, ISR: []int32{1}}
	accompanied := Role{Self: 1, Leader: 1, ISR: []int32{1, 2}}
	outside := Role{Self: 1, Leader: 1, ISR: []int32{2}}
	for _, c := range []struct {
		name          string
		role          Role
		now, end, exp int64
	}{
		{"alone", alone, 3, 9, 9},
		{"never back", alone, 9, 3, 9},
		{"follower", follower, 3, 9, 3},
		{"another in sync", accompanied, 3, 9, 3},
		{"not in sync itself", outside, 3, 9, 3},
	} {
		if got := c.role.HighWatermark(c.now, c.end); got != c.exp {
			t.Errorf("%s: %d, want %d", c.name, got, c.exp)
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
	}{{Role{LeaderEpoch: 3, PartitionEpoch: 7}, false}, {Role{LeaderEpoch: 3, PartitionEpoch: 8}, true}, {Role{LeaderEpoch: 4, PartitionEpoch: 8}, true}, {Role{LeaderEpoch: 2, PartitionEpoch: 6}, false}} {
		if got := c.r.Supersedes(old); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
	if !(&Role{}).Supersedes(nil) {
		t.Error("the first picture must be taken")
	}
}
