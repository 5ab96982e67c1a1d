package quorum

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// The voters of a dynamic quorum (kraft.version 1, KIP-853) change one at a time, by the leader. Who is added is a learner
// first, and a voter when it has all that is committed, so that a voter that cannot be reached costs nothing. The voters
// record that goes with a change is in the same entry of Raft's log. Kafka acts on a voters record when it is appended,
// Raft when it is applied; so an answer that the change is made means that it is committed.

// Refusal is an error with a code of the protocol and the sentence that goes with it.
type Refusal struct {
	Code wire.Code
	Text string
}

func (r *Refusal) Error() string { return r.Text }

// Unwrap is the code.
func (r *Refusal) Unwrap() error { return r.Code }

func refuse(code wire.Code, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// stage is how far a change of voters is.
type stage int

const (
	stageBegin stage = iota
	stageCatchUp
	stageCommit  // proposed
	stageAbandon // the learner is to go
)

// memberChange is a change of voters that is under way. Owned by the loop.
type memberChange struct {
	add      bool
	id       uint64
	voter    Voter
	early    bool // answer when it is proposed
	deadline time.Time
	stage    stage
	done     func(error) // nil: answered
}

func (c *memberChange) answer(err error) {
	if c.done != nil {
		c.done(err)
		c.done = nil
	}
}

// AddVoter adds a voter (AddRaftVoter). done is called once, from a goroutine of the quorum, and must be quick: when
// the change is committed or, if early is set, proposed; or with an error that wraps a wire.Code. After wait it is
// told REQUEST_TIMED_OUT. After the quorum has stopped it may never be called.
func (q *Quorum) AddVoter(v Voter, wait time.Duration, early bool, done func(error)) {
	q.change(done, func() error { return q.addVoter(v, wait, early, done) })
}

// RemoveVoter removes the voter with that id and directory (RemoveRaftVoter), and calls done like AddVoter. A leader that
// is to remove itself hands leadership over and says NOT_CONTROLLER: its successor removes it.
func (q *Quorum) RemoveVoter(id int32, dir [16]byte, wait time.Duration, done func(error)) {
	q.change(done, func() error { return q.removeVoter(id, dir, wait, done) })
}

// UpdateVoter says where a voter listens (UpdateRaftVoter), and calls done, like AddVoter, when that is proposed.
func (q *Quorum) UpdateVoter(v Voter, done func(error)) {
	q.change(done, func() error {
		if err := q.updateVoter(v); err != nil {
			return err
		}
		done(nil)
		return nil
	})
}

// change has the loop begin a change, if this node leads.
func (q *Quorum) change(done func(error), begin func() error) {
	if q.node == nil {
		done(wire.NotController)
		return
	}
	q.inLoop(func() {
		err := error(wire.NotController)
		if q.leads.Load() && q.electedTerm.Load() != 0 {
			err = begin()
		}
		if err != nil {
			done(err)
		}
	})
}

func (q *Quorum) mayBegin(what string) error {
	if q.kraft.Load() == 0 {
		return refuse(wire.UnsupportedVersion, "Cluster doesn't support %s voter because the kraft.version feature is 0", what)
	}
	if q.changing != nil || q.confPending || len(q.learners()) > 0 {
		return refuse(wire.RequestTimedOut, "Request timed out waiting for leader to handle previous voter change request.")
	}
	return nil
}

// replicaKey is a voter as Kafka writes it.
func voterKey(v Voter) string {
	return fmt.Sprintf("ReplicaKey(id=%d, directoryId=%s)", v.ID, mr.FormatUUID(v.DirectoryID))
}

func (s *voterSet) keys() string {
	var out []string
	for _, v := range s.list() {
		out = append(out, voterKey(v))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func (q *Quorum) addVoter(v Voter, wait time.Duration, early bool, done func(error)) error {
	if err := q.mayBegin("adding"); err != nil {
		return err
	}
	set := q.voters.Load()
	if _, twice := set.find(v.ID); twice {
		return refuse(wire.DuplicateVoter, "The voter id for %s is already part of the set of voters %s.", voterKey(v), set.keys())
	}
	id, err := raftIDIn(set.record, v.ID, v.DirectoryID)
	if err != nil {
		return refuse(wire.InvalidRequest, "%s", err)
	}
	if _, twice := set.byRaft[id]; twice {
		return refuse(wire.InvalidRequest, "%s cannot be told from another voter: format it with another directory id", voterKey(v))
	}
	q.changing = &memberChange{add: true, id: id, voter: v, early: early, deadline: q.cfg.Now().Add(wait), done: done}
	q.joining.Store(&joiner{id, v})
	q.log.Info("metadata quorum: adding a voter", "voter", v.ID, "directory", mr.FormatUUID(v.DirectoryID))
	q.stepChange()
	return nil
}

func (q *Quorum) removeVoter(id int32, dir [16]byte, wait time.Duration, done func(error)) error {
	if err := q.mayBegin("removing"); err != nil {
		return err
	}
	set := q.voters.Load()
	v, ok := set.find(id)
	if !ok || v.DirectoryID != dir {
		return refuse(wire.VoterNotFound, "Cannot remove voter %s from the set of voters %s", voterKey(Voter{ID: id, DirectoryID: dir}), set.keys())
	}
	if len(set.byRaft) == 1 {
		return refuse(wire.InvalidRequest, "Cannot remove voter %s because it is the last one", voterKey(v))
	}
	raftID, err := raftIDIn(set.record, id, dir)
	if err != nil {
		return err
	}
	if raftID == q.raftID {
		if q.successor(0) == 0 || !q.handOver(0) {
			return refuse(wire.RequestTimedOut, "Request timed out waiting for another voter that could lead")
		}
		return wire.NotController
	}
	q.changing = &memberChange{id: raftID, voter: v, deadline: q.cfg.Now().Add(wait), done: done}
	q.log.Info("metadata quorum: removing a voter", "voter", v.ID, "directory", mr.FormatUUID(v.DirectoryID))
	q.stepChange()
	return nil
}

func (q *Quorum) updateVoter(v Voter) error {
	if q.kraft.Load() == 0 && q.upgrading == nil {
		return q.tell(v)
	}
	if err := q.mayBegin("updating"); err != nil {
		return err
	}
	set := q.voters.Load()
	if have, ok := set.find(v.ID); !ok || have.DirectoryID != v.DirectoryID {
		return refuse(wire.VoterNotFound, "Cannot update voter %s in the set of voters %s", voterKey(v), set.keys())
	}
	next := withVoter(set.record, v)
	if string(next.Append(nil, 0)) == string(set.record.Append(nil, 0)) {
		return nil
	}
	return q.proposeVoters(nil, next, 0)
}

// withVoter is a voters record with one voter more, or another one in its place.
func withVoter(r *mr.VotersRecord, v Voter) *mr.VotersRecord {
	out := withoutVoter(r, v.ID)
	entry := mr.NewVotersRecordVoter()
	entry.VoterID, entry.VoterDirectoryID = v.ID, v.DirectoryID
	entry.KRaftVersionFeature.MaxSupportedVersion = 1
	if v.MaxKRaftVersion > 0 {
		entry.KRaftVersionFeature.MinSupportedVersion, entry.KRaftVersionFeature.MaxSupportedVersion = v.MinKRaftVersion, v.MaxKRaftVersion
	}
	for _, e := range v.Endpoints {
		entry.Endpoints = append(entry.Endpoints, mr.VotersRecordEndpoint{Name: e.Name, Host: e.Host, Port: e.Port})
	}
	out.Voters = append(out.Voters, *entry)
	slices.SortFunc(out.Voters, func(a, b mr.VotersRecordVoter) int { return int(a.VoterID) - int(b.VoterID) })
	return out
}

func withoutVoter(r *mr.VotersRecord, id int32) *mr.VotersRecord {
	out := mr.NewVotersRecord()
	out.UnknownTags = r.UnknownTags
	for _, v := range r.Voters {
		if v.VoterID != id {
			out.Voters = append(out.Voters, v)
		}
	}
	return out
}

// learners are the members of Raft's configuration that do not vote. It belongs to the loop.
func (q *Quorum) learners() (out []uint64) {
	q.node.WithProgress(func(id uint64, typ raft.ProgressType, _ tracker.Progress) {
		if typ == raft.ProgressTypeLearner {
			out = append(out, id)
		}
	})
	return out
}

// stepChange goes on with the change of voters that is under way, if something can be done. It belongs to the loop.
func (q *Quorum) stepChange() {
	if q.electedTerm.Load() == 0 || !q.leads.Load() {
		return
	}
	q.stepUpgrade()
	c := q.changing
	if c == nil {
		q.dropLearner()
		return
	}
	late := !q.cfg.Now().Before(c.deadline)
	switch c.stage {
	case stageBegin:
		switch {
		case late:
			c.answer(refuse(wire.RequestTimedOut, "Request timed out waiting until the voters that stay have caught up"))
			q.endChange()
		case c.add && q.proposeChange(pb.ConfChangeAddLearnerNode, c.id, nil):
			c.stage = stageCatchUp
		case !c.add && q.canSpare(c.id) && q.proposeChange(pb.ConfChangeRemoveNode, c.id, withoutVoter(q.voters.Load().record, c.voter.ID)):
			c.stage = stageCommit
		}
	case stageCatchUp:
		switch {
		case late:
			c.answer(refuse(wire.RequestTimedOut, "Aborted add voter operation for %s since it is lagging behind", voterKey(c.voter)))
			c.stage = stageAbandon
		case q.caughtUp(c.id) && q.proposeChange(pb.ConfChangeAddNode, c.id, withVoter(q.voters.Load().record, c.voter)):
			c.stage = stageCommit
			if c.early {
				c.answer(nil)
			}
		}
	case stageCommit:
		if _, in := q.voters.Load().byRaft[c.id]; in == c.add && !q.confPending {
			c.answer(nil)
			q.endChange()
		} else if late {
			c.answer(refuse(wire.RequestTimedOut, "Request timed out waiting for voters to commit the latest voter change"))
		}
	case stageAbandon:
		if q.proposeChange(pb.ConfChangeRemoveNode, c.id, nil) {
			q.endChange()
		}
	}
}

// dropLearner removes what a leader before left half added.
func (q *Quorum) dropLearner() {
	if q.confPending {
		return
	}
	for _, id := range q.learners() {
		q.proposeChange(pb.ConfChangeRemoveNode, id, nil)
		return
	}
}

// caughtUp reports whether a learner has all that is committed, or nearly so.
func (q *Quorum) caughtUp(id uint64) (yes bool) {
	commit := q.node.BasicStatus().HardState.GetCommit()
	q.node.WithProgress(func(other uint64, typ raft.ProgressType, pr tracker.Progress) {
		if other == id {
			yes = typ == raft.ProgressTypeLearner && pr.State == tracker.StateReplicate && pr.RecentActive && pr.Match+1 >= commit
		}
	})
	return yes
}

// canSpare reports whether the voters that stay are, for the most part, there and have all that is committed. Kafka
// removes a voter without that, after which the rest may not be able to elect anybody.
func (q *Quorum) canSpare(gone uint64) bool {
	commit := q.node.BasicStatus().HardState.GetCommit()
	stay, well := 0, 0
	q.node.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if id == gone || typ != raft.ProgressTypePeer {
			return
		}
		stay++
		if id == q.raftID || pr.RecentActive && pr.Match+1 >= commit {
			well++
		}
	})
	return well > stay/2
}

// endChange forgets a change that was answered.
func (q *Quorum) endChange() {
	q.changing = nil
	q.joining.Store(nil)
}

// loseChange answers a change whose outcome the next leader decides. It belongs to the loop.
func (q *Quorum) loseChange() {
	q.confPending = false
	q.told = nil
	q.endUpgrade(wire.NotController)
	if c := q.changing; c != nil {
		c.answer(wire.NotController)
		q.endChange()
	}
}

// proposeChange proposes a change of Raft's members and the record that goes with it, and reports whether it could. Raft
// takes one at a time, and none before it has applied what was there when the term began: it would put an empty entry
// in its place.
func (q *Quorum) proposeChange(typ pb.ConfChangeType, id uint64, voters *mr.VotersRecord) bool {
	if q.confPending || q.node.BasicStatus().Applied < q.confAfter.Load() {
		return false
	}
	return q.proposeVoters(&pb.ConfChange{Type: typ.Enum(), NodeId: proto.Uint64(id)}, voters, 0) == nil
}

// errBusy says that the proposer is at work; another attempt may go.
var errBusy error = &Refusal{wire.RequestTimedOut, "the proposer is at work"}

// proposeVoters proposes a voters record, behind a version of the quorum if that is not 0, a change of Raft's members, or both
// as one. It belongs to the loop.
func (q *Quorum) proposeVoters(change *pb.ConfChange, voters *mr.VotersRecord, version int16) error {
	if !q.proposer.TryLock() {
		return errBusy
	}
	defer q.proposer.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.epoch == 0 || !q.ready {
		return wire.NotController
	}
	var batch record.Batch
	if voters != nil {
		var b record.Builder
		b.Reset(record.Compression{}, q.next)
		b.SetLeaderEpoch(q.epoch)
		now := q.cfg.Now().UnixMilli()
		if version > 0 {
			b.AppendControl(now, record.ControlKRaftVersion, (&mr.KRaftVersionRecord{KRaftVersion: version}).Append(nil, 0))
		}
		b.AppendControl(now, record.ControlKRaftVoters, voters.Append(nil, 0))
		var err error
		if batch, err = b.Build(); err != nil {
			return err
		}
		q.next = batch.NextOffset()
	}
	if change != nil {
		change.Context = batch
		q.confPending = true
	}
	q.proposed = append(q.proposed, proposal{epoch: q.epoch, batch: batch, change: change})
	q.signal()
	return nil
}

// joiner is a voter that is being added.
type joiner struct {
	id    uint64
	voter Voter
}

// member is a voter, or one that is being added, by its id in Raft.
func (q *Quorum) member(id uint64) (Voter, bool) {
	if v, ok := q.voters.Load().byRaft[id]; ok {
		return v, true
	}
	if j := q.joining.Load(); j != nil && j.id == id {
		return j.voter, true
	}
	return Voter{}, false
}
