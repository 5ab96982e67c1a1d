package replica

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// take brings a follower's log up to what its leader answered: it cuts where the logs part, or appends. It reports how many
// bytes came. The log refuses what belongs to an older leader epoch, so that a change of roles needs no wait for it.
func (m *Manager) take(f *following, l *log.Log, p *kmsg.FetchResponseTopicPartition) (int, error) {
	if p.DivergingEpoch.EndOffset >= 0 && p.DivergingEpoch.Epoch >= 0 {
		end := wire.EpochEnd{Epoch: p.DivergingEpoch.Epoch, EndOffset: p.DivergingEpoch.EndOffset}
		return 0, m.cut(f.r, l, f.epoch, partition.TruncationOffset(l, l.LogEndOffset(), end))
	}
	if len(p.RecordBatches) > 0 {
		if l.LogEndOffset() != f.told.offset {
			return 0, nil // it was cut, or began anew, while the answer was on its way
		}
		if _, err := l.AppendAsFollower(p.RecordBatches, f.epoch); err != nil {
			return 0, err
		}
		f.r.appended.signal(int64(len(p.RecordBatches)), false)
	}
	m.followWatermarks(f.r, l, f.epoch, p.HighWatermark)
	if p.LogStartOffset > l.LogStartOffset() {
		if err := l.AdvanceLogStart(p.LogStartOffset); err != nil {
			return 0, err
		}
	}
	return len(p.RecordBatches), nil
}

// cut truncates a follower's log. Below the high watermark it may go only where the cluster has accepted the loss, by an
// unclean election; the log is the place to read of it.
func (m *Manager) cut(r *Replica, l *log.Log, epoch partition.LeaderEpoch, offset int64) error {
	if hw := l.HighWatermark(); offset < hw {
		m.logger.Warn("the log is cut below its high watermark: its leader does not have what was committed here", "partition", r.name(),
			"offset", offset, "highWatermark", hw)
	}
	return l.TruncateAsFollower(offset, epoch)
}

// followWatermarks raises a follower's high watermark to its leader's, as far as the log goes. It does not go back: a new
// leader may know less than this broker does.
func (m *Manager) followWatermarks(r *Replica, l *log.Log, epoch partition.LeaderEpoch, leader int64) {
	r.mu.Lock()
	moved := false
	if role := r.role.Load(); !role.Leads() && role.LeaderEpoch == epoch && r.log.Load() == l {
		if hw := min(leader, l.LogEndOffset()); hw > l.HighWatermark() {
			l.SetHighWatermark(hw)
			moved = true
		}
	}
	r.mu.Unlock()
	if moved {
		r.waits.signal(unknownSize, false)
	}
}

// outOfRange finds where a follower goes on whose leader does not have the offset that it asked for: the leader's log is
// shorter, after an unclean election, or starts later.
func (m *Manager) outOfRange(ctx context.Context, c conn, f *following, l *log.Log) error {
	last, err := m.leaderOffset(ctx, c, f, LatestTimestamp)
	if err != nil {
		return err
	}
	end := l.LogEndOffset()
	if last < end {
		return m.cut(f.r, l, f.epoch, last)
	}
	first, err := m.leaderOffset(ctx, c, f, EarliestTimestamp)
	if err != nil || first <= end {
		return err
	}
	m.logger.Warn("the leader's log starts beyond the end of this one, which starts over there", "partition", f.r.name(), "end", end, "leaderStart", first)
	return l.StartOverAsFollower(first, f.epoch)
}

// leaderOffset asks the leader for an end of its log.
func (m *Manager) leaderOffset(ctx context.Context, c conn, f *following, which int64) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = m.nodeID
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = f.r.Topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = f.r.Index, f.epoch, which
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := c.Do(ctx, req)
	if err != nil {
		return -1, err
	}
	if topics := resp.(*kmsg.ListOffsetsResponse).Topics; len(topics) > 0 && len(topics[0].Partitions) > 0 {
		p := topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			return -1, wire.Code(p.ErrorCode)
		}
		return p.Offset, nil
	}
	return -1, fmt.Errorf("offset %d of %s: the leader did not answer", which, f.r.name())
}
