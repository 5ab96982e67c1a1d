package quorum

import (
	"bytes"

	pb "go.etcd.io/raft/v3/raftpb"
)

// A fresh voter (see fresh.go) may have forgotten what it acknowledged and for whom it voted, so its vote must not make a majority. But
// at the beginning of a quorum all voters are fresh, and when the first leader ends before others have caught up, nobody
// could be elected any more: its log is longer than theirs, and who has it is one.
//
// So a fresh voter votes, and stands, as any other, but such votes count only when all voters have given theirs to the same candidate in
// the same term. That is safe as long as no more than a minority is fresh because of lost disks, the case in which nothing may
// be lost: whatever was committed before, and whoever was elected in that term, had a majority, and at least one of that is
// among all and has forgotten nothing. It refuses a candidate that lacks what it has, or a second one in a term. Fewer than
// all do not suffice: with one vote missing, the missing one may be the one that knows. Asking voters beforehand whether they know of
// anything committed does not suffice either: a leader may be the only one who knew, and have lost its disk.
//
// The votes are given in one term, so what comes later is in a later term, and a voter that loses its disk after it has voted is one
// of the minority. The candidate's own idea of who votes may be behind by a change that is in its log: what a voter that
// is about to be added has is not asked for, so with such a change the votes of fresh ones do not count.
//
// The candidate does the counting, before Raft does. It says in its question that it can, and a fresh voter marks its vote: both in the
// context of Raft's messages, which Raft passes over there. A candidate of a build before this one does not say so, and gets no
// such vote.
var (
	countsFresh = []byte("counts fresh votes apart")
	freshVote   = []byte("fresh vote")
)

// ballot is what voters have answered to a candidate's last question. Owned by the loop.
type ballot struct {
	answer pb.MessageType // to a vote or to a question before it
	term   uint64
	fresh  bool // the candidate itself
	given  map[uint64]bool
	held   []*pb.Message // until all have given theirs
}

// asked is a question that a fresh voter has let through: by whom, and which.
type asked struct {
	by     uint64
	answer pb.MessageType
}

// answerTo is the type of the answer to a question for a vote; false if it is none.
func answerTo(t pb.MessageType) (pb.MessageType, bool) {
	switch t {
	case pb.MsgVote:
		return pb.MsgVoteResp, true
	case pb.MsgPreVote:
		return pb.MsgPreVoteResp, true
	}
	return 0, false
}

// mayVote reports whether a fresh voter may answer a question for its vote: one by who has nothing, as at the beginning of a
// quorum, or by who counts the vote apart.
func mayVote(m *pb.Message) bool {
	return m.GetIndex() <= firstIndex || bytes.Equal(m.GetContext(), countsFresh)
}

// guard notes whether the answer to a question for a vote is to be marked. It belongs to the loop.
func (q *Quorum) guard(m *pb.Message) {
	answer, ok := answerTo(m.GetType())
	if !ok {
		return
	}
	key := asked{m.GetFrom(), answer}
	delete(q.guarded, key)
	if q.fresh.Load() && m.GetIndex() > firstIndex {
		if q.guarded == nil {
			q.guarded = map[asked]uint64{}
		}
		q.guarded[key] = m.GetTerm()
	}
}

// mark marks the votes among the answers that Raft gives when something is durable. It belongs to the loop.
func (q *Quorum) mark(answers []*pb.Message) {
	for _, r := range answers {
		if term, in := q.guarded[asked{r.GetTo(), r.GetType()}]; in && term == r.GetTerm() {
			r.Context = freshVote
		}
	}
}

// ask begins a ballot if there are questions for votes among Raft's messages, and says in them how their answers are counted. It
// belongs to the loop.
func (q *Quorum) ask(ms []*pb.Message) {
	begun := false
	for _, m := range ms {
		answer, ok := answerTo(m.GetType())
		if !ok {
			continue
		}
		if !begun {
			q.ballot = ballot{answer: answer, term: m.GetTerm(), fresh: q.fresh.Load() && m.GetIndex() > firstIndex, given: map[uint64]bool{}}
			begun = true
		}
		if len(m.GetContext()) == 0 { // else leadership was handed over to this node
			m.Context = countsFresh
		}
	}
}

// count returns what Raft may hear of now that a message has come: the message, none, or votes that were held as well. It
// belongs to the loop.
func (q *Quorum) count(m *pb.Message) []*pb.Message {
	b, from, marked := &q.ballot, m.GetFrom(), bytes.Equal(m.GetContext(), freshVote)
	switch {
	case m.GetType() != pb.MsgVoteResp && m.GetType() != pb.MsgPreVoteResp || m.GetReject():
		return []*pb.Message{m}
	case m.GetType() != b.answer || m.GetTerm() != b.term:
		if marked {
			return nil // to a question that was given up
		}
		return []*pb.Message{m}
	case from != q.raftID && (marked || b.fresh):
		if !b.given[from] {
			b.held = append(b.held, m)
		}
		m = nil
	}
	b.given[from] = true
	var out []*pb.Message
	if m != nil {
		out = append(out, m)
	}
	if len(b.held) > 0 && q.unanimous() {
		out = append(out, b.held...)
		b.held = nil
	}
	return out
}

// unanimous reports whether all voters have given their votes, this one among them: then its log is durable and can be looked at.
func (q *Quorum) unanimous() bool {
	for id := range q.node.Status().Config.Voters.IDs() {
		if !q.ballot.given[id] {
			return false
		}
	}
	return !q.addsVoter()
}

// addsVoter reports whether a voter is added in this node's log by an entry that is not applied.
func (q *Quorum) addsVoter() bool {
	last, err := q.raft.mem.LastIndex()
	if err != nil {
		return true
	}
	applied := q.node.BasicStatus().Applied
	if last <= applied {
		return false
	}
	entries, err := q.raft.mem.Entries(applied+1, last+1, ^uint64(0))
	if err != nil {
		return true
	}
	for _, e := range entries {
		if e.GetType() != pb.EntryConfChange {
			continue
		}
		var cc pb.ConfChange
		if err := unmarshal(e.GetData(), &cc); err != nil || cc.GetType() == pb.ConfChangeAddNode {
			return true
		}
	}
	return false
}
