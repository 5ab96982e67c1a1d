package replica

import (
	"math"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
)

// unknownSize stands for a number of bytes that nobody has counted: whoever waits for bytes looks again.
const unknownSize = math.MaxInt64 / 2

// promised is the end of what a log answers for: what is on the disk, if it syncs before it promises.
func promised(l *log.Log) int64 {
	if l.SyncsBeforeAck() {
		return l.FlushedOffset()
	}
	return l.LogEndOffset()
}

// advance moves the high watermark up to what is in sync and wakes who waits for it. size is how many bytes
// became readable by it, as far as the caller knows.
func (m *Manager) advance(r *Replica, l *log.Log, size int64) {
	r.mu.Lock()
	moved := m.advanceLocked(r, l)
	r.mu.Unlock()
	if moved {
		r.waits.signal(size, false)
	}
}

// advanceLocked reports whether the high watermark has moved. The caller holds r.mu.
func (m *Manager) advanceLocked(r *Replica, l *log.Log) bool {
	if r.leader == nil || r.log.Load() != l {
		return false
	}
	old := l.HighWatermark()
	hw := r.leader.HighWatermark(old, promised(l), int(r.minInSync.Load()), m.now(), m.alive)
	if hw > old {
		l.SetHighWatermark(hw)
	}
	return hw > old
}

// noteFetch takes over how far a follower is, lets it into the ISR if it has caught up, and lets the high watermark
// follow.
func (m *Manager) noteFetch(r *Replica, l *log.Log, epoch partition.LeaderEpoch, follower int32, at partition.Fetched) error {
	r.mu.Lock()
	if r.leader == nil || r.leader.Role().LeaderEpoch != epoch {
		r.mu.Unlock()
		return r.role.Load().CheckLeaderEpoch(epoch)
	}
	err := r.leader.NoteFetch(follower, at)
	var p *partition.Proposal
	moved := false
	if err == nil {
		moved = m.advanceLocked(r, l)
		p = r.leader.ProposeExpand(follower, l.HighWatermark(), m.alive)
	}
	r.mu.Unlock()
	if moved {
		r.waits.signal(unknownSize, false)
	}
	if p != nil {
		m.isr.propose(r, p)
	}
	return err
}

// shrinkISR proposes that followers that lag leave the ISR. It lets the high watermark move too: with time, a follower
// that was waited for so that it can join is waited for no more.
func (m *Manager) shrinkISR(r *Replica) {
	l := r.log.Load()
	if l == nil || !r.role.Load().Leads() {
		return
	}
	lag := m.settings().LagMax
	r.mu.Lock()
	var p *partition.Proposal
	if r.leader != nil {
		r.leader.SetLagMax(lag)
		p = r.leader.ProposeShrink(l.LogEndOffset(), m.now())
	}
	r.mu.Unlock()
	if p != nil {
		m.isr.propose(r, p)
	}
	m.advance(r, l, unknownSize)
}

// decide hands the controller's answer to the leader and reports whether the proposal has to be sent again.
func (m *Manager) decide(r *Replica, p *partition.Proposal, v partition.Verdict) (again bool) {
	r.mu.Lock()
	if r.leader == nil {
		r.mu.Unlock()
		return false
	}
	outcome := r.leader.Decide(p, v)
	moved := false
	if outcome == partition.OutcomeCommitted {
		r.role.Store(r.leader.Role())
		if l := r.log.Load(); l != nil {
			moved = m.advanceLocked(r, l)
		}
	}
	r.mu.Unlock()
	switch outcome {
	case partition.OutcomeCommitted:
		if p.Expands {
			m.expands.Inc()
		} else {
			m.shrinks.Inc()
		}
		m.logger.Info("in-sync replicas changed", "partition", r.name(), "isr", v.ISR, "partitionEpoch", v.PartitionEpoch)
	case partition.OutcomeRefused:
		m.failedUpdates.Inc()
		m.logger.Info("the controller refused a change of the in-sync replicas", "partition", r.name(), "code", v.Err)
	case partition.OutcomeStale:
		if v.Err != nil {
			m.failedUpdates.Inc()
		}
	}
	if moved {
		r.waits.signal(unknownSize, false)
	}
	return outcome == partition.OutcomeRetry
}

func (r *Replica) name() string {
	return log.TopicPartition{Topic: r.Topic, Partition: r.Index}.String()
}
