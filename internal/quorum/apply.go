package quorum

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	pb "go.etcd.io/raft/v3/raftpb"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// runApply writes committed entries to the metadata log and gives them to the Listener. After it has failed, the Listener
// is still told that this node leads no more.
func (q *Quorum) runApply(ctx context.Context) {
	failed := false
	for {
		items := q.applyq.take(ctx)
		if items == nil {
			return
		}
		if !failed {
			err := q.applyItems(ctx, items)
			if err == nil {
				continue
			}
			failed = true
			q.fault(fmt.Errorf("metadata quorum: %w", err))
		}
		for _, i := range items {
			if i.resigned {
				q.cfg.Listener.Resigned(int32(q.term.Load()), q.leader.Load())
			}
		}
	}
}

func (q *Quorum) applyItems(ctx context.Context, items []applyItem) error {
	if err := q.applyGroup(ctx, items); err != nil {
		return err
	}
	return q.maintain()
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
		q.grow()
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
		case item.restored != nil:
			if err := q.restored(*item.restored); err != nil {
				return err
			}
		case item.fetched != nil:
			if err := flush(); err != nil {
				return err
			}
			if err := q.applyFetched(ctx, item.fetched); err != nil {
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
	q.grow()
	if len(back) > 0 {
		q.step(back)
	}
	return nil
}

// grow publishes the end of the metadata log.
func (q *Quorum) grow() {
	q.hw.Store(q.meta.end)
	q.mu.Lock()
	close(q.more)
	q.more = make(chan struct{})
	q.mu.Unlock()
}

// grown returns a channel that is closed when there is more to read.
func (q *Quorum) grown() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.more
}

// applyEntry appends the entry's batch to the metadata log, unless it is there, and returns it if the Listener has
// not seen it.
func (q *Quorum) applyEntry(ctx context.Context, e *pb.Entry) (record.Batch, error) {
	q.applied.Index, q.applied.Term = e.GetIndex(), e.GetTerm()
	defer func() { q.applied.NextOffset = q.meta.end }()
	data := e.GetData()
	if e.GetType() == pb.EntryConfChange {
		var err error
		if data, err = q.applyConfChange(e); err != nil {
			return nil, err
		}
	}
	if len(data) == 0 {
		return nil, nil
	}
	b, rest, err := record.Next(data)
	if err == nil && len(rest) != 0 {
		err = fmt.Errorf("%d bytes follow it", len(rest))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: Raft entry %d is not one batch: %w", ErrDamaged, e.GetIndex(), err)
	}
	return q.appendBatch(ctx, b)
}

// appendBatch appends a committed batch, unless it is there, and returns it if the Listener has not seen it.
func (q *Quorum) appendBatch(ctx context.Context, b record.Batch) (record.Batch, error) {
	if b.NextOffset() <= q.meta.end {
		return nil, nil
	}
	if err := q.waitForSpace(ctx, q.isFollowing, func() error { return q.meta.append(b) }); err != nil {
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

// restored goes on at a point at which Raft's log begins anew.
func (q *Quorum) restored(at point) error {
	if q.meta.end < at.NextOffset {
		return fmt.Errorf("%w: Raft's log begins at offset %d, the metadata log ends at %d", ErrDamaged, at.NextOffset, q.meta.end)
	}
	q.applied, q.settled, q.lastCut = at, at, at.Index
	if !q.pulled || q.meta.end > at.NextOffset {
		return nil
	}
	q.pulled = false
	return q.removeMarker(pullMarker)
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
	q.confAfter.Store(e.GetIndex())
	q.leads.Store(q.electedTerm.Load() == int64(epoch))
	q.grow() // who waited for a leader that is certain may read
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
	change := mr.LeaderChangeMessage{LeaderID: q.cfg.NodeID, GrantingVoters: []mr.LeaderChangeMessageVoter{{VoterID: q.cfg.NodeID}}}
	for _, v := range q.voters.Load().list() {
		change.Voters = append(change.Voters, mr.LeaderChangeMessageVoter{VoterID: v.ID})
	}
	q.builder.AppendControl(now, record.ControlLeaderChange, change.Append(nil, 0))
	if q.kraft.Load() > 0 && (q.meta.end == 0 || q.newVote) {
		if q.meta.end == 0 {
			q.builder.AppendControl(now, record.ControlKRaftVersion, (&mr.KRaftVersionRecord{KRaftVersion: int16(q.kraft.Load())}).Append(nil, 0))
		}
		voters := q.votersRecord()
		if voters == nil {
			voters = q.voters.Load().record
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

// votersRecord is the voters record that should stand in the log, nil if the present one says the same: this voter's
// endpoints may be others than they were.
func (q *Quorum) votersRecord() *mr.VotersRecord {
	have := q.voters.Load().record
	if have == nil || len(q.cfg.Endpoints) == 0 {
		return nil
	}
	want := &mr.VotersRecord{Version: have.Version, Voters: slices.Clone(have.Voters), UnknownTags: have.UnknownTags}
	for i := range want.Voters {
		v := &want.Voters[i]
		if v.VoterID != q.cfg.NodeID || v.VoterDirectoryID != q.cfg.DirectoryID {
			continue
		}
		v.KRaftVersionFeature.MaxSupportedVersion = 1
		v.Endpoints = nil
		for _, e := range q.cfg.Endpoints {
			v.Endpoints = append(v.Endpoints, mr.VotersRecordEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
		}
	}
	if string(have.Append(nil, 0)) == string(want.Append(nil, 0)) {
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
		var voters []string
		for _, v := range q.voters.Load().list() {
			voters = append(voters, fmt.Sprintf(`{"voterId":%d}`, v.ID))
		}
		text = fmt.Sprintf(`{"clusterId":"","leaderId":%d,"leaderEpoch":%d,"votedId":-1,"appliedOffset":0,"currentVoters":[%s],"data_version":0}`,
			q.cfg.NodeID, epoch, strings.Join(voters, ","))
	}
	return vfs.WriteFileAtomic(q.cfg.FS, filepath.Join(q.meta.dir, "quorum-state"), []byte(text), true)
}
