package quorum

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// Reserve lets nobody else propose until release is called: the offsets that follow from NextOffset hold for as long.
// Between two reservations the quorum may write records of its own.
func (q *Quorum) Reserve() (release func()) {
	q.proposer.Lock()
	return q.proposer.Unlock
}

// NextOffset is the offset that the first record of the next proposal in this epoch gets. Only who has reserved
// can rely on it.
func (q *Quorum) NextOffset() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next
}

// ErrTooLarge says that the records do not fit one batch.
var ErrTooLarge = errors.New("the records do not fit one batch of the metadata log")

// Propose proposes the records as one batch, which is applied as a whole or not at all, and returns the offset of its
// last record without waiting. It is committed when the Listener gets it; if leadership is lost before, the
// Listener gets Resigned and the batch may or may not be committed by the next leader.
func (q *Quorum) Propose(epoch int32, records []mr.Versioned) (last int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.epoch != epoch || !q.ready {
		return 0, ErrNotLeader
	}
	now := q.cfg.Now().UnixMilli()
	var b record.Builder
	b.Reset(record.Compression{}, q.next)
	b.SetLeaderEpoch(epoch)
	var frame []byte
	for _, v := range records {
		frame = v.AppendFrame(frame[:0])
		b.Append(now, nil, frame)
	}
	if b.UncompressedSize() > MaxBatchBytes {
		return 0, fmt.Errorf("%d bytes in %d records: %w", b.UncompressedSize(), len(records), ErrTooLarge)
	}
	batch, err := b.Build()
	if err != nil {
		return 0, err
	}
	q.propose(batch)
	return q.next - 1, nil
}

// propose queues a batch; q.mu is held.
func (q *Quorum) propose(batch record.Batch) {
	q.next = batch.NextOffset()
	q.proposed = append(q.proposed, proposal{epoch: batch.LeaderEpoch(), batch: batch})
	q.signal()
}

// fault ends this node's part in the quorum: nothing is committed from then on.
func (q *Quorum) fault(err error) {
	q.log.Error("the metadata quorum has failed", "error", err)
	q.faulted.Store(true)
	q.inLoop(func() { // a leader that stores nothing would be obeyed as long as its process takes to end
		if q.electedTerm.Load() != 0 {
			q.renounce()
		}
	})
	if q.cfg.OnFault != nil {
		q.cfg.OnFault(err)
	}
}

// successor is the voter other than this one, and the excepted one, that answers and has most of the log, 0 if there is
// none. It belongs to the loop.
func (q *Quorum) successor(except uint64) (id uint64) {
	var best uint64
	q.node.WithProgress(func(peer uint64, typ raft.ProgressType, pr tracker.Progress) {
		if peer != q.raftID && peer != except && typ == raft.ProgressTypePeer && pr.RecentActive && pr.Match > best {
			id, best = peer, pr.Match
		}
	})
	return id
}
