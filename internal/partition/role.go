// Package partition decides, for one replica of one partition, what its place in the cluster means: whether it
// leads and in which epoch, whether a request's epoch is current, which replicas are in sync, how far the high
// watermark may go, and where a follower cuts a log that has parted from its leader's.
//
// It is pure: no clock, no file, no lock. replica holds the state and does what is decided here.
package partition

import "github.com/weir-stream/weir/internal/wire"

// LeaderEpoch counts the leaderships of a partition. It is not a partition epoch, a broker epoch or a
// controller epoch.
type LeaderEpoch = int32

// Role is the immutable picture that a broker has of one partition it holds a replica of.
type Role struct {
	Self           int32
	Leader         int32 // -1: none
	LeaderEpoch    LeaderEpoch
	PartitionEpoch int32
	Replicas       []int32
	ISR            []int32
	// Adding are the replicas that a reassignment adds; they are among Replicas.
	Adding []int32
}

// Leads reports whether this broker leads the partition.
func (r *Role) Leads() bool { return r.Leader == r.Self }

// CheckLeaderEpoch compares the epoch that a client believes in with the current one (KIP-320): an older one is
// FENCED_LEADER_EPOCH, a newer one UNKNOWN_LEADER_EPOCH, -1 is not checked.
func (r *Role) CheckLeaderEpoch(claimed LeaderEpoch) error {
	switch {
	case claimed < 0 || claimed == r.LeaderEpoch:
		return nil
	case claimed < r.LeaderEpoch:
		return wire.FencedLeaderEpoch
	default:
		return wire.UnknownLeaderEpoch
	}
}

// CheckLeader is NOT_LEADER_OR_FOLLOWER unless this broker leads the partition.
func (r *Role) CheckLeader() error {
	if !r.Leads() {
		return wire.NotLeaderOrFollower
	}
	return nil
}

// CheckInSync is NOT_ENOUGH_REPLICAS if fewer replicas are in sync than an acks=all write needs. A partition with
// fewer replicas than min.insync.replicas needs all it has, as in Kafka 4.
func (r *Role) CheckInSync(minInSync int) error {
	if len(r.ISR) < min(minInSync, len(r.Replicas)) {
		return wire.NotEnoughReplicas
	}
	return nil
}

// UnderReplicated reports whether a replica is missing in the ISR. Those that a reassignment is adding do not count.
func (r *Role) UnderReplicated() bool { return len(r.ISR) < len(r.Replicas)-len(r.Adding) }

// Supersedes reports whether r may replace old: news of a partition is taken only if its partition epoch is newer,
// so that a late image cannot bring back an old leader. It may be the one that is known: the leader learns it from the
// controller's answer, which does not tell the replicas.
func (r *Role) Supersedes(old *Role) bool {
	return old == nil || r.PartitionEpoch >= old.PartitionEpoch && r.LeaderEpoch >= old.LeaderEpoch
}
