package quorum

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// electionTicks is how many ticks the leader may be silent at least; at most it is twice that.
const electionTicks = 10

// openRaft opens this node's vote: the Raft log, which is made for a voter of a new quorum, and the RawNode. An observer
// has none.
func (q *Quorum) openRaft() (err error) {
	dynamic := q.kraft.Load() > 0 || q.blank()
	q.raftID, err = raftIDOf(q.cfg.NodeID, q.cfg.DirectoryID, dynamic)
	if set := q.voters.Load(); dynamic && set != nil {
		q.raftID, err = raftIDIn(set.record, q.cfg.NodeID, q.cfg.DirectoryID)
	}
	if err != nil {
		return err
	}
	if err := q.knowVoters(dynamic); err != nil {
		return err
	}
	if q.raft == nil {
		switch {
		case q.cfg.Observer || !q.votes() && !dynamic:
			return q.observe()
		case !q.votes():
			if err := q.standOutside(); err != nil {
				return err
			}
		case q.meta.end > 0:
			return fmt.Errorf("%s: %w", q.meta.dir, ErrNotInitialized)
		default:
			if err := q.makeRaftLog(&pb.ConfState{Voters: q.voters.Load().ids()}, InitialState{}); err != nil {
				return err
			}
		}
	}
	if err := q.checkEnds(); err != nil {
		return err
	}
	if err := q.recommit(); err != nil {
		return err
	}
	if err := q.checkVoters(dynamic); err != nil {
		return err
	}
	if err := q.readMarkers(); err != nil {
		return err
	}
	if q.life, err = readLogID(q.cfg.FS, filepath.Join(q.meta.dir, RaftDirName)); err != nil {
		return err
	}
	q.newVote = dynamic && q.votersRecord() != nil
	return q.newNode()
}

// blank reports whether nothing here says yet whether the quorum is dynamic, but the settings.
func (q *Quorum) blank() bool {
	if !q.cfg.Dynamic || q.cfg.Observer {
		return false
	}
	return q.meta.end == 0 || q.raft != nil && q.raft.at.Index == 0
}

// standOutside makes the log of Raft of a node that is none of the voters. It may have been one in another life, so it does
// not vote before it has caught up.
func (q *Quorum) standOutside() error {
	dir := filepath.Join(q.meta.dir, RaftDirName)
	if err := markFresh(q.cfg.FS, dir); err != nil {
		return err
	}
	if q.meta.end > 0 {
		if err := q.writePullMarker(); err != nil {
			return err
		}
	}
	if _, err := drawLogID(q.cfg.FS, dir); err != nil {
		return err
	}
	var zero uint64
	l, err := createRaftLog(q.cfg.FS, dir, point{Conf: &pb.ConfState{}}, &pb.HardState{Term: &zero, Vote: &zero, Commit: &zero}, nil)
	q.raft = l
	return err
}

func (q *Quorum) newNode() (err error) {
	q.node, err = raft.NewRawNode(&raft.Config{
		ID: q.raftID, ElectionTick: electionTicks, HeartbeatTick: 1, Storage: q.raft.mem, Applied: q.raft.at.Index,
		AsyncStorageWrites: true, MaxSizePerMsg: 1 << 20, MaxCommittedSizePerReady: 16 << 20, MaxInflightMsgs: 256,
		PreVote: true, CheckQuorum: true, DisableProposalForwarding: true, StepDownOnRemoval: true, Logger: raftLogger{q.log},
	})
	if conf := q.raft.at.Conf; q.raft.at.Index > 0 && !slices.Contains(conf.GetVoters(), q.raftID) && !slices.Contains(conf.GetLearners(), q.raftID) {
		q.leftAt.Store(q.raft.at.Index)
	}
	q.term.Store(int64(q.raft.hs.GetTerm()))
	q.raftBytes.Store(q.raft.size)
	q.applied = q.raft.at
	q.settled, q.lastCut = q.applied, q.applied.Index
	return err
}

func (q *Quorum) makeRaftLog(conf *pb.ConfState, at InitialState) (err error) {
	if _, err := initialize(q.cfg.FS, q.cfg.Dir, conf, at); err != nil {
		return err
	}
	q.raft, err = openRaftLog(q.cfg.FS, filepath.Join(q.meta.dir, RaftDirName))
	return err
}

// knowVoters settles who votes, as far as it does not stand in the log.
func (q *Quorum) knowVoters(dynamic bool) error {
	switch {
	case dynamic && q.voters.Load() == nil:
		q.voters.Store(&voterSet{byRaft: map[uint64]Voter{}}) // formatted with --no-initial-controllers
	case dynamic:
	case len(q.cfg.Voters) > 0:
		q.voters.Store(staticVoters(q.cfg.Voters))
	case q.cfg.Observer:
		q.voters.Store(&voterSet{byRaft: map[uint64]Voter{}})
	default:
		q.voters.Store(staticVoters([]Voter{{ID: q.cfg.NodeID, Endpoints: q.cfg.Endpoints}}))
	}
	return nil
}

// votes says whether this node is one of the voters.
func (q *Quorum) votes() bool {
	_, in := q.voters.Load().byRaft[q.raftID]
	return in && !q.cfg.Observer
}

// observe ends the opening of a node that does not vote.
func (q *Quorum) observe() error {
	q.applied.NextOffset = q.meta.end
	q.term.Store(int64(q.meta.epoch))
	return nil
}

// checkVoters refuses a Raft log that belongs to other voters than this node was told of.
func (q *Quorum) checkVoters(dynamic bool) error {
	conf := q.raft.at.Conf
	members := slices.Concat(conf.GetVoters(), conf.GetLearners())
	if len(members) > 0 && !slices.Contains(members, q.raftID) && !dynamic {
		return fmt.Errorf("this node (id %d, directory %s) is not a voter of the quorum that %s belongs to", q.cfg.NodeID, mr.FormatUUID(q.cfg.DirectoryID), q.meta.dir)
	}
	if want := q.voters.Load().ids(); !dynamic && !slices.Equal(slices.Sorted(slices.Values(conf.GetVoters())), want) {
		return fmt.Errorf("the voters of a static quorum cannot be changed: %s was begun by %v, the settings name %v; start with the old controller.quorum.voters",
			q.meta.dir, nodeIDs(conf.GetVoters()), nodeIDs(want))
	}
	return nil
}

// nodeIDs are the node ids of static voters.
func nodeIDs(raft []uint64) []int32 {
	out := make([]int32, 0, len(raft))
	for _, id := range raft {
		out = append(out, int32(id-1))
	}
	slices.Sort(out)
	return out
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
			if b := batchOf(e); b != nil {
				reach = b.NextOffset()
			}
		}
	}
	if q.meta.end <= reach {
		return q.forgetPull()
	}
	if q.wasPulled() {
		q.pulled = true
		return nil // a catch-up that was not finished; what was fetched is committed
	}
	if len(q.voters.Load().byRaft) == 1 && uint64(q.meta.epoch) > q.raft.hs.GetTerm() {
		return q.continued(reach)
	}
	return fmt.Errorf("%w: the metadata log ends at offset %d, Raft's log %s at %d", ErrDamaged, q.meta.end, q.raft.name, reach)
}

// recommit raises Raft's commit index to what the metadata log proves: only what is committed gets there, but the index is
// not made durable each time. Without it the last voter could wait for the vote of one whose removal it has applied.
func (q *Quorum) recommit() error {
	last, err := q.raft.mem.LastIndex()
	if err != nil {
		return err
	}
	commit := q.raft.hs.GetCommit()
	for i := last; i > max(commit, q.raft.at.Index); i-- {
		entries, err := q.raft.mem.Entries(i, i+1, ^uint64(0))
		if err != nil {
			return err
		}
		b := batchOf(entries[0])
		if b == nil || b.NextOffset() > q.meta.end || b.BaseOffset() < q.meta.start() {
			continue
		}
		have, err := q.meta.read(b.BaseOffset(), 1)
		if err != nil {
			return err
		}
		if bytes.Equal(have, b) {
			hs := proto.Clone(q.raft.hs).(*pb.HardState)
			hs.Commit = &i
			q.raft.hs = hs
			return q.raft.mem.SetHardState(hs)
		}
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
	return q.makeRaftLog(&pb.ConfState{Voters: q.voters.Load().ids()}, InitialState{Epoch: q.meta.epoch, NextOffset: q.meta.end})
}

// replay gives a batch that was read at open to the Listener. What the snapshot contains it has said, of voters and version too:
// a log that it replaces may still be there, and says what was before.
func (q *Quorum) replay(b record.Batch) error {
	if b.BaseOffset() < q.snapEnd {
		return nil
	}
	if err := q.noteControl(b); err != nil {
		return err
	}
	return q.cfg.Listener.Commit([]record.Batch{b})
}

// noteControl keeps what the control records say of the quorum itself: the voters before the version, without which they do not
// count.
func (q *Quorum) noteControl(b record.Batch) error {
	version := int32(-1)
	for m, err := range mr.ControlRecords(b) {
		if err != nil {
			return err
		}
		switch r := m.(type) {
		case *mr.KRaftVersionRecord:
			version = int32(r.KRaftVersion)
		case *mr.VotersRecord:
			if err := q.noteVoters(r); err != nil {
				return err
			}
		}
	}
	if version >= 0 {
		q.kraft.Store(version)
	}
	return q.checkPlace()
}

func (q *Quorum) noteVoters(r *mr.VotersRecord) error {
	set, err := dynamicVoters(r)
	if err != nil {
		return err
	}
	q.voters.Store(set)
	return nil
}

// batchOf is the record batch of an entry, nil if it has none.
func batchOf(e *pb.Entry) record.Batch {
	data := e.GetData()
	if e.GetType() == pb.EntryConfChange {
		var cc pb.ConfChange
		if err := unmarshal(data, &cc); err != nil {
			return nil
		}
		data = cc.GetContext()
	}
	if len(data) < record.HeaderSize {
		return nil
	}
	return record.Batch(data)
}
