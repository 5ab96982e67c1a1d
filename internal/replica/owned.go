package replica

import (
	"fmt"
	"io"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// ownedWait is how long a coordinator's append waits at a time.
const ownedWait = time.Minute

// Owned is a partition of an internal topic as the coordinator that lives on it sees it. Safe for concurrent use.
type Owned struct {
	m *Manager
	r *Replica
}

// Owned returns a partition for the coordinator on it, with the leader epoch in which this broker leads it. The
// error wraps wire.NotCoordinator if it does not.
func (m *Manager) Owned(topic string, index int32) (*Owned, partition.LeaderEpoch, error) {
	r, _, code := m.Find(topic, wire.TopicID{}, index, false)
	if code != wire.None {
		return nil, -1, wire.NotCoordinator
	}
	role, _, err := r.leaderLog(anyEpoch)
	if err != nil {
		return nil, -1, fmt.Errorf("%s-%d: %w (%w)", topic, index, wire.NotCoordinator, err)
	}
	return &Owned{m: m, r: r}, role.LeaderEpoch, nil
}

// Append writes one batch as the leader of that epoch. If the log takes it, done is called once, when the batch is committed
// or cannot be any more under this leader. How long that takes is open: a batch that is in the log may be committed at any
// time. The batch belongs to the partition until then.
func (o *Owned) Append(epoch partition.LeaderEpoch, batch []byte, how log.AppendOptions, done func(baseOffset int64, err error)) error {
	info, err := o.m.append(o.r, batch, -1, epoch, how)
	if err != nil {
		return err
	}
	if o.m.Committed(o.r, info, -1) {
		done(info.BaseOffset, nil)
		return nil
	}
	o.await(&CommitSpec{Replica: o.r, Offset: info.LastOffset + 1, Epoch: info.LeaderEpoch}, info.BaseOffset, done)
	return nil
}

// await waits for the commit, in pieces.
func (o *Owned) await(spec *CommitSpec, base int64, done func(int64, error)) {
	o.m.AwaitCommit([]*CommitSpec{spec}, ownedWait, func() {
		switch code := spec.Outcome(); code {
		case wire.RequestTimedOut:
			o.await(&CommitSpec{Replica: spec.Replica, Offset: spec.Offset, Epoch: spec.Epoch}, base, done)
		case wire.None, wire.NotEnoughReplicasAfterAppend: // committed all the same
			done(base, nil)
		default:
			done(-1, code)
		}
	})
}

// ReadFrom returns whole batches from the one that holds offset, up to the log's end: at least one batch, even beyond
// maxBytes; none at the end. What lies above the high watermark belongs to the state too: a new leader's records will
// be committed.
func (o *Owned) ReadFrom(offset int64, maxBytes int) ([]byte, error) {
	l := o.r.log.Load()
	if l == nil {
		return nil, wire.KafkaStorageError
	}
	info, err := l.Read(offset, maxBytes, true, log.BoundLogEnd)
	if err != nil || info.Range == nil {
		return nil, err
	}
	defer info.Range.Release()
	b := make([]byte, info.Range.Len)
	if n, err := info.Range.ReadAt(b, 0); n < len(b) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read %v at %d: %w", l.TopicPartition(), offset, err)
	}
	return b, nil
}

// StartOffset is the first offset there is.
func (o *Owned) StartOffset() int64 {
	if l := o.r.log.Load(); l != nil {
		return l.LogStartOffset()
	}
	return 0
}

// HighWatermark is the end of what is committed.
func (o *Owned) HighWatermark() int64 {
	if l := o.r.log.Load(); l != nil {
		return l.HighWatermark()
	}
	return 0
}

// MaxBatchBytes is max.message.bytes of the topic.
func (o *Owned) MaxBatchBytes() int {
	if l := o.r.log.Load(); l != nil {
		return int(l.Config().MaxMessageBytes)
	}
	return 0
}
