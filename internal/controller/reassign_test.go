package controller

import (
	"slices"
	"testing"

	"github.com/weir-stream/weir/internal/image"
)

// A reassignment that ends while fewer are in sync than a write needs would delete the logs of those that go, which may
// hold what the ones in sync have not flushed.
func TestReassignmentWaitsForMinInSync(t *testing.T) {
	all := func(int32) bool { return true }
	p := &image.Partition{Replicas: []int32{1, 2, 4, 3}, ISR: []int32{3}, Adding: nil, Removing: []int32{3}, Leader: 3, LeaderEpoch: 5}
	for _, c := range []struct {
		isr  []int32
		ends bool
	}{{[]int32{3, 1}, false}, {[]int32{3, 1, 2}, true}} {
		ch := newChange(image.TopicID{1}, 0, p)
		ch.minISR, ch.elr, ch.mayLead, ch.isr = 2, true, all, c.isr
		if r := ch.build(); (r.Replicas != nil) != c.ends {
			t.Errorf("in sync %v: %+v", c.isr, r)
		}
	}
}

// What a reassignment takes the replica from may not lead: its log is deleted.
func TestRemovedReplicaIsNotEligible(t *testing.T) {
	p := &image.Partition{Replicas: []int32{1, 2, 3}, ISR: []int32{1, 3}, Leader: 1, LeaderEpoch: 5}
	ch := newChange(image.TopicID{1}, 0, p)
	ch.minISR, ch.elr, ch.mayLead = 2, true, func(int32) bool { return true }
	ch.replicas, ch.isr = []int32{1, 2}, []int32{1}
	ch.build()
	if slices.Contains(ch.eligible, 3) {
		t.Errorf("eligible: %v", ch.eligible)
	}
}
