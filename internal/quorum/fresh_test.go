package quorum

import (
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestFreshVoterWaitsForTheLeadersTerm: a voter whose disk was lost has most of the leader's log, and all that the leader knows
// to be committed. It must not vote yet: what it had committed with this leader, and nobody knows to be committed, may be
// in what it lacks. With a record of the leader's own term it has that too.
func TestFreshVoterWaitsForTheLeadersTerm(t *testing.T) {
	s := newSimulation(t, t, 1, "", nil)
	n := s.nodes[2]
	from, to, term, old := s.nodes[1].q.raftID, n.q.raftID, uint64(3), uint64(2)
	before, err := n.q.raft.mem.Term(firstIndex)
	if err != nil {
		t.Fatal(err)
	}
	n.q.lives.set(from, lifeUntold)
	take := func(index, logTerm uint64, entries ...*pb.Entry) {
		commit := uint64(3) // less than what may be committed
		n.q.step([]*pb.Message{{Type: pb.MsgApp.Enum(), From: &from, To: &to, Term: &term, Index: &index, LogTerm: &logTerm, Commit: &commit, Entries: entries}})
		for range 4 {
			n.turn()
			n.appendStep()
		}
	}
	entry := func(index, term uint64) *pb.Entry { return &pb.Entry{Index: &index, Term: &term} }
	take(firstIndex, before, entry(2, old), entry(3, old), entry(4, old))
	if last, err := n.q.raft.mem.LastIndex(); err != nil || last != 4 {
		t.Fatalf("the log ends at %d: %v", last, err)
	}
	if !n.q.fresh.Load() {
		t.Error("it votes, and lacks what the leader may have committed")
	}
	take(4, old, entry(5, term))
	if n.q.fresh.Load() {
		t.Error("it has all, and does not vote")
	}
}

// TestSilentLeaderIsNone: Raft may name a leader for ever that says nothing, to a learner that was removed. Such a node looks by
// Fetch what has become of it, until a leader is heard of.
func TestSilentLeaderIsNone(t *testing.T) {
	s := newSimulation(t, t, 1, "", new(members))
	q, other := s.nodes[1].q, s.nodes[0].q.raftID
	pass := func(ticks int) {
		for range ticks {
			q.ticks++
			q.noteLonely(other)
		}
	}
	pass(lonelyTicks - 1)
	if q.astray() {
		t.Error("it does not wait for a leader that was heard of lately")
	}
	pass(2)
	if !q.astray() {
		t.Error("it waits for a leader that has been silent for long")
	}
	q.take(input{msg: &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: &other, To: &q.raftID, Term: new(uint64)}})
	pass(1)
	if q.astray() {
		t.Error("it was heard of again")
	}
}

// TestSoleVoterLeadsAnew: a leader that gave its term up waits for the others to elect another. When it is the only voter, since the
// others were removed meanwhile, it begins another term by itself.
func TestSoleVoterLeadsAnew(t *testing.T) {
	r := start(t, testConfig(newFS(t), nil))
	r.rec.mu.Lock()
	had := r.rec.leads
	r.rec.mu.Unlock()
	r.inLoop(r.renounce)
	r.rec.until(t, "another term", func() bool { return r.rec.leads > had })
	r.committed(t, r.topic(t, "t"))
	r.close(t)
}
