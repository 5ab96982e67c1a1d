package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// MaxBatchBytes bounds one batch of the metadata log (internal.metadata.max.batch.size.in.bytes).
const MaxBatchBytes = 8 << 20

// Quorum is this node's part of the metadata quorum. Open loads it, Start runs it, Close ends it. Its methods are
// safe for concurrent use.
//
// The goroutines of a voter: the loop owns the RawNode; the append worker owns Raft's log and is the only one that waits
// for fdatasync; the apply worker owns the metadata log and calls the Listener; one more for each other voter sends it
// messages; and the follower fetches what is not in Raft's logs any more. An observer has the last but one and the
// apply worker.
//
// A term of leadership goes through: elected (Raft says leader) → caught up (the term's empty entry is applied, so
// the next offset is known; the LeaderChange batch is proposed) → leading (that batch is applied; the Listener
// is told; Propose is open) → resigned.
type Quorum struct {
	cfg    Config
	log    *slog.Logger
	raftID uint64
	voters atomic.Pointer[voterSet]
	kraft  atomic.Int32

	raft  *raftLog // nil: this node observes
	meta  *metaLog
	node  *raft.RawNode
	snaps *snapshots

	appendq queue[appendItem]
	applyq  queue[applyItem]
	// carry hands messages to the way to one log of another voter, greet asks which log it has. They never wait.
	carry  func(to, life uint64, ms []*pb.Message)
	greet  func(to uint64)
	life   uint64 // the number of this node's log of Raft
	lives  lives
	follow follower
	seen   replicaStates

	mu       sync.Mutex
	inbox    []input
	proposed []proposal
	wake     chan struct{}
	changed  chan struct{} // closed and renewed when leader or epoch change
	more     chan struct{} // closed and renewed when the metadata log has grown, or may be read
	// epoch is the term that this node leads, 0 if it does not or not yet; next is the next record's offset and
	// ready says that the LeaderChange batch is applied.
	epoch int32
	next  int64
	ready bool

	// proposer is held from a look at NextOffset to the last Propose that rests on it.
	proposer sync.Mutex

	faulted     atomic.Bool  // nothing is stored any more, see fault
	electedTerm atomic.Int64 // term in which Raft says that this node leads, 0: none
	term        atomic.Int64
	leader      atomic.Int32
	leads       atomic.Bool // epoch and ready, for those who only ask
	hw          atomic.Int64
	start       atomic.Int64
	synced      atomic.Int64  // up to where what was fetched is durable
	raftBytes   atomic.Int64  // size of Raft's log
	raftApplied atomic.Uint64 // up to where Raft knows that entries are applied
	cutting     atomic.Bool
	began       time.Time
	writing     atomic.Int64 // since when the append worker is busy, as uptime counts; 0: it is not
	fresh       atomic.Bool  // the marker of a log that may have been lost is there: see fresh.go
	freshTarget atomic.Uint64
	freshTerm   atomic.Uint64 // of the leader that freshTarget is from
	joining     atomic.Pointer[joiner]
	stranger    atomic.Bool   // others know the voter whose id this node has by another directory
	lonely      atomic.Bool   // this voter has had no leader for long
	leftAt      atomic.Uint64 // by which entry this node was none of Raft's voters any more; 0: it is one, or never was
	confAfter   atomic.Uint64 // the entry that Raft must have applied before its members change

	// Owned by the loop.
	ticks       uint64
	referred    []uint64 // voters that Raft waits for to reach a point
	handing     int      // ticks until leadership that was handed over must have gone; 0: it is not handed over
	muted       bool     // a leader that must not lead: see quiet
	haste       int      // ticks for which this voter hurries to elect another leader: see signs.go
	ended       uint64   // the leader whose process has ended
	changing    *memberChange
	upgrading   *upgrade
	told        map[int32]Voter // what the voters of a static quorum have said of themselves in this node's term
	ballot      ballot
	guarded     map[asked]uint64 // questions that this node answers as a fresh voter, and their terms
	confPending bool             // a change of Raft's members is proposed and not applied
	alone       int              // ticks without a leader
	heardAt     uint64           // ticks when a leader was last heard of
	renounced   bool             // what was proposed did not go into Raft's log, so no offset is certain until the next term

	// Owned by the apply worker.
	snapEnd int64 // what the loaded snapshot contains is not given to the Listener again
	newVote bool  // the voters record must be written: it is missing or its endpoints changed
	pulled  bool  // the metadata log has what Raft's log lacks, and the marker that says so
	builder record.Builder
	applied point // last applied entry
	settled point // what was applied before the last group
	lastCut uint64
	group   *lifecycle.Group
	spawn   func(name string, f func(context.Context)) bool
}

// input is something that the loop has to do: take a message, of one of its sender's logs, or run something that needs the
// RawNode.
type input struct {
	msg  *pb.Message
	life uint64
	do   func()
}

// proposal is what goes into Raft's log: a batch, a change of its members, or both as one.
type proposal struct {
	epoch  int32
	batch  record.Batch
	change *pb.ConfChange
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
	id, err := raftIDOf(nodeID, directoryID, dynamic)
	if err != nil {
		return false, err
	}
	return initialize(fsys, dir, &pb.ConfState{Voters: []uint64{id}}, at)
}

// firstIndex is the index of the point at which every new quorum begins.
const firstIndex = 1

func initialize(fsys vfs.FS, dir string, conf *pb.ConfState, at InitialState) (bool, error) {
	raftDir := filepath.Join(dir, LogDirName, RaftDirName)
	names, err := raftLogFiles(fsys, raftDir)
	if err != nil || len(names) > 0 {
		return false, err
	}
	if len(conf.GetVoters()) > 1 {
		if err := markFresh(fsys, raftDir); err != nil {
			return false, err
		}
	}
	if _, err := drawLogID(fsys, raftDir); err != nil {
		return false, err
	}
	term, vote, commit := uint64(at.Epoch), uint64(0), uint64(firstIndex)
	p := point{Index: firstIndex, Term: term, NextOffset: at.NextOffset, Conf: conf}
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
	if cfg.ElectionTimeout <= 0 {
		cfg.ElectionTimeout = time.Second
	}
	q := &Quorum{cfg: cfg, log: cfg.Log, began: cfg.Now(), wake: make(chan struct{}, 1), changed: make(chan struct{}), more: make(chan struct{})}
	q.leader.Store(-1)
	q.carry, q.greet = func(uint64, uint64, []*pb.Message) {}, func(uint64) {}
	q.lives.init()
	q.follow.init(q)
	q.seen.init()
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
		q.kraft.Store(int32(newest.KRaftVersion))
		if newest.Voters != nil {
			if err := q.noteVoters(newest.Voters); err != nil {
				return err
			}
		}
		// The 0-0 checkpoint of a formatted directory is not a state: its records are written to the log by the
		// first active controller. Only what it says of the quorum counts here.
		if id.EndOffset > 0 {
			if err := q.cfg.Listener.LoadSnapshot(newest); err != nil {
				return fmt.Errorf("snapshot %s: %w", id.FileName(), err)
			}
		}
	}
	q.snapEnd = id.EndOffset
	if !q.cfg.Observer {
		if q.raft, err = openRaftLog(q.cfg.FS, filepath.Join(dir, RaftDirName)); err != nil {
			return err
		}
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
