package quorum

import (
	"bytes"
	"testing"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// polled is a voter of three that stands for election, and the others played by a test.
type polled struct {
	*simNode
	from, to, term uint64 // of a leader that was there before
	seen           int
}

// poll makes a voter that has a part of a leader's log: of a leader's own term, so that it votes as any other, or not.
func poll(t *testing.T, ripe bool, typ pb.EntryType, data []byte) *polled {
	t.Helper()
	s := newSimulation(t, t, 1, "", nil)
	n := s.nodes[2]
	s.posted = &[]parcel{}
	p := &polled{simNode: n, from: s.nodes[1].q.raftID, to: n.q.raftID, term: 3}
	n.q.lives.set(s.nodes[0].q.raftID, lifeUntold)
	n.q.lives.set(p.from, lifeUntold)
	before, err := n.q.raft.mem.Term(firstIndex)
	if err != nil {
		t.Fatal(err)
	}
	first, index, old, commit := uint64(firstIndex), uint64(firstIndex+1), uint64(2), uint64(9)
	if ripe {
		old, commit = p.term, firstIndex
	}
	n.q.step([]*pb.Message{{Type: pb.MsgApp.Enum(), From: &p.from, To: &p.to, Term: &p.term, Index: &first, LogTerm: &before, Commit: &commit,
		Entries: []*pb.Entry{{Index: &index, Term: &old, Type: typ.Enum(), Data: data}}}})
	p.work()
	if n.q.fresh.Load() == ripe {
		t.Fatal("it is to vote as any other:", ripe)
	}
	return p
}

func (p *polled) work() {
	for range 4 {
		p.turn()
		p.appendStep()
	}
}

// sent are the messages that it has sent since it was asked last.
func (p *polled) sent(t *testing.T) (out []*pb.Message) {
	t.Helper()
	for _, one := range (*p.s.posted)[p.seen:] {
		m := new(pb.Message)
		if err := unmarshal(one.bytes, m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	p.seen = len(*p.s.posted)
	return out
}

// elected lets time pass, in which each voter that gives its vote does so, and reports whether the candidate leads then.
func (p *polled) elected(t *testing.T, contexts map[uint64][]byte) bool {
	t.Helper()
	for range 6 * ticksPerTimeout {
		p.work()
		for _, m := range p.sent(t) {
			answer, ok := answerTo(m.GetType())
			context, gives := contexts[m.GetTo()]
			if !ok || !gives {
				continue
			}
			if !bytes.Equal(m.GetContext(), countsFresh) {
				t.Errorf("a %v does not say how votes are counted", m.GetType())
			}
			p.q.step([]*pb.Message{{Type: answer.Enum(), From: m.To, To: m.From, Term: m.Term, Context: context}})
		}
		if p.q.node.BasicStatus().RaftState == raft.StateLeader {
			return true
		}
		p.q.tick()
	}
	return false
}

// TestVotesOfFreshVotersCountTogether: what was committed may have been known to a disk that is lost and to one voter
// besides. The votes of voters that may have lost theirs, the candidate's own among them, elect nobody unless that one has voted too.
func TestVotesOfFreshVotersCountTogether(t *testing.T) {
	add, err := proto.Marshal(&pb.ConfChange{Type: pb.ConfChangeAddNode.Enum(), NodeId: new(uint64(9))})
	if err != nil {
		t.Fatal(err)
	}
	one, other := uint64(1), uint64(2)
	for _, c := range []struct {
		ripe  bool // the candidate
		votes map[uint64][]byte
		typ   pb.EntryType
		data  []byte
		want  bool
	}{
		{ripe: true, votes: map[uint64][]byte{one: nil}, want: true},
		{ripe: true, votes: map[uint64][]byte{one: freshVote}},
		{ripe: true, votes: map[uint64][]byte{one: freshVote, other: freshVote}, want: true},
		{ripe: true, votes: map[uint64][]byte{one: freshVote, other: nil}, want: true},
		{votes: map[uint64][]byte{one: nil}},
		{votes: map[uint64][]byte{one: freshVote}},
		{votes: map[uint64][]byte{one: nil, other: nil}, want: true},
		{votes: map[uint64][]byte{one: freshVote, other: freshVote}, want: true},
		{ripe: true, typ: pb.EntryConfChange, data: add, votes: map[uint64][]byte{one: nil}, want: true},
		{ripe: true, typ: pb.EntryConfChange, data: add, votes: map[uint64][]byte{one: freshVote, other: freshVote}},
	} {
		p := poll(t, c.ripe, c.typ, c.data)
		if got := p.elected(t, c.votes); got != c.want {
			t.Errorf("a candidate that votes itself %v, votes %v, entry %v: elected %v", c.ripe, c.votes, c.typ, got)
		}
		if got := p.q.node.BasicStatus().HardState.GetTerm(); !c.want && got != p.term {
			t.Errorf("it went on to term %d without an election to win", got)
		}
	}
}

// TestFreshVoterMarksItsVote: a voter that may have lost its disk votes for nobody who does not count that vote apart, which builds
// before do not, unless there is nothing to lose; and marks it. When it has caught up it votes as any other.
func TestFreshVoterMarksItsVote(t *testing.T) {
	for _, c := range []struct {
		ripe           bool
		index          uint64
		context        []byte
		answer, marked bool
	}{
		{index: 7},
		{index: 7, context: []byte(raft.CampaignType("CampaignTransfer"))},
		{index: 7, context: countsFresh, answer: true, marked: true},
		{ripe: true, index: 7, answer: true},
		{ripe: true, index: 7, context: countsFresh, answer: true},
	} {
		for _, typ := range []pb.MessageType{pb.MsgPreVote, pb.MsgVote} {
			p := poll(t, c.ripe, pb.EntryNormal, nil)
			for range 2 * ticksPerTimeout { // it has heard of no leader for long
				p.q.tick()
				p.work()
			}
			p.sent(t)
			term, want := p.term+5, typ+1
			p.q.step([]*pb.Message{{Type: typ.Enum(), From: &p.from, To: &p.to, Term: &term, Index: &c.index, LogTerm: &p.term, Context: c.context}})
			p.work()
			answered := false
			for _, m := range p.sent(t) {
				if m.GetType() != want || m.GetTerm() != term {
					continue
				}
				answered = true
				if m.GetReject() || bytes.Equal(m.GetContext(), freshVote) != c.marked {
					t.Errorf("%v, %+v: refused %v, context %q", typ, c, m.GetReject(), m.GetContext())
				}
			}
			if answered != c.answer {
				t.Errorf("%v, %+v: answered %v", typ, c, answered)
			}
		}
	}
}

// TestFirstLeaderEndsBeforeOthersHaveCaughtUp: the others have a part of the log of a quorum's first leader, so that none has nothing, and
// none has caught up. The leader ends and comes back, with its disk or without, and the quorum gets well.
func TestFirstLeaderEndsBeforeOthersHaveCaughtUp(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		for _, lost := range []bool{false, true} {
			s := newSimulation(t, t, seed, "", nil)
			first, old, term, none := uint64(firstIndex), uint64(2), uint64(3), uint64(firstIndex)
			before, err := s.nodes[0].q.raft.mem.Term(firstIndex)
			if err != nil {
				t.Fatal(err)
			}
			entries := []*pb.Entry{{Index: new(first + 1), Term: &old}, {Index: new(first + 2), Term: &term}}
			for i, n := range s.nodes[:simVoters] {
				from, to := s.nodes[(i+1)%simVoters].q.raftID, n.q.raftID
				n.q.lives.set(from, lifeUntold)
				m := &pb.Message{Type: pb.MsgApp.Enum(), From: &from, To: &to, Term: &term, Index: &first, LogTerm: &before, Commit: &none, Entries: entries[:1]}
				if i == 0 {
					m.Entries = entries // the leader, as its log is
				}
				n.q.step([]*pb.Message{m})
				for range 4 {
					n.turn()
					n.appendStep()
				}
				if n.q.fresh.Load() != (i > 0) {
					t.Fatalf("voter %d is fresh: %v", i, i == 0)
				}
			}
			s.net = nil
			if lost {
				s.nodes[0].wiped()
			} else {
				s.nodes[0].crash()
				s.nodes[0].start()
			}
			s.heal()
			s.compare()
		}
	}
}

// TestSeedsThatDidNotGetWell are histories in which the first leader of a quorum ended before others had caught up.
func TestSeedsThatDidNotGetWell(t *testing.T) {
	simulate(t, t, 25267, 6000, "", nil)
	simulate(t, t, 25125, 8000, "", new(members))
}
