package quorum

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/weir-stream/weir/internal/vfs"
)

// A voter whose Raft log was made on this directory may have voted and acknowledged before on one that was lost: in a
// quorum that knows voters by node id nobody can tell. So, until it has caught up with a leader, the vote of such a voter counts
// only for candidates whose log is as empty as at the beginning of a quorum, or together with those of all other voters; its
// own for itself too (see ballot.go). The marker of that is a file.
const freshMarker = "fresh"

// pullMarker says that the metadata log has, or may have, more than Raft's log accounts for, since it was fetched from
// the leader.
const pullMarker = "pulled"

func markFresh(fsys vfs.FS, raftDir string) error {
	if err := fsys.MkdirAll(raftDir); err != nil {
		return err
	}
	return vfs.WriteFileAtomic(fsys, filepath.Join(raftDir, freshMarker), []byte("this voter does not vote until it has caught up\n"), true)
}

func (q *Quorum) marker(name string) string {
	return filepath.Join(q.meta.dir, RaftDirName, name)
}

func (q *Quorum) hasMarker(name string) (bool, error) {
	_, err := q.cfg.FS.Stat(q.marker(name))
	if vfs.IsNotExist(err) {
		return false, nil
	}
	return err == nil, err
}

func (q *Quorum) removeMarker(name string) error {
	if err := q.cfg.FS.Remove(q.marker(name)); err != nil && !vfs.IsNotExist(err) {
		return fmt.Errorf("remove %s: %w", q.marker(name), err)
	}
	return q.cfg.FS.SyncDir(filepath.Join(q.meta.dir, RaftDirName))
}

func (q *Quorum) readMarkers() error {
	fresh, err := q.hasMarker(freshMarker)
	q.fresh.Store(fresh)
	return err
}

func (q *Quorum) wasPulled() bool {
	yes, err := q.hasMarker(pullMarker)
	return yes && err == nil
}

// forgetPull removes the marker once Raft's log accounts for the metadata log.
func (q *Quorum) forgetPull() error {
	yes, err := q.hasMarker(pullMarker)
	if err != nil || !yes {
		return err
	}
	return q.removeMarker(pullMarker)
}

// markPull makes the marker durable before the first batch that was fetched is written.
func (q *Quorum) markPull() error {
	if q.raft == nil || q.pulled {
		return nil
	}
	return q.writePullMarker()
}

func (q *Quorum) writePullMarker() error {
	if err := vfs.WriteFileAtomic(q.cfg.FS, q.marker(pullMarker), []byte("the metadata log is ahead of Raft's log\n"), true); err != nil {
		return err
	}
	q.pulled = true
	return nil
}

// mayAnswer reports whether Raft may see a message from another voter. It belongs to the loop.
func (q *Quorum) mayAnswer(m *pb.Message) bool {
	if !q.fresh.Load() {
		return true
	}
	switch m.GetType() {
	case pb.MsgVote, pb.MsgPreVote:
		return mayVote(m)
	case pb.MsgTimeoutNow:
		return false // it is to campaign, and another knows more
	case pb.MsgApp:
		q.aim(m.GetTerm(), max(m.GetCommit(), m.GetIndex()+uint64(len(m.GetEntries()))))
	case pb.MsgSnap:
		q.aim(m.GetTerm(), m.GetSnapshot().GetMetadata().GetIndex())
	case pb.MsgHeartbeat:
		last, err := q.raft.mem.LastIndex()
		if err == nil && m.GetCommit() <= last {
			return true
		}
		// The leader counts on what this voter had before. Only a new term forgets that.
		q.send(m.GetFrom(), []*pb.Message{{Type: pb.MsgUnreachable.Enum(), From: &q.raftID, To: m.From, Term: m.Term, Index: &last}})
		return false
	}
	return true
}

// aim notes how far a fresh voter has to come at least. It belongs to the loop.
func (q *Quorum) aim(term, index uint64) {
	switch had := q.freshTerm.Load(); {
	case term > had:
		q.freshTarget.Store(index)
		q.freshTerm.Store(term)
	case term == had:
		q.freshTarget.Store(max(q.freshTarget.Load(), index))
	}
}

// overestimated ends this node's leadership if it counts on more of a voter's log than there is: that voter lost its
// disk within the term. Another leader begins by asking. It belongs to the loop.
func (q *Quorum) overestimated(voter, last uint64) {
	if q.electedTerm.Load() == 0 || q.renounced {
		return
	}
	counted := uint64(0)
	q.node.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		if id == voter {
			counted = pr.Match
		}
	})
	if counted <= last {
		return
	}
	q.log.Warn("metadata quorum: a voter has lost its log; another leader is wanted, which knows nothing of it yet", "voter", voter)
	q.handOver(voter)
}

// ripen lets a fresh voter vote once its log is durable up to what a leader had when it wrote to it, and up to something of
// that leader's own term. What is committed by the voter's lost log and one other may be known as committed to nobody: the
// leader has it, somewhere in front of what its term began with. It belongs to the append worker.
func (q *Quorum) ripen() error {
	target := q.freshTarget.Load()
	if !q.fresh.Load() {
		return nil
	}
	last, err := q.raft.mem.LastIndex()
	if err != nil {
		return err
	}
	leads := q.electedTerm.Load() != 0 && last > firstIndex // at the beginning of a quorum: its log is the log
	if !leads && (target <= firstIndex || last < target) {
		return nil
	}
	if term, err := q.raft.mem.Term(last); err != nil || !leads && term < q.freshTerm.Load() {
		return err
	}
	if err := q.removeMarker(freshMarker); err != nil {
		return err
	}
	q.fresh.Store(false)
	q.log.Info("metadata quorum: this voter has caught up and votes", "index", last)
	return nil
}
