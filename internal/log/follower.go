package log

import (
	"fmt"
	"math"

	"github.com/weir-stream/weir/internal/wire"
)

// AppendAsFollower appends batches that the leader of leaderEpoch has accepted, with their offsets and epochs. Only
// lengths and CRC are checked. From the first batch of a higher epoch on nothing is appended, without an error
// (KAFKA-14830), and a batch that is cut off at the end is left away. An epoch other than the one of the last
// BecomeFollower gives wire.NotLeaderOrFollower: the answer was on its way when the leader changed.
func (l *Log) AppendAsFollower(batches []byte, leaderEpoch int32) (AppendInfo, error) {
	return l.appendAccepted(batches, leaderEpoch, func() error { return l.followsIn(leaderEpoch) })
}

// AppendPrepared appends batches whose offsets and epochs are already set; the first one starts at the log end.
func (l *Log) AppendPrepared(batches []byte) (AppendInfo, error) {
	return l.appendAccepted(batches, math.MaxInt32, func() error { return nil })
}

// followsIn says why a follower of that epoch's leader may not change the log. The caller holds mu.
func (l *Log) followsIn(leaderEpoch int32) error {
	if l.role.leader.Load() || l.role.epoch.Load() != leaderEpoch {
		return fmt.Errorf("%s: an answer of leader epoch %d, the log is in epoch %d: %w", l.tp, leaderEpoch, l.role.epoch.Load(), wire.NotLeaderOrFollower)
	}
	return nil
}

// TruncateAsFollower is TruncateTo for a follower of the leader of leaderEpoch; if that is not so any more, it is
// wire.NotLeaderOrFollower and nothing is cut.
func (l *Log) TruncateAsFollower(offset int64, leaderEpoch int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.followsIn(leaderEpoch); err != nil {
		return err
	}
	return l.truncateLocked(offset, l.env.nowMs())
}

// StartOverAsFollower is TruncateFullyTo for a follower of the leader of leaderEpoch, as TruncateAsFollower is.
func (l *Log) StartOverAsFollower(offset int64, leaderEpoch int32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.writable(); err != nil {
		return err
	}
	if err := l.followsIn(leaderEpoch); err != nil {
		return err
	}
	return l.truncateFullyLocked(offset, offset, l.env.nowMs())
}
