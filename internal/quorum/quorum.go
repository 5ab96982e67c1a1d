package quorum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// MaxBatchBytes bounds one batch of the metadata log (internal.metadata.max.batch.size.in.bytes).
const MaxBatchBytes = 8 << 20

// Quorum is this node's part of the metadata quorum. Open loads it, Start runs it, Close ends it. Its methods are
// safe for concurrent use.
//
// Three goroutines: the loop owns the RawNode; the append worker owns Raft's log and is the only one that waits for
// fdatasync; the apply worker owns the metadata log and calls the Listener.
//
// A term of leadership goes through: elected (Raft says leader) → caught up (the term's empty entry is applied, so
// the next offset is known; the LeaderChange batch is proposed) → leading (that batch is applied; the Listener
// is told; Propose is open) → resigned.
type Quorum struct {
	cfg    Config
	log    *slog.Logger
	raftID uint64
	voters *mr.VotersRecord // of kraft.version 1; nil with static voters
	kraft  atomic.Int32

	raft  *raftLog
	meta  *metaLog
	node  *raft.RawNode
	snaps *snapshots

	appendq queue[appendItem]
	applyq  queue[applyItem]

	mu       sync.Mutex
	inbox    []*pb.Message
	proposed [][]byte
	wake     chan struct{}
	// epoch is the term that this node leads, 0 if it does not or not yet; next is the next record's offset and
	// ready says that the LeaderChange batch is applied.
	epoch int32
	next  int64
	ready bool

	electedTerm atomic.Int64 // term in which Raft says that this node leads, 0: none
	term        atomic.Int64
	leader      atomic.Int32
	hw          atomic.Int64
	start       atomic.Int64
	raftBytes   atomic.Int64 // size of Raft's log
	cutting     atomic.Bool

	// Owned by the apply worker.
	snapEnd int64 // what the loaded snapshot contains is not given to the Listener again
	newVote bool  // the voters record must be written: it is missing or its endpoints changed
	builder record.Builder
	applied point // last applied entry
	settled point // what was applied before the last group
	lastCut uint64
	group   *lifecycle.Group
}

// raftIDOf is the id of a voter in Raft: from its directory id if voters are known by it, else from its node id.
func raftIDOf(nodeID int32, dir [16]byte, dynamic bool) (uint64, error) {
	id := uint64(nodeID) + 1
	if dynamic {
		id = binary.BigEndian.Uint64(dir[:8]) ^ binary.BigEndian.Uint64(dir[8:])
	}
	if id == 0 || id >= ^uint64(0)-1 {
		return 0, fmt.Errorf("directory id %s cannot be used for a voter: format with another one", mr.FormatUUID(dir))
	}
	return id, nil
}

// InitialState is where a Raft log begins that has none yet: at the start of a new cluster, or at the end of a
// metadata log that Apache Kafka wrote with one voter.
type InitialState struct {
	// Epoch is the highest epoch that was seen; the first election raises it.
	Epoch int32
	// NextOffset is the end of the metadata log, all of which counts as committed.
	NextOffset int64
}

// Initialize makes the Raft log of a sole voter. dynamic says that the voters are known by directory id
// (kraft.version 1). It does nothing and reports false if there is one already.
func Initialize(fsys vfs.FS, dir string, nodeID int32, directoryID [16]byte, dynamic bool, at InitialState) (bool, error) {
	raftDir := filepath.Join(dir, LogDirName, RaftDirName)
	names, err := raftLogFiles(fsys, raftDir)
	if err != nil || len(names) > 0 {
		return false, err
	}
	id, err := raftIDOf(nodeID, directoryID, dynamic)
	if err != nil {
		return false, err
	}
	term, vote, commit := uint64(at.Epoch), uint64(0), uint64(1)
	p := point{Index: 1, Term: term, NextOffset: at.NextOffset, Conf: &pb.ConfState{Voters: []uint64{id}}}
	l, err := createRaftLog(fsys, raftDir, p, &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, nil)
	if err != nil {
		return false, fmt.Errorf("make Raft's log in %s: %w", raftDir, err)
	}
	return true, l.close()
}

// ErrNotInitialized says that there is a metadata log but no Raft log: it was written by Apache Kafka and must be
// imported first, or Raft's log was lost.
var ErrNotInitialized = errors.New("the metadata log was not written by Weir and was not imported")

// Open loads the newest snapshot and the metadata log, giving both to the Listener, and Raft's log, which is made if
// the metadata log is empty. Errors that wrap ErrDamaged need a person.
func Open(cfg Config) (*Quorum, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.RaftLogBytes <= 0 {
		cfg.RaftLogBytes = 8 << 20
	}
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = 1 << 30
	}
	q := &Quorum{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1)}
	q.leader.Store(-1)
	q.appendq.init()
	q.applyq.init()
	if err := q.load(); err != nil {
		return nil, fmt.Errorf("metadata quorum: %w", err)
	}
	return q, nil
}

func (q *Quorum) load() error {
	dir := filepath.Join(q.cfg.Dir, LogDirName)
	if err := q.cfg.FS.MkdirAll(dir); err != nil {
		return err
	}
	var err error
	if q.snaps, err = openSnapshots(q.cfg.FS, dir); err != nil {
		return err
	}
	newest, err := q.snaps.newest(q.log)
	if err != nil {
		return err
	}
	var id SnapshotID
	if newest != nil {
		id = newest.ID
		q.voters = newest.Voters
		q.kraft.Store(int32(newest.KRaftVersion))
		// The 0-0 checkpoint of a formatted directory is not a state: its records are written to the log by the
		// first active controller. Only what it says of the quorum counts here.
		if id.EndOffset > 0 {
			if err := q.cfg.Listener.LoadSnapshot(newest); err != nil {
				return fmt.Errorf("snapshot %s: %w", id.FileName(), err)
			}
		}
	}
	q.snapEnd = id.EndOffset
	if q.raft, err = openRaftLog(q.cfg.FS, filepath.Join(dir, RaftDirName)); err != nil {
		return err
	}
	var durable int64
	if q.raft != nil {
		durable = q.raft.at.NextOffset
	}
	if q.meta, err = openMetaLog(&q.cfg, id, durable, q.replay); err != nil {
		return err
	}
	if err := q.openRaft(); err != nil {
		return err
	}
	q.snaps.note(id.EndOffset, q.cfg.Now())
	q.hw.Store(q.meta.end)
	return q.retainLog() // what the last run may not have come to
}

func (q *Quorum) openRaft() (err error) {
	dynamic := q.kraft.Load() > 0
	if q.raftID, err = raftIDOf(q.cfg.NodeID, q.cfg.DirectoryID, dynamic); err != nil {
		return err
	}
	if q.raft == nil {
		if q.meta.end > 0 {
			return fmt.Errorf("%s: %w", q.meta.dir, ErrNotInitialized)
		}
		if _, err := Initialize(q.cfg.FS, q.cfg.Dir, q.cfg.NodeID, q.cfg.DirectoryID, dynamic, InitialState{}); err != nil {
			return err
		}
		if q.raft, err = openRaftLog(q.cfg.FS, filepath.Join(q.meta.dir, RaftDirName)); err != nil {
			return err
		}
	}
	if err := q.checkEnds(); err != nil {
		return err
	}
	voters := q.raft.at.Conf.GetVoters()
	if !slices.Contains(voters, q.raftID) {
		return fmt.Errorf("this node (id %d, directory %s) is not a voter of the quorum that %s belongs to", q.cfg.NodeID, mr.FormatUUID(q.cfg.DirectoryID), q.meta.dir)
	}
	if len(voters) != 1 {
		return fmt.Errorf("the quorum has %d voters; this version runs a quorum of one", len(voters))
	}
	q.newVote = dynamic && q.votersRecord() != nil
	q.node, err = raft.NewRawNode(&raft.Config{
		ID: q.raftID, ElectionTick: 10, HeartbeatTick: 1, Storage: q.raft.mem, Applied: q.raft.at.Index,
		AsyncStorageWrites: true, MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 16 << 20, MaxInflightMsgs: 256,
		PreVote: true, CheckQuorum: true, DisableProposalForwarding: true, Logger: raftLogger{q.log},
	})
	q.term.Store(int64(q.raft.hs.GetTerm()))
	q.raftBytes.Store(q.raft.size)
	q.applied = point{Index: q.raft.at.Index, Term: q.raft.at.Term, NextOffset: q.raft.at.NextOffset}
	q.settled, q.lastCut = q.applied, q.applied.Index
	return err
}

// checkEnds fails if the metadata log has more than Raft's log accounts for: then Raft's log lost its tail.
func (q *Quorum) checkEnds() error {
	reach := q.raft.at.NextOffset
	last, err := q.raft.mem.LastIndex()
	if err != nil {
		return err
	}
	if last > q.raft.at.Index {
		entries, err := q.raft.mem.Entries(q.raft.at.Index+1, last+1, ^uint64(0))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if len(e.GetData()) >= record.HeaderSize {
				reach = record.Batch(e.GetData()).NextOffset()
			}
		}
	}
	if q.meta.end > reach && uint64(q.meta.epoch) > q.raft.hs.GetTerm() {
		return q.continued(reach)
	}
	if q.meta.end > reach {
		return fmt.Errorf("%w: the metadata log ends at offset %d, Raft's log %s at %d", ErrDamaged, q.meta.end, q.raft.name, reach)
	}
	return nil
}

// continued takes over the metadata log anew after Apache Kafka, started on this directory, wrote to it: it knows nothing
// of Raft's log, and it always begins a higher epoch. What a sole voter wrote is committed.
func (q *Quorum) continued(reach int64) error {
	q.log.Warn("the metadata log was continued by another program and is taken over anew", "from", reach, "end", q.meta.end, "epoch", q.meta.epoch)
	aside := q.raft.name + ".replaced"
	if err := q.raft.close(); err != nil {
		return err
	}
	if err := q.meta.sync(); err != nil {
		return err
	}
	if err := q.cfg.FS.Rename(q.raft.name, aside); err != nil {
		return err
	}
	at := InitialState{Epoch: q.meta.epoch, NextOffset: q.meta.end}
	if _, err := Initialize(q.cfg.FS, q.cfg.Dir, q.cfg.NodeID, q.cfg.DirectoryID, q.kraft.Load() > 0, at); err != nil {
		return err
	}
	var err error
	q.raft, err = openRaftLog(q.cfg.FS, filepath.Join(q.meta.dir, RaftDirName))
	return err
}

// replay gives a batch that was read at open to the Listener.
func (q *Quorum) replay(b record.Batch) error {
	if err := q.noteControl(b); err != nil {
		return err
	}
	if b.BaseOffset() < q.snapEnd {
		return nil
	}
	return q.cfg.Listener.Commit([]record.Batch{b})
}

// noteControl keeps what the control records say of the quorum itself.
func (q *Quorum) noteControl(b record.Batch) error {
	for m, err := range mr.ControlRecords(b) {
		if err != nil {
			return err
		}
		switch r := m.(type) {
		case *mr.KRaftVersionRecord:
			q.kraft.Store(int32(r.KRaftVersion))
		case *mr.VotersRecord:
			if len(r.Voters) != 1 {
				return fmt.Errorf("the quorum has %d voters; this version runs a quorum of one", len(r.Voters))
			}
			q.voters = r
		}
	}
	return nil
}

// Start runs the quorum in g and campaigns at once, being the only voter.
func (q *Quorum) Start(g *lifecycle.Group) {
	q.group = g
	g.Go("quorum-append", q.runAppend)
	g.Go("quorum-apply", q.runApply)
	g.Go("quorum", q.run)
}

// Close syncs and closes the files. The group given to Start must have stopped.
func (q *Quorum) Close() error {
	err := q.meta.close()
	if rerr := q.raft.close(); err == nil {
		err = rerr
	}
	return err
}

// Status is the state of the quorum now.
func (q *Quorum) Status() Status {
	return Status{
		LeaderID: q.leader.Load(), LeaderEpoch: int32(q.term.Load()), HighWatermark: q.hw.Load(), LogEndOffset: q.hw.Load(),
		LogStart: q.start.Load(), VoterID: q.cfg.NodeID, VoterDirID: q.cfg.DirectoryID, Endpoints: q.cfg.Endpoints, KRaftVersion: int16(q.kraft.Load()),
	}
}

// NextOffset is the offset that the first record of the next proposal in this epoch gets. Only the proposer can rely
// on it.
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
	q.proposed = append(q.proposed, batch)
	q.signal()
}

// fault ends this node's part in the quorum: nothing is committed from then on.
func (q *Quorum) fault(err error) {
	q.log.Error("the metadata quorum has failed", "error", err)
	if q.cfg.OnFault != nil {
		q.cfg.OnFault(err)
	}
}

func (q *Quorum) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Quorum) step(ms []*pb.Message) {
	q.mu.Lock()
	q.inbox = append(q.inbox, ms...)
	q.mu.Unlock()
	q.signal()
}

// run is the loop that owns the RawNode. It never waits for a disk.
func (q *Quorum) run(ctx context.Context) {
	if err := q.node.Campaign(); err != nil {
		q.fault(fmt.Errorf("metadata quorum: campaign: %w", err))
		return
	}
	for {
		for q.node.HasReady() {
			q.handleReady(q.node.Ready())
		}
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		}
		q.mu.Lock()
		inbox, proposed := q.inbox, q.proposed
		q.inbox, q.proposed = nil, nil
		q.mu.Unlock()
		for _, m := range inbox {
			if err := q.node.Step(m); err != nil && !errors.Is(err, raft.ErrProposalDropped) {
				q.log.Debug("metadata quorum: message not taken", "type", m.GetType(), "error", err)
			}
		}
		for _, p := range proposed {
			// The proposer's epoch is checked under the same term: a batch of an older term must not go in.
			if err := q.proposeRaft(p); err != nil {
				q.log.Warn("metadata quorum: proposal dropped", "error", err)
				break
			}
		}
	}
}

func (q *Quorum) proposeRaft(p record.Batch) error {
	st := q.node.BasicStatus()
	if st.RaftState != raft.StateLeader || int32(st.HardState.GetTerm()) != p.LeaderEpoch() {
		return ErrNotLeader
	}
	return q.node.Propose(p)
}

func (q *Quorum) handleReady(rd raft.Ready) {
	if rd.SoftState != nil || !raft.IsEmptyHardState(rd.HardState) {
		q.noteRole()
	}
	for _, m := range rd.Messages {
		switch m.GetTo() {
		case raft.LocalAppendThread:
			q.appendq.put(appendItem{msg: m})
		case raft.LocalApplyThread:
			q.applyq.put(applyItem{msg: m})
		}
	}
}

// noteRole follows Raft's idea of who leads.
func (q *Quorum) noteRole() {
	st := q.node.BasicStatus()
	term := int64(st.HardState.GetTerm())
	q.term.Store(term)
	elected := int64(0)
	if st.RaftState == raft.StateLeader {
		elected = term
	}
	if q.electedTerm.Swap(elected) == elected {
		return
	}
	q.mu.Lock()
	resigned := q.epoch
	q.epoch, q.ready, q.proposed = 0, false, nil
	q.mu.Unlock()
	if elected != 0 {
		q.leader.Store(q.cfg.NodeID)
	} else {
		q.leader.Store(-1)
	}
	if resigned != 0 {
		q.applyq.put(applyItem{resigned: true}) // the apply worker tells the Listener in order
	}
}
