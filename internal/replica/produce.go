package replica

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/delayed"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// Append writes a client's batches to a partition that this broker leads, and lets the high watermark follow as far
// as it may at once. acks decides only whether enough replicas have to be in sync; waiting is the caller's.
func (m *Manager) Append(r *Replica, batches []byte, acks int16) (log.AppendInfo, error) {
	return m.append(r, batches, acks, -1, log.AppendOptions{Origin: log.OriginClient})
}

// AppendGuarded is Append for a batch that may begin a transaction in the log, with what StartVerification gave for it.
func (m *Manager) AppendGuarded(r *Replica, batches []byte, acks int16, guard log.VerificationGuard) (log.AppendInfo, error) {
	return m.append(r, batches, acks, -1, log.AppendOptions{Origin: log.OriginClient, Guard: guard})
}

// StartVerification asks the log whether a producer's transaction has begun in the partition (log.Log.StartVerification).
func (m *Manager) StartVerification(r *Replica, producerID int64, epoch int16, firstSequence int32, epochBump bool) (log.VerificationGuard, error) {
	_, l, err := r.leaderLog(anyEpoch)
	if err != nil {
		return 0, err
	}
	return l.StartVerification(producerID, epoch, firstSequence, epochBump)
}

// WriteMarker ends a producer's transaction in a partition that this broker leads and calls done once, when the marker is
// committed or cannot be any more.
func (m *Manager) WriteMarker(r *Replica, producerID int64, epoch int16, marker record.EndTxnMarker, version int8, d time.Duration, done func(error)) {
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.AppendEndTxn(m.now().UnixMilli(), producerID, epoch, marker)
	p, err := b.Build()
	if err != nil {
		done(err)
		return
	}
	info, err := m.append(r, p, -1, -1, log.AppendOptions{Origin: log.OriginCoordinator, TxnVersion: version})
	if err != nil || m.Committed(r, info, -1) {
		done(err)
		return
	}
	spec := &CommitSpec{Replica: r, Offset: info.LastOffset + 1, Epoch: info.LeaderEpoch}
	m.AwaitCommit([]*CommitSpec{spec}, d, func() {
		if code := spec.Outcome(); code != wire.None {
			done(code)
			return
		}
		done(nil)
	})
}

func (m *Manager) append(r *Replica, batches []byte, acks int16, epoch partition.LeaderEpoch, opt log.AppendOptions) (log.AppendInfo, error) {
	role, l, err := r.leaderLog(epoch)
	if err != nil {
		return log.AppendInfo{BaseOffset: -1, LogStartOffset: -1}, err
	}
	if acks == -1 {
		if err := role.CheckInSync(int(r.minInSync.Load())); err != nil {
			return log.AppendInfo{BaseOffset: -1, LogStartOffset: l.LogStartOffset()}, err
		}
	}
	info, err := l.AppendAsLeader(batches, role.LeaderEpoch, opt)
	if err != nil {
		r.stats.ProduceFailed(int64(len(batches)))
		if vfs.IsNoSpace(err) && len(role.ISR) > 1 {
			// A leader that cannot write has others lead, which do it where there is room. One that is alone goes on to be read.
			l.GiveUpDirectory(fmt.Errorf("%s is led from a full disk, and others can lead it: %w", r.name(), err))
		}
		return info, err
	}
	if info.Recompressed {
		r.stats.Converted(int64(info.Records))
	}
	r.stats.Produced(int64(info.Records), int64(info.Bytes))
	r.appended.signal(int64(info.Bytes), false)
	if !l.SyncsBeforeAck() { // else OnFlushed does it
		m.advance(r, l, int64(info.Bytes))
	}
	return info, nil
}

// OnFlushed is told by the log, under weir.durability=fsync or flush.messages=1, that more of it is durable: only that is committed,
// so that no consumer sees what a power cut can take.
func (m *Manager) OnFlushed(l *log.Log) {
	tp := l.TopicPartition()
	t := m.topics.named(tp.Topic)
	if t == nil {
		return
	}
	if r := t.partition(tp.Partition); r != nil && r.log.Load() == l {
		m.advance(r, l, unknownSize) // how many bytes the round covered is not known
	}
}

// OnStartMoved is told by the log that its start, and perhaps its high watermark with it, has moved: followers have to learn it.
func (m *Manager) OnStartMoved(l *log.Log) {
	tp := l.TopicPartition()
	if t := m.topics.named(tp.Topic); t != nil {
		if r := t.partition(tp.Partition); r != nil {
			r.waits.signal(0, false)
		}
	}
}

// Place is where in a request a partition stands.
type Place struct{ Topic, Partition int }

// CommitSpec is one partition that a write waits for.
type CommitSpec struct {
	Replica *Replica
	Offset  int64 // the high watermark that is needed
	Epoch   int32 // the leader epoch of the append
	Tag     Place // the caller's

	code atomic.Int32
	done atomic.Bool
}

// Outcome is how the wait ended: None if committed.
func (c *CommitSpec) Outcome() wire.Code { return wire.Code(c.code.Load()) }

// Committed reports whether a write with these acks may be answered already.
func (m *Manager) Committed(r *Replica, info log.AppendInfo, acks int16) bool {
	if acks == 0 {
		return true
	}
	l := r.log.Load()
	if acks == 1 && l != nil && !l.SyncsBeforeAck() {
		return true
	}
	return l != nil && l.HighWatermark() > info.LastOffset && r.ledThrough(info.LeaderEpoch)
}

// ledThrough reports whether this broker has led without a break since epoch. Who has seen the high watermark pass a write
// of then, and asks this after it, knows that it is that write that is committed, and not what another leader put in its
// place.
func (r *Replica) ledThrough(epoch partition.LeaderEpoch) bool {
	return r.role.Load().Leads() && r.ledSince.Load() <= epoch
}

// AwaitCommit runs end once, when every partition is committed up to its offset, can no longer be, or d is over;
// perhaps on an appender's goroutine: it must not block.
func (m *Manager) AwaitCommit(specs []*CommitSpec, d time.Duration, end func()) {
	w := &commitWait{specs: specs, watches: make([]watch, len(specs))}
	for i, s := range specs {
		w.watches[i].list = &s.Replica.waits
		w.watches[i].wake = func(*watch, int64, bool) { w.check(s) }
	}
	w.left.Store(int32(len(specs)))
	w.op = delayed.New(d, func(expired bool) {
		for i := range w.watches {
			w.watches[i].unlink()
		}
		for _, s := range specs {
			if s.done.CompareAndSwap(false, true) {
				s.code.Store(int32(wire.RequestTimedOut))
			}
		}
		end()
	})
	for i, s := range specs {
		w.watches[i].link()
		w.check(s) // it may have been committed meanwhile
	}
	if w.op.Done() {
		for i := range w.watches {
			w.watches[i].unlink()
		}
	}
}

// commitWait is a write that waits for several partitions.
type commitWait struct {
	op      *delayed.Op
	specs   []*CommitSpec
	watches []watch
	left    atomic.Int32
}

func (w *commitWait) check(s *CommitSpec) {
	code, settled := s.settled()
	if !settled || !s.done.CompareAndSwap(false, true) {
		return
	}
	s.code.Store(int32(code))
	if w.left.Add(-1) == 0 {
		w.op.Complete()
	}
}

// settled reports whether the outcome is known.
func (s *CommitSpec) settled() (wire.Code, bool) {
	role, l, err := s.Replica.leaderLog(anyEpoch)
	if err != nil {
		return wire.CodeOf(err), true
	}
	committed := l.HighWatermark() >= s.Offset
	switch {
	case !s.Replica.ledThrough(s.Epoch):
		return wire.NotLeaderOrFollower, true
	case !committed:
		return wire.None, false
	case role.CheckInSync(int(s.Replica.minInSync.Load())) != nil:
		return wire.NotEnoughReplicasAfterAppend, true
	default:
		return wire.None, true
	}
}
