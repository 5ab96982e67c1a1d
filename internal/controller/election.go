package controller

import (
	"slices"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
)

// election says how far an election may go.
type election int

const (
	electOnline    election = iota // keep a good leader, else any in sync
	electPreferred                 // move to the first replica if it is in sync
	electUnclean                   // any live replica if none is in sync
)

// change makes the record that takes a partition from one state to another: with another ISR, other replicas, another
// leader, and what follows from that for the eligible leader replicas (KIP-966). Pure; set the fields and call
// build once.
type change struct {
	topic     image.TopicID
	index     int32
	p         *image.Partition
	version   image.MetadataVersion
	elr       bool
	minISR    int
	election  election
	mayLead   func(broker int32) bool
	directory func(broker int32) image.UUID // of a replica that is new
	unclean   []int32                       // replicas that may have lost data
	lost      func(broker int32) bool       // the directory that a replica lay in is not there any more

	isr, replicas, removing, adding []int32
	recovery                        int8

	eligible, lastKnown []int32
}

// newChange begins a change that changes nothing.
func newChange(topic image.TopicID, index int32, p *image.Partition) *change {
	return &change{topic: topic, index: index, p: p, isr: p.ISR, replicas: p.Replicas, removing: p.Removing, adding: p.Adding,
		recovery: p.LeaderRecoveryState, eligible: p.ELR, lastKnown: p.LastKnownELR, lost: func(int32) bool { return false }}
}

// build returns the record, nil if nothing changes.
func (c *change) build() *mr.PartitionChangeRecord {
	r := mr.NewPartitionChangeRecord()
	r.TopicID, r.PartitionID = c.topic, c.index
	c.completeReassignment()
	c.findEligible()
	c.elect(r)
	if r.Leader == leaderUnchanged && missesAny(c.replicas, c.p.Replicas) {
		r.Leader = c.p.Leader // a replica that goes must be fenced by a new leader epoch
	}
	c.setEligible(r)
	if r.ISR == nil && (len(c.isr) > 0 || c.elr) && !slices.Equal(c.isr, c.p.ISR) {
		r.ISR = notNil(c.isr)
	}
	if c.version.EpochBumpOnShrink() && r.Leader == leaderUnchanged && r.ISR != nil && missesAny(r.ISR, c.p.ISR) {
		r.Leader = c.p.Leader
	}
	c.setLastKnown(r)
	c.setAssignment(r)
	if c.recovery != c.p.LeaderRecoveryState {
		r.LeaderRecoveryState = c.recovery
	}
	if isNoOp(r) {
		return nil
	}
	return r
}

// leaderUnchanged is the leader of a PartitionChangeRecord that keeps it.
const leaderUnchanged int32 = -2

func isNoOp(r *mr.PartitionChangeRecord) bool {
	return r.ISR == nil && r.Leader == leaderUnchanged && r.Replicas == nil && r.RemovingReplicas == nil && r.AddingReplicas == nil &&
		r.LeaderRecoveryState == -1 && r.Directories == nil && r.EligibleLeaderReplicas == nil && r.LastKnownELR == nil
}

// notNil makes an empty list of nil: in a record nil means no change.
func notNil(list []int32) []int32 {
	if list == nil {
		return []int32{}
	}
	return list
}

// missesAny reports whether one of wanted is not in list.
func missesAny(list, wanted []int32) bool {
	return slices.ContainsFunc(wanted, func(id int32) bool { return !slices.Contains(list, id) })
}

func without(list []int32, gone ...int32) []int32 {
	out := make([]int32, 0, len(list))
	for _, id := range list {
		if !slices.Contains(gone, id) {
			out = append(out, id)
		}
	}
	return out
}

// completeReassignment ends a reassignment when all that are added are in sync and one of the replicas that stay is. Unlike
// Kafka's it waits until as many are in sync as a write needs: those that go may hold what one of the others has not
// flushed.
func (c *change) completeReassignment() {
	if len(c.adding) == 0 && len(c.removing) == 0 {
		return
	}
	isr, replicas := without(c.isr, c.removing...), without(c.replicas, c.removing...)
	if len(isr) == 0 || len(replicas) == 0 || missesAny(isr, c.adding) || len(isr) < min(c.minISR, len(replicas)) {
		return
	}
	c.isr, c.replicas, c.removing, c.adding = isr, replicas, []int32{}, []int32{}
}

// findEligible computes who may lead though not in sync: while the ISR is below the least size nothing is committed that
// they lack, unless they died without flushing.
func (c *change) findEligible() {
	if !c.elr {
		return
	}
	if len(c.isr) >= c.minISR {
		c.eligible, c.lastKnown = []int32{}, []int32{}
		return
	}
	var eligible, last []int32
	for _, id := range union(c.eligible, c.p.ISR) {
		// Unlike Kafka's, one that a reassignment has taken the replica from is not eligible: its log is deleted.
		if !slices.Contains(c.isr, id) && !slices.Contains(c.unclean, id) && slices.Contains(c.replicas, id) {
			eligible = append(eligible, id)
		}
	}
	for _, id := range union(c.lastKnown, union(c.eligible, c.p.ISR)) {
		if !slices.Contains(c.isr, id) && !slices.Contains(eligible, id) {
			last = append(last, id)
		}
	}
	c.eligible, c.lastKnown = eligible, last
}

func union(a, b []int32) []int32 {
	out := slices.Clone(a)
	for _, id := range b {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// goodLeader reports whether a replica can lead without loss.
func (c *change) goodLeader(id int32) bool {
	in := slices.Contains(c.isr, id) || len(c.isr) == 0 && slices.Contains(c.eligible, id)
	return in && c.mayLead(id)
}

// choose finds the leader; unclean says that data may be lost with it.
func (c *change) choose() (leader int32, unclean bool) {
	if c.election == electPreferred && len(c.replicas) > 0 && c.goodLeader(c.replicas[0]) {
		return c.replicas[0], false
	}
	if c.goodLeader(c.p.Leader) {
		return c.p.Leader, false
	}
	for _, id := range c.replicas {
		if c.goodLeader(id) {
			return id, false
		}
	}
	// The last known leader of a partition that lost all others, as after kill -9 of a replication factor of one.
	if c.elr && len(c.eligible) == 0 && len(c.isr) == 0 && len(c.p.LastKnownELR) == 1 && c.mayLead(c.p.LastKnownELR[0]) {
		return c.p.LastKnownELR[0], true
	}
	if c.election == electUnclean {
		for _, id := range c.replicas {
			if c.mayLead(id) {
				return id, true
			}
		}
	}
	return image.NoLeader, false
}

func (c *change) elect(r *mr.PartitionChangeRecord) {
	leader, unclean := c.choose()
	if leader == c.p.Leader {
		return
	}
	r.Leader = leader
	switch {
	case unclean:
		// The ISR is the new leader alone; the others must follow it even where that loses data.
		r.ISR = []int32{leader}
		c.recovery = image.LeaderRecovering
	case slices.Contains(c.eligible, leader):
		c.isr, c.eligible = []int32{leader}, without(c.eligible, leader)
	}
}

func (c *change) setEligible(r *mr.PartitionChangeRecord) {
	if r.ISR != nil || !c.elr {
		c.eligible = []int32{}
	}
	if !slices.Equal(c.eligible, c.p.ELR) {
		r.EligibleLeaderReplicas = notNil(c.eligible)
	}
}

// setLastKnown keeps the last leader of a partition that has lost its ISR, and forgets it when there is a leader again.
// Unlike Kafka's it does not count on a leader whose directory is gone, and that would come back with an empty log: the last
// eligible replica has all that was committed too, as far as it had flushed it.
func (c *change) setLastKnown(r *mr.PartitionChangeRecord) {
	if !c.elr {
		return
	}
	have := c.p.LastKnownELR
	switch last := c.lastEligible(); {
	case r.ISR != nil && len(r.ISR) == 0 && (len(have) != 1 || have[0] != c.p.Leader) && c.p.Leader != image.NoLeader:
		r.LastKnownELR = []int32{c.p.Leader}
	case (r.Leader >= 0 || c.p.HasLeader() && r.Leader != image.NoLeader) && len(have) > 0:
		r.LastKnownELR = []int32{}
	case r.Leader < 0 && last != image.NoLeader && (len(have) == 0 || c.lost(have[0])):
		r.LastKnownELR = []int32{last}
	}
}

// lastEligible is the replica that was eligible until this change, if none is left that is in sync or eligible.
func (c *change) lastEligible() int32 {
	if len(c.isr) == 0 && len(c.eligible) == 0 {
		for _, id := range c.p.ELR {
			if slices.Contains(c.unclean, id) && slices.Contains(c.replicas, id) {
				return id
			}
		}
	}
	return image.NoLeader
}

func (c *change) setAssignment(r *mr.PartitionChangeRecord) {
	if !slices.Equal(c.replicas, c.p.Replicas) {
		r.Replicas = c.replicas
		if c.version.DirectoryAssignment() {
			dirs := make([]image.UUID, len(c.replicas))
			for i, id := range c.replicas {
				if c.p.HasReplica(id) {
					dirs[i] = c.p.Directory(id)
				} else {
					dirs[i] = c.directory(id)
				}
			}
			if !slices.Equal(dirs, c.p.Directories) {
				r.Directories = dirs
			}
		}
	}
	if !slices.Equal(c.removing, c.p.Removing) {
		r.RemovingReplicas = notNil(c.removing)
	}
	if !slices.Equal(c.adding, c.p.Adding) {
		r.AddingReplicas = notNil(c.adding)
	}
}
