package replica

import (
	"errors"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// The timestamps with a meaning of their own in ListOffsets.
const (
	LatestTimestamp          = -1
	EarliestTimestamp        = -2
	MaxTimestamp             = -3
	EarliestLocalTimestamp   = -4
	LatestTieredTimestamp    = -5
	EarliestPendingTimestamp = -6
)

// OffsetReader says whose offsets are asked for.
type OffsetReader struct {
	// Consumer bounds the answer by the high watermark, CommittedOnly by the last stable offset.
	Consumer, CommittedOnly bool
	// AnyReplica has a follower answer with its own offsets: for tools that compare replicas.
	AnyReplica bool
}

// OffsetFor answers ListOffsets for one partition: an offset, the timestamp found (-1 for the special ones) and
// the leader epoch of the offset. A time after the last record gives -1, -1, -1.
func (m *Manager) OffsetFor(r *Replica, timestamp int64, claimed partition.LeaderEpoch, by OffsetReader) (offset, ts int64, epoch int32, err error) {
	role, l, err := r.leaderLog(claimed)
	if by.AnyReplica && errors.Is(err, wire.NotLeaderOrFollower) {
		role, l, err = r.replicaLog()
	}
	if err != nil {
		return -1, -1, -1, err
	}
	forConsumer, committedOnly := by.Consumer, by.CommittedOnly
	end := l.LogEndOffset()
	if forConsumer {
		end = l.HighWatermark()
	}
	if committedOnly {
		end = l.LastStableOffset()
	}
	behind := (forConsumer || committedOnly) && r.epochStart() > l.HighWatermark()
	var found log.TimestampOffset
	switch timestamp {
	case LatestTimestamp:
		if behind {
			return -1, -1, -1, wire.OffsetNotAvailable
		}
		return end, -1, role.LeaderEpoch, nil
	case EarliestTimestamp, EarliestLocalTimestamp:
		start := l.LogStartOffset()
		return start, -1, l.EpochOfOffset(start), nil
	case LatestTieredTimestamp, EarliestPendingTimestamp:
		return -1, -1, -1, nil
	case MaxTimestamp:
		found, err = l.OffsetForMaxTimestamp()
	default:
		found, err = l.OffsetForTimestamp(timestamp)
	}
	if err == nil && behind && (found.Offset < 0 || found.Offset >= end) {
		err = wire.OffsetNotAvailable
	}
	if err != nil || found.Offset < 0 || found.Offset >= end {
		return -1, -1, -1, err
	}
	return found.Offset, found.Timestamp, found.LeaderEpoch, nil
}

// epochStart is where the log ended when this broker began to lead.
func (r *Replica) epochStart() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader == nil {
		return -1
	}
	return r.leader.EpochStart()
}

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch at or below the asked one, and where it ended.
func (m *Manager) EpochEnd(r *Replica, epoch, claimed partition.LeaderEpoch) (int32, int64, error) {
	_, l, err := r.leaderLog(claimed)
	if err != nil {
		return -1, -1, err
	}
	e, end := l.EpochEndOffset(epoch)
	return e, end, nil
}

// DeleteRecords moves the start of a partition up to offset, or to the high watermark for -1, and returns the low
// watermark after it.
func (m *Manager) DeleteRecords(r *Replica, offset int64) (int64, error) {
	_, l, err := r.leaderLog(anyEpoch)
	if err != nil {
		return -1, err
	}
	if cfg := l.Config(); !cfg.Delete && cfg.Compact {
		return -1, wire.PolicyViolation
	}
	if offset == -1 {
		offset = l.HighWatermark()
	}
	if offset < 0 {
		return -1, wire.OffsetOutOfRange
	}
	if _, err := l.DeleteRecordsTo(offset); err != nil {
		return -1, err
	}
	return l.LogStartOffset(), nil
}

// Producers lists the producers that a partition remembers.
func (m *Manager) Producers(r *Replica) ([]log.ActiveProducer, error) {
	if l := r.Log(); l != nil { // a follower's too, as in Kafka
		return l.ActiveProducers()
	}
	_, l, err := r.leaderLog(anyEpoch)
	if err != nil {
		return nil, err
	}
	return l.ActiveProducers()
}
