package quorum

import (
	"math/rand/v2"
	"testing"

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
