package quorum

import (
	"math/rand/v2"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/weir-stream/weir/internal/vfs"
)

// TestHardStateOutlivesPower: a voter knows after a power cut for whom it has voted, in which term.
func TestHardStateOutlivesPower(t *testing.T) {
	fs := vfs.NewMem()
	state := func(term, vote, commit uint64) *pb.HardState {
		return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	}
	id := uint64(7)
	l, err := createRaftLog(fs, "/data/raft", point{Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{id}}}, state(1, 0, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*pb.HardState{state(5, 7, 1), state(6, 8, 1)} {
		if err := l.write(nil, want); err != nil {
			t.Fatal(err)
		}
		fs = fs.Crash(rand.New(rand.NewPCG(1, 1)))
		if l, err = openRaftLog(fs, "/data/raft"); err != nil {
			t.Fatal(err)
		}
		got, _, err := l.mem.InitialState()
		if err != nil || got.GetTerm() != want.GetTerm() || got.GetVote() != want.GetVote() {
			t.Errorf("term %d, vote for %d: %v; want %v", got.GetTerm(), got.GetVote(), err, want)
		}
	}
}

// TestCommitIndexGoesWithEntries: a commit index that came alone is durable with the entries behind it. Who has the entry of a
// change of the voters has to know that the change before it is committed: it would take part in elections as the set was
// two changes ago, which may have a majority beside the present one's.
func TestCommitIndexGoesWithEntries(t *testing.T) {
	fs := newFS(t)
	id, term, vote := uint64(7), uint64(2), uint64(0)
	state := func(commit uint64) *pb.HardState { return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit} }
	dir := "/data/raft"
	l, err := createRaftLog(fs, dir, point{Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{id}}}, state(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	q := &Quorum{raft: l, raftID: id, cfg: Config{Now: time.Now}}
	entry := func(i uint64) *pb.Message { return &pb.Message{Entries: []*pb.Entry{{Term: &term, Index: &i}}} }
	commit := uint64(2)
	for _, m := range []*pb.Message{entry(2), {Term: &term, Vote: &vote, Commit: &commit}, entry(3)} {
		if err := q.appendItems(t.Context(), []appendItem{{msg: m}}); err != nil {
			t.Fatal(err)
		}
	}
	if l, err = openRaftLog(fs.Crash(rand.New(rand.NewPCG(1, 1))), dir); err != nil {
		t.Fatal(err)
	}
	if got := l.hs.GetCommit(); got != commit {
		t.Errorf("after a power cut entry 3 is there and index %d is committed, want %d", got, commit)
	}
}

// TestVoteIsDurable: a vote, or a new term, that comes without entries is on the disk before anybody hears of it.
func TestVoteIsDurable(t *testing.T) {
	fs := newFS(t)
	id, commit := uint64(7), uint64(1)
	dir := "/data/raft"
	state := func(term, vote uint64) *pb.HardState { return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit} }
	l, err := createRaftLog(fs, dir, point{Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{id}}}, state(2, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	q := &Quorum{raft: l, raftID: id, cfg: Config{Now: time.Now}}
	for _, want := range []*pb.HardState{state(2, 8), state(3, 0), state(3, 9)} {
		if err := q.appendItems(t.Context(), []appendItem{{msg: &pb.Message{Term: want.Term, Vote: want.Vote, Commit: want.Commit}}}); err != nil {
			t.Fatal(err)
		}
		cut, err := openRaftLog(fs.Crash(rand.New(rand.NewPCG(1, 1))), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := cut.hs; got.GetTerm() != want.GetTerm() || got.GetVote() != want.GetVote() {
			t.Errorf("after a power cut it has voted for %d in term %d, want %d in %d", got.GetVote(), got.GetTerm(), want.GetVote(), want.GetTerm())
		}
	}
}

// TestWhatWasReadIsSynced: a process that is killed between writing a group and syncing it leaves the group in the page cache. The
// next one reads it, takes the vote and the entries in it for promised, and writes behind it: a power cut must not take it
// away then, nor leave a hole, which would count as damage.
func TestWhatWasReadIsSynced(t *testing.T) {
	for seed := range uint64(20) {
		fs := newFS(t)
		id, term, vote, commit := uint64(7), uint64(2), uint64(7), uint64(1)
		dir := "/data/raft"
		hs := &pb.HardState{Term: &term, Vote: new(uint64), Commit: &commit}
		if _, err := createRaftLog(fs, dir, point{Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{id}}}, hs, nil); err != nil {
			t.Fatal(err)
		}
		l, err := openRaftLog(lies{fs}, dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.write(nil, &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}); err != nil { // and is killed before the sync
			t.Fatal(err)
		}
		if l, err = openRaftLog(fs, dir); err != nil || l.hs.GetVote() != vote {
			t.Fatalf("vote for %d: %v", l.hs.GetVote(), err)
		}
		fs = fs.Crash(rand.New(rand.NewPCG(seed, 1)))
		if l, err = openRaftLog(fs, dir); err != nil || l.hs.GetVote() != vote {
			t.Fatalf("seed %d: after a power cut, vote for %d: %v", seed, l.hs.GetVote(), err)
		}
	}
}
