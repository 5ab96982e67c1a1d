package quorum

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// A controller of a dynamic quorum that is not one of its voters, not yet or not any more, stands outside: it follows the
// metadata log by Fetch as an observer does, and has a log of Raft that is empty or rests, for the day when the leader
// adds it.

// outside reports whether this node could vote but is none of the voters.
func (q *Quorum) outside() bool {
	if q.node == nil {
		return false
	}
	_, in := q.voters.Load().byRaft[q.raftID]
	return !in
}

// lonelyTicks is after how many ticks without a leader a voter looks by Fetch whether the others go on without it: they
// may have removed it.
const lonelyTicks = 3 * ticksPerTimeout

// astray reports whether this node has to follow though it has a log of Raft. A static quorum may have become dynamic without it.
func (q *Quorum) astray() bool { return q.outside() || q.isStranger() || q.lonely.Load() }

// noteLonely counts the ticks without a leader. One that says nothing is none: to a learner, for which no election time-out
// runs, Raft names the leader for ever that has removed it. It belongs to the loop.
func (q *Quorum) noteLonely(leader uint64) {
	if leader == q.raftID || leader != 0 && q.ticks-q.heardAt < lonelyTicks {
		q.alone = 0
		q.lonely.Store(false)
		return
	}
	if q.alone++; q.alone == lonelyTicks || leader != 0 && !q.lonely.Load() {
		q.lonely.Store(true)
		q.follow.poke()
	}
}

// resting lets a node outside, for which no time passes in Raft, answer a candidate: a leader that died before it learned
// that this node's removal was committed needs its vote to come back. It belongs to the loop.
func (q *Quorum) resting() {
	if err := q.node.ForgetLeader(); err != nil {
		q.log.Debug("metadata quorum: forget the leader", "error", err)
	}
}

// tellCommit tells a candidate that has this node's removal in its log, and does not know it as committed, that it is. Else it
// asks for a vote that it does not need, and that it may never get: there may be more in this node's log, which nobody counts
// any more. Logs that agree on the candidate's last entry agree on all before it. It belongs to the loop.
func (q *Quorum) tellCommit(m *pb.Message) {
	left, last, term := q.leftAt.Load(), m.GetIndex(), m.GetTerm()
	if left == 0 || last < left {
		return
	}
	if m.GetType() == pb.MsgPreVote {
		term-- // it is of the term that the candidate wants
	}
	if have, err := q.raft.mem.Term(last); err != nil || have != m.GetLogTerm() || term == 0 {
		return
	}
	commit := min(last, q.node.BasicStatus().HardState.GetCommit())
	if commit < left {
		return
	}
	q.send(m.GetFrom(), []*pb.Message{{Type: pb.MsgHeartbeat.Enum(), From: &q.raftID, To: m.From, Term: &term, Commit: &commit}})
}

// reachable makes a reference to a point one that its receiver takes: Raft wants to find itself in the configuration, and
// a learner was added after the point. What follows the point tells the rest.
func reachable(m *pb.Message) *pb.Message {
	if m.GetType() != pb.MsgSnap {
		return m
	}
	conf := m.GetSnapshot().GetMetadata().GetConfState()
	if to := m.GetTo(); slices.Contains(conf.GetVoters(), to) || slices.Contains(conf.GetLearners(), to) {
		return m
	}
	out := proto.Clone(m).(*pb.Message)
	conf = out.Snapshot.Metadata.ConfState
	conf.Learners = append(conf.Learners, m.GetTo())
	return out
}
