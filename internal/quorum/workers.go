package quorum

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// queue hands items to one worker, which takes all that there are at once.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan struct{}
}

func (q *queue[T]) init() { q.wake = make(chan struct{}, 1) }

func (q *queue[T]) put(v T) {
	q.mu.Lock()
	q.items = append(q.items, v)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take waits for items; nil means that ctx is done.
func (q *queue[T]) take(ctx context.Context) []T {
	for {
		q.mu.Lock()
		items := q.items
		q.items = nil
		q.mu.Unlock()
		if len(items) > 0 {
			return items
		}
		select {
		case <-ctx.Done():
			return nil
		case <-q.wake:
		}
	}
}

// retryFullDisk is how long the append worker waits before it tries again on a full disk.
const retryFullDisk = 100 * time.Millisecond

// appendItem is work for the append worker: one of Raft's messages, or a request to cut Raft's log at a point.
type appendItem struct {
	msg *pb.Message
	cut *point
}

// applyItem is work for the apply worker: one of Raft's messages, or the news that leadership ended, or that a
// snapshot was written.
type applyItem struct {
	msg      *pb.Message
	resigned bool
	retain   bool
}

// runAppend makes entries and votes durable. All that is waiting is written as one group with one sync.
func (q *Quorum) runAppend(ctx context.Context) {
	for {
		items := q.appendq.take(ctx)
		if items == nil {
			return
		}
		var ms []*pb.Message
		var cut *point
		for _, i := range items {
			if i.cut != nil {
				cut = i.cut
			} else {
				ms = append(ms, i.msg)
			}
		}
		err := q.appendGroup(ctx, ms)
		if err == nil && cut != nil {
			cut.Conf = q.raft.at.Conf
			if err = q.raft.cut(*cut); vfs.IsNoSpace(err) {
				q.log.Error("metadata quorum: no space to cut Raft's log; it goes on growing", "error", err)
				err = nil
			}
			q.cutting.Store(false)
		}
		q.raftBytes.Store(q.raft.size)
		if err != nil {
			if ctx.Err() == nil {
				q.fault(fmt.Errorf("metadata quorum: %w", err))
			}
			return
		}
	}
}

func (q *Quorum) appendGroup(ctx context.Context, ms []*pb.Message) error {
	var entries []*pb.Entry
	var hs *pb.HardState
	mustSync := false
	for _, m := range ms {
		if len(m.GetEntries()) > 0 {
			entries = appendEntries(entries, m.GetEntries())
			mustSync = true
		}
		if m.Term != nil && m.Vote != nil {
			mustSync = mustSync || m.GetTerm() != q.raft.hs.GetTerm() || m.GetVote() != q.raft.hs.GetVote()
			hs = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		}
	}
	// A commit index alone need not be durable; it goes with the next group.
	if mustSync {
		if err := q.writeGroup(ctx, entries, hs); err != nil {
			return err
		}
	} else if hs != nil {
		q.raft.hs = hs
	}
	if err := q.raft.mem.Append(entries); err != nil {
		return err
	}
	if hs != nil {
		if err := q.raft.mem.SetHardState(hs); err != nil {
			return err
		}
	}
	var back []*pb.Message
	for _, m := range ms {
		for _, r := range m.GetResponses() {
			if r.GetTo() == q.raftID {
				back = append(back, r)
			}
		}
	}
	if len(back) > 0 {
		q.step(back)
	}
	return nil
}

// appendEntries puts more behind entries; what it overlaps is replaced.
func appendEntries(entries, more []*pb.Entry) []*pb.Entry {
	first := more[0].GetIndex()
	for len(entries) > 0 && entries[len(entries)-1].GetIndex() >= first {
		entries = entries[:len(entries)-1]
	}
	return append(entries, more...)
}

// writeGroup makes a group durable; on a full disk nothing is answered until there is space.
func (q *Quorum) writeGroup(ctx context.Context, entries []*pb.Entry, hs *pb.HardState) error {
	return q.waitForSpace(ctx, func() error {
		before := q.raft.hs
		err := q.raft.write(entries, hs)
		if err != nil {
			q.raft.hs = before
		}
		return err
	})
}

// waitForSpace tries again while the disk is full.
func (q *Quorum) waitForSpace(ctx context.Context, write func() error) error {
	for warned := false; ; warned = true {
		err := write()
		if err == nil || !vfs.IsNoSpace(err) {
			return err
		}
		if !warned {
			q.log.Error("metadata quorum: no space, waiting", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retryFullDisk):
		}
	}
}

// runApply writes committed entries to the metadata log and gives them to the Listener.
func (q *Quorum) runApply(ctx context.Context) {
	for {
		items := q.applyq.take(ctx)
		if items == nil {
			return
		}
		err := q.applyGroup(ctx, items)
		if err == nil {
			err = q.maintain()
		}
		if err != nil {
			q.fault(fmt.Errorf("metadata quorum: %w", err))
			return
		}
	}
}

// applyGroup applies all that is waiting; the Listener gets the batches of many entries in one call.
func (q *Quorum) applyGroup(ctx context.Context, items []applyItem) error {
	q.settled = q.applied
	var batches []record.Batch
	var back []*pb.Message
	flush := func() error {
		if len(batches) == 0 {
			return nil
		}
		q.hw.Store(q.meta.end)
		err := q.cfg.Listener.Commit(batches)
		batches = nil
		return err
	}
	for _, item := range items {
		switch {
		case item.resigned:
			if err := flush(); err != nil {
				return err
			}
			q.cfg.Listener.Resigned(int32(q.term.Load()), q.leader.Load())
		case item.retain:
			if err := q.retainLog(); err != nil {
				return err
			}
		}
		for _, e := range item.msg.GetEntries() {
			b, err := q.applyEntry(ctx, e)
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return err
			}
			if b != nil {
				batches = append(batches, b)
			}
			if err := q.afterEntry(e, flush); err != nil {
				return err
			}
		}
		back = append(back, item.msg.GetResponses()...)
	}
	if err := flush(); err != nil {
		return err
	}
	q.hw.Store(q.meta.end)
	if len(back) > 0 {
		q.step(back)
	}
	return nil
}

// applyEntry appends the entry's batch to the metadata log, unless it is there, and returns it if the Listener has
// not seen it.
func (q *Quorum) applyEntry(ctx context.Context, e *pb.Entry) (record.Batch, error) {
	q.applied.Index, q.applied.Term = e.GetIndex(), e.GetTerm()
	defer func() { q.applied.NextOffset = q.meta.end }()
	if e.GetType() != pb.EntryNormal || len(e.GetData()) == 0 {
		return nil, nil
	}
	b, rest, err := record.Next(e.GetData())
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Raft entry %d is not one batch: %w", ErrDamaged, e.GetIndex(), err)
	}
	if b.NextOffset() <= q.meta.end {
		return nil, nil
	}
	if err := q.waitForSpace(ctx, func() error { return q.meta.append(b) }); err != nil {
		return nil, err
	}
	if err := q.noteControl(b); err != nil {
		return nil, err
	}
	if b.BaseOffset() < q.snapEnd {
		return nil, nil
	}
	return b, nil
}

// afterEntry goes on with the steps of a term's beginning: after its empty entry the LeaderChange batch is proposed,
// after that the Listener is told.
func (q *Quorum) afterEntry(e *pb.Entry, flush func() error) error {
	if int64(e.GetTerm()) != q.electedTerm.Load() {
		return nil
	}
	epoch := int32(e.GetTerm())
	if len(e.GetData()) == 0 {
		return q.proposeLeaderChange(epoch)
	}
	q.mu.Lock()
	leads := q.epoch == epoch && !q.ready
	q.ready = q.ready || leads
	next := q.next
	q.mu.Unlock()
	if !leads {
		return nil
	}
	if err := flush(); err != nil {
		return err
	}
	q.log.Info("metadata quorum: leading", "epoch", epoch, "offset", next)
	q.cfg.Listener.Leader(epoch, next)
	// Only Apache Kafka reads this file; nobody has to wait for it.
	if err := q.writeQuorumState(epoch); err != nil && !vfs.IsNoSpace(err) {
		return err
	}
	return nil
}

// proposeLeaderChange proposes the first batch of a term.
func (q *Quorum) proposeLeaderChange(epoch int32) error {
	now := q.cfg.Now().UnixMilli()
	q.builder.Reset(record.Compression{}, q.meta.end)
	q.builder.SetLeaderEpoch(epoch)
	change := mr.LeaderChangeMessage{LeaderID: q.cfg.NodeID, Voters: []mr.LeaderChangeMessageVoter{{VoterID: q.cfg.NodeID}},
		GrantingVoters: []mr.LeaderChangeMessageVoter{{VoterID: q.cfg.NodeID}}}
	q.builder.AppendControl(now, record.ControlLeaderChange, change.Append(nil, 0))
	if q.kraft.Load() > 0 && (q.meta.end == 0 || q.newVote) {
		if q.meta.end == 0 {
			q.builder.AppendControl(now, record.ControlKRaftVersion, (&mr.KRaftVersionRecord{KRaftVersion: int16(q.kraft.Load())}).Append(nil, 0))
		}
		voters := q.votersRecord()
		if voters == nil {
			voters = q.voters
		}
		q.builder.AppendControl(now, record.ControlKRaftVoters, voters.Append(nil, 0))
		q.newVote = false
	}
	batch, err := q.builder.Build()
	if err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.electedTerm.Load() != int64(epoch) {
		return nil
	}
	q.epoch, q.ready = epoch, false
	q.propose(batch)
	return nil
}

// votersRecord is the voters record that should stand in the log, nil if the present one says the same.
func (q *Quorum) votersRecord() *mr.VotersRecord {
	v := mr.VotersRecordVoter{VoterID: q.cfg.NodeID, VoterDirectoryID: q.cfg.DirectoryID,
		KRaftVersionFeature: mr.VotersRecordKRaftVersionFeature{MaxSupportedVersion: 1}}
	for _, e := range q.cfg.Endpoints {
		v.Endpoints = append(v.Endpoints, mr.VotersRecordEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
	}
	want := &mr.VotersRecord{Voters: []mr.VotersRecordVoter{v}}
	if q.voters != nil && string(q.voters.Append(nil, 0)) == string(want.Append(nil, 0)) {
		return nil
	}
	if len(q.cfg.Endpoints) == 0 && q.voters != nil {
		return nil
	}
	return want
}

// writeQuorumState keeps Apache Kafka's own file up to date, so that it can go on from this directory.
func (q *Quorum) writeQuorumState(epoch int32) error {
	var text string
	if q.kraft.Load() > 0 {
		text = fmt.Sprintf(`{"leaderId":%d,"leaderEpoch":%d,"votedId":-1,"votedDirectoryId":"%s","data_version":1}`,
			q.cfg.NodeID, epoch, mr.FormatUUID([16]byte{}))
	} else {
		text = fmt.Sprintf(`{"clusterId":"","leaderId":%d,"leaderEpoch":%d,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":%d}],"data_version":0}`,
			q.cfg.NodeID, epoch, q.cfg.NodeID)
	}
	return vfs.WriteFileAtomic(q.cfg.FS, filepath.Join(q.meta.dir, "quorum-state"), []byte(text), true)
}
